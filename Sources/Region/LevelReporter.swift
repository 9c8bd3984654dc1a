import Client
import Domain
import Engine
import Logging
import ServiceLifecycle

/// Tells the global process this region's numbers: the latest of each app that changed, at most one call a second; and
/// that it lives, every ten.
struct LevelReporter: Service {
    static let leastPauseMilliseconds: Int64 = 1000
    static let aliveMilliseconds: Int64 = 10_000

    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var levels = ToldLevels()
            var lastCall: ContinuousClock.Instant?
            while !Task.isCancelled {
                let position = engine.head
                await look(&levels)
                let isAlive = lastCall.map { $0.duration(to: .now) < .milliseconds(Self.aliveMilliseconds) } ?? false
                if !levels.isUpToDate || !isAlive {
                    await report(&levels)
                    lastCall = .now
                }
                try? await Task.sleep(for: .milliseconds(Self.leastPauseMilliseconds))
                guard levels.isUpToDate else { continue }
                _ = await engine.waitForChange(
                    after: position.sequence, timeoutMilliseconds: Self.aliveMilliseconds)
            }
        }
    }

    /// Costs the apps that changed.
    private func look(_ levels: inout ToldLevels) async {
        guard let epoch = try? await engine.read({ state, _ in state.position?.epoch }) else { return }
        levels.follows(epoch)
        let seen = levels.seen
        let look = try? await engine.read { state, _ in
            (state.apps(changedAfter: seen).compactMap { state.level(of: $0) }, state.levelChanges.count)
        }
        if let look { levels.looked(at: look.0, count: look.1) }
    }

    private func report(_ levels: inout ToldLevels) async {
        let news = levels.report
        do {
            try await upstream.report(news)
            levels.told(news)
        } catch {
            if !Task.isCancelled { logger.info("the levels were not told", metadata: ["failure": "\(error)"]) }
        }
    }
}
