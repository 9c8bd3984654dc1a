import Blobs
import Client
import Dispatch
import Domain
import Engine
import Foundation
import Logging
import Metrics
import Packs
import Ports
import ServiceLifecycle
import Serving
import Swarm
import Synchronization
import Transfer
import Wire

/// Makes this region's store agree with the global log: reads uploads back, copies packs from other regions, offers what
/// is proved to the peers, and tells the global process what is stored.
///
/// Every effect is derived from the state again after a crash, and may be done twice.
struct Mirror: Service {
    /// Packs verified or copied at once.
    static let maximumAtOnce = 4
    /// The pause before an effect that failed is tried again.
    static let retryMilliseconds: Int64 = 2000

    let name: RegionName
    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let store: DirectoryBlobStore
    let shelf: PackShelf
    let ledger: MirrorLedgerSettings
    let clock: any ClockSource
    let keys: ReleaseKeyBox
    let metrics: MetricsRegistry
    let logger: Logger
    private let working = WorkInProgress()

    init(
        name: RegionName, engine: EngineService<Regional>, upstream: any RegionUpstream, store: DirectoryBlobStore,
        shelf: PackShelf, clock: any ClockSource, keys: ReleaseKeyBox, metrics: MetricsRegistry, logger: Logger
    ) {
        (self.name, self.engine, self.upstream, self.store) = (name, engine, upstream, store)
        (self.shelf, self.clock, self.keys) = (shelf, clock, keys)
        (self.metrics, self.logger) = (metrics, logger)
        ledger = MirrorLedgerSettings()
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    let position = engine.head
                    do throws(EngineFailure) {
                        try await step(in: &group)
                    } catch {
                        if error.code == .stopped { return }
                        logger.warning("the mirror waits for the engine", metadata: ["failure": "\(error)"])
                    }
                    _ = await engine.waitForChange(
                        after: position.sequence, timeoutMilliseconds: Self.retryMilliseconds)
                }
            }
        }
    }

    private func step(in group: inout DiscardingTaskGroup) async throws(EngineFailure) {
        let here = name
        let (effects, stored) = try await engine.read { state, _ in
            (state.planMirror(here: here), state.packs.filter { $0.value.phase == .stored })
        }
        for (build, pack) in stored where shelf.pack(PackName(app: pack.app, build: build)) == nil {
            if working.begin(build, limit: .max) {
                group.addTask { await attempt(build) { try await offer(build, pack) } }
            }
        }
        for effect in effects where working.begin(effect.build, limit: Self.maximumAtOnce) {
            group.addTask { await attempt(effect.build) { try await perform(effect) } }
        }
    }

    /// Runs one effect; a failed one rests before the build is looked at again.
    private func attempt(_ build: BuildID, _ work: () async throws -> Void) async {
        do {
            try await work()
        } catch {
            if !Task.isCancelled {
                logger.warning("the mirror tries again", metadata: ["build": "\(build)", "failure": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
        }
        working.end(build)
    }

    private func perform(_ effect: MirrorEffect) async throws {
        switch effect {
        case .verifyUpload(let build, let attempt, _, let digest):
            try await verifyUpload(build, attempt, digest)
        case .mirror(let build, let attempt, let app, let digest, let regions):
            try await copy(PackName(app: app, build: build), attempt, digest, from: regions)
        case .reportStored(let build, let attempt, let digest):
            try await upstream.packStored(build, attempt, manifest: digest)
        case .reportLost(let build):
            try await upstream.packLost(build, detail: "missing or damaged in the store of \(name)")
        }
    }

    private func manifest(_ digest: Digest) async throws -> Manifest {
        let upstream = upstream
        let key = try await keys.key { try await upstream.releaseKey() }
        return try await store.manifest(digest, trusting: key) { try await upstream.manifest(digest) }
    }

    private func verifyUpload(_ build: BuildID, _ attempt: AttemptNumber, _ digest: Digest) async throws {
        let manifest = try await manifest(digest)
        guard let path = try await store.localPath(RegionKey.pack(build, attempt)) else {
            return try await upstream.uploadFailed(
                build, attempt,
                detail: "the pack is not in the store of \(name): it was reported before it was uploaded")
        }
        do throws(PackFailure) {
            try await readBack(path, manifest)
        } catch {
            try? await store.delete(RegionKey.pack(build, attempt))
            return try await upstream.uploadFailed(
                build, attempt, detail: "the pack in the store of \(name) is not what its manifest says: \(error)")
        }
        try await stored(build, attempt, manifest)
    }

    private func copy(
        _ pack: PackName, _ attempt: AttemptNumber, _ digest: Digest, from regions: [RegionName]
    ) async throws {
        let manifest = try await manifest(digest)
        let key = RegionKey.pack(pack.build, attempt)
        if try await store.localPath(key) == nil {
            let endpoints = try await mirrors(of: regions)
            let upload = try await store.beginUpload(
                RegionKey.upload(pack.build, attempt), bytes: manifest.totals.packedLength)
            try await PackCopier(logger: logger).copy(manifest, pack, into: upload, from: endpoints)
            try await upload.finish(as: key)
        }
        guard let path = try await store.localPath(key) else {
            throw BlobFailure(.notFound, "the copy of \(pack) is gone from the store")
        }
        do throws(PackFailure) {
            try await readBack(path, manifest)
        } catch {
            try? await store.delete(key)
            throw error
        }
        try await stored(pack.build, attempt, manifest)
    }

    /// Where the packs of other regions are fetched, nearest knowledge first.
    private func mirrors(of regions: [RegionName]) async throws -> [String] {
        let neighbours = try await engine.read { state, _ in regions.compactMap { state.neighbours[$0]?.endpoint } }
        var mirrors: [String] = []
        for endpoint in neighbours {
            let client = RegionClient(endpoint: endpoint, actor: .region(name), settings: .withoutRetries)
            if let answer = try? await client.region() { mirrors.append(answer.mirrorEndpoint) }
        }
        guard !mirrors.isEmpty else {
            throw BlobFailure(.notFound, "none of the regions \(regions.map(\.rawValue)) answers")
        }
        return mirrors
    }

    private static let hashing = DispatchQueue(label: "drover.region.hashing", attributes: .concurrent)

    /// Hashes every piece on a thread of its own, away from the event loops.
    private func readBack(_ path: String, _ manifest: Manifest) async throws(PackFailure) {
        let result: Result<Void, PackFailure> = await withCheckedContinuation { continuation in
            Self.hashing.async {
                continuation.resume(
                    returning: Result { () throws(PackFailure) in
                        try PackReader(path: path, manifest: manifest).verifyPacked()
                    })
            }
        }
        try result.get()
    }

    private func stored(_ build: BuildID, _ attempt: AttemptNumber, _ manifest: Manifest) async throws {
        let outcome = try await engine.submit(
            .packStored(build, attempt, manifest: manifest.digest), actor: .projector("mirror"), isDerived: true)
        if case .refused(let refusal, _) = outcome { throw refusal }
    }

    /// Offers a stored pack to the peers; one that is gone from the store is a fact for the log.
    private func offer(_ build: BuildID, _ pack: RegionPack) async throws {
        let manifest = try await manifest(pack.manifest)
        let key = RegionKey.pack(build, pack.attempt)
        guard let path = try await store.localPath(key),
            try await store.information(key)?.bytes == manifest.totals.packedLength
        else {
            _ = try await engine.submit(
                .packLost(build, detail: "missing from the store, or of another length"), actor: .projector("mirror"),
                isDerived: true)
            return
        }
        let layout = try manifest.layout()
        let (toPeers, toOthers) = (sentCounter(pack.app, build, to: "peer"), sentCounter(pack.app, build, to: "other"))
        let shared = try SharedPack(
            manifest: manifest, paths: [path],
            verified: PieceSet(pieceCount: layout.pieceCount, pieces: 0..<layout.pieceCount), clock: clock,
            ledger: ledger, seed: build.rawValue
        ) { bytes, peer in (peer == nil ? toOthers : toPeers).increment(by: Int64(clamping: bytes)) }
        shelf.put(shared, as: PackName(app: pack.app, build: build))
    }

    /// Packed bytes that the mirror gave away of one build. Divided by the pack's length: the copies it sent.
    private func sentCounter(_ app: AppName, _ build: BuildID, to receiver: String) -> Counter {
        Counter(
            label: "drover_mirror_sent_bytes",
            dimensions: [("app", app.rawValue), ("build", build.description), ("to", receiver)], factory: metrics)
    }
}

/// Builds that are being worked on, so that none is worked on twice at once.
private final class WorkInProgress: Sendable {
    private let builds = Mutex<Set<BuildID>>([])

    /// False when it is being worked on, or when as many as the limit are.
    func begin(_ build: BuildID, limit: Int) -> Bool {
        builds.withLock { $0.count < limit && $0.insert(build).inserted }
    }

    func end(_ build: BuildID) { _ = builds.withLock { $0.remove(build) } }
}

/// The release key's public half: learnt once from the global process, then from this region's own disk, so that a
/// region that is cut off still starts.
final class ReleaseKeyBox: Sendable {
    private let path: String
    private let known: Mutex<[UInt8]?>

    init(path: String) {
        self.path = path
        let stored = try? String(contentsOfFile: path, encoding: .utf8)
        known = Mutex(stored.flatMap { bytesFromHex($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
    }

    var value: [UInt8]? { known.withLock { $0 } }

    func key(fetch: () async throws -> [UInt8]) async throws -> [UInt8] {
        if let value { return value }
        let key = try await fetch()
        try Data((hexadecimal(key) + "\n").utf8).write(to: URL(filePath: path), options: .atomic)
        known.withLock { $0 = key }
        return key
    }
}
