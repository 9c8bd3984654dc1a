import Domain
import Engine
import Logging
import ServiceLifecycle
import Views

/// Keeps the views at the log's durable head.
struct ViewsFollower<Mapping: ViewMapping, A: Aggregate>: Service where Mapping.Event == A.Event {
    static var retryMilliseconds: Int64 { 1000 }
    static var maximumRetryMilliseconds: Int64 { 60_000 }
    /// From one transaction to the next, unless somebody waits to read: a commit of the log each would be many.
    static var gatherMilliseconds: Int { 10 }

    let views: Views<Mapping>
    let engine: EngineService<A>
    let logger: Logger

    func run() async throws {
        await withGracefulShutdownHandler {
            await cancelWhenGracefulShutdown { await follow() }
        } onGracefulShutdown: {
            views.closeAside()
        }
        await withCheckedContinuation { continuation in views.closeAside { continuation.resume() } }
    }

    /// Failures, and files made again one after the other, are ever further apart.
    private func follow() async {
        var troubles = 0
        while !Task.isCancelled {
            let (rebuilds, start) = (views.rebuilds, ContinuousClock.now)
            do throws(ViewsFailure) {
                let position = try await views.catchUp(from: engine.store)
                if views.rebuilds == rebuilds {
                    troubles = 0
                    _ = await engine.waitForChange(after: position.sequence, timeoutMilliseconds: 10_000)
                    let spent = start.duration(to: .now) / .milliseconds(1)
                    if spent < Double(Self.gatherMilliseconds) {
                        await views.rest(milliseconds: Self.gatherMilliseconds - Int(spent))
                    }
                    continue
                }
            } catch {
                if error.code == .closed { return }
                logger.error("the views do not follow", metadata: ["failure": "\(error)"])
            }
            troubles += 1
            let pause = Self.retryMilliseconds << min(troubles - 1, 16)
            try? await Task.sleep(for: .milliseconds(min(pause, Self.maximumRetryMilliseconds)))
        }
    }
}
