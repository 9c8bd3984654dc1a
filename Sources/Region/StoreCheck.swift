import Blobs
import Domain
import Engine
import Logging
import Packs
import Ports
import ServiceLifecycle

struct StoreCheckSettings: Hashable, Sendable {
    /// Between two looks at the lengths of all stored packs.
    var lookMilliseconds: Int64 = 60_000
    /// From one sweep to the next, in looks: a worker that was given up long ago may upload at any time.
    var sweepLooks = 60
    /// How fast stored packs are read back, one at a time, for ever.
    var readBackBytesPerSecond: UInt64 = 8 << 20
    /// Between two packs that are read back.
    var packRestMilliseconds: Int64 = 1000
}

/// Checks this region's own store while it runs: the lengths of all packs every minute, their bytes slowly. What is
/// missing or damaged is a fact for the log, and is fetched again.
struct StoreCheck: Service {
    let engine: EngineService<Regional>
    let keeper: StoreKeeper
    let manifests: Manifests
    var settings = StoreCheckSettings()
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await lookAtLengths() }
                group.addTask { await readBack() }
            }
        }
    }

    private func lookAtLengths() async {
        var looksToSweep = 0
        while !Task.isCancelled {
            do {
                if looksToSweep == 0 {
                    try await keeper.sweep()
                    looksToSweep = settings.sweepLooks
                }
                looksToSweep -= 1
            } catch { note("leftovers stay until the next look", error) }
            for (build, pack) in await storedPacks() where !Task.isCancelled {
                do { try await checkLength(build, pack) } catch { note("a pack is not looked at", error) }
            }
            try? await Task.sleep(for: .milliseconds(settings.lookMilliseconds))
        }
    }

    private func checkLength(_ build: BuildID, _ pack: RegionPack) async throws {
        let bytes = try await keeper.store.information(RegionKey.pack(build, pack.attempt))?.bytes
        guard bytes != pack.packedBytes else { return }
        let detail = bytes.map { "it has \($0) bytes, not \(pack.packedBytes)" } ?? "it is missing from the store"
        try await keeper.lost(build, pack.attempt, detail: detail)
    }

    /// Round and round, in build order.
    private func readBack() async {
        var last = BuildID(rawValue: 0)
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(settings.packRestMilliseconds))
            let packs = await storedPacks()
            guard let (build, pack) = packs.first(where: { $0.0 > last }) ?? packs.first else { continue }
            last = build
            do { try await readBack(build, pack) } catch { note("a pack is not read back", error) }
        }
    }

    private func readBack(_ build: BuildID, _ pack: RegionPack) async throws {
        let key = RegionKey.pack(build, pack.attempt)
        guard let path = try await keeper.store.localPath(key) else { return }
        let manifest = try await manifests(pack.manifest)
        guard
            let damage = try await PackCheck.damage(
                at: path, manifest, bytesPerSecond: settings.readBackBytesPerSecond)
        else { return }
        try await keeper.lost(build, pack.attempt, detail: "read back: \(damage)")
        try await keeper.store.delete(key)
    }

    private func storedPacks() async -> [(BuildID, RegionPack)] {
        let packs = try? await engine.read { state, _ in state.packs.filter { $0.value.phase == .stored } }
        return (packs ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func note(_ what: String, _ error: any Error) {
        if !Task.isCancelled { logger.info("\(what)", metadata: ["failure": "\(error)"]) }
    }
}
