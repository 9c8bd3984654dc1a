import Client
import Domain
import Engine
import Logging
import ServiceLifecycle

/// Tells the global process this region's numbers: the latest of each app, when they change, at most one call a second;
/// and that it lives, every ten.
struct LevelReporter: Service {
    static let leastPauseMilliseconds: Int64 = 1000
    static let aliveMilliseconds: Int64 = 10_000

    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var told: [RegionLevel]?
            while !Task.isCancelled {
                let position = engine.head
                told = await report(told) ?? told
                try? await Task.sleep(for: .milliseconds(Self.leastPauseMilliseconds))
                _ = await engine.waitForChange(
                    after: position.sequence, timeoutMilliseconds: Self.aliveMilliseconds)
            }
        }
    }

    /// What was told; nil when it did not arrive.
    private func report(_ told: [RegionLevel]?) async -> [RegionLevel]? {
        do {
            let levels = try await engine.read { state, _ in
                state.targets.keys.sorted().compactMap { state.level(of: $0) }
            }
            try await upstream.report(levels)
            return levels
        } catch {
            logger.info("the levels were not told", metadata: ["failure": "\(error)"])
            return nil
        }
    }
}
