import Blobs
import Client
import Domain
import Engine
import Logging
import Ports
import ServiceLifecycle

/// Tells the global process how full this region's store is: its packs, over what they may take.
struct StoreReporter: Service {
    /// Between two looks; each costs the packs.
    static let lookMilliseconds: Int64 = 10_000

    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let store: DirectoryBlobStore
    /// What packs may take at most; nil for all that is free.
    let maximumBytes: UInt64?
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var told = ToldStore()
            while !Task.isCancelled {
                do {
                    let (epoch, used) = try await engine.read { state, _ in (state.position?.epoch, state.storedBytes) }
                    let level = try await level(used)
                    if let news = told.looked(at: level, follows: epoch) {
                        try await upstream.reportStore(news)
                        told.told(news)
                    }
                } catch {
                    if (error as? EngineFailure)?.code == .stopped { return }
                    if !Task.isCancelled { logger.info("the store was not told", metadata: ["failure": "\(error)"]) }
                }
                try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
            }
        }
    }

    private func level(_ used: UInt64) async throws(BlobFailure) -> StoreLevel {
        let (free, disk) = (try await store.room(), try await store.capacity().totalBytes)
        guard let maximumBytes else { return StoreLevel(usedBytes: used, freeBytes: free, sizeBytes: disk) }
        let left = maximumBytes > used ? maximumBytes - used : 0
        return StoreLevel(usedBytes: used, freeBytes: min(free, left), sizeBytes: maximumBytes)
    }
}
