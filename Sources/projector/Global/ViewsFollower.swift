import Domain
import Engine
import Logging
import ServiceLifecycle
import Views

/// Keeps the views at the log's durable head.
struct ViewsFollower<Mapping: ViewMapping, A: Aggregate>: Service where Mapping.Event == A.Event {
    static var retryMilliseconds: Int64 { 1000 }

    let views: Views<Mapping>
    let engine: EngineService<A>
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(ViewsFailure) {
                    let position = try await views.catchUp(from: engine.store)
                    _ = await engine.waitForChange(after: position.sequence, timeoutMilliseconds: 10_000)
                } catch {
                    logger.error("the views do not follow", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
                }
            }
        }
        views.close()
    }
}
