import Foundation
package import Hummingbird
package import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// What belongs to one request beside its bytes.
package struct ServingContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// Runs a wait on behalf of the caller. It is cancelled when the caller goes meanwhile, as nobody would hear of what
    /// it comes to; where there is no `CallerWatch` on the connection, it is not.
    package func whileCallerStays<Value: Sendable>(
        _ wait: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let watch = try? await channel.pipeline.handler(type: CallerWatch.self).get() else {
            return try await wait()
        }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await wait() }
            group.addTask {
                await watch.untilGone()
                return nil
            }
            defer { group.cancelAll() }
            guard case .some(.some(let value)) = try await group.next() else { throw CancellationError() }
            return value
        }
    }
}

extension HTTPServerBuilder {
    /// HTTP/1.1 on connections that notice when their callers go, each served on its own event loop.
    ///
    /// - Parameter hot: what is answered before the router.
    package static func watchful(
        hot: (any HotRoutes)? = nil, settings: ServingSettings = ServingSettings(),
        metrics: MetricsRegistry = MetricsRegistry()
    ) -> HTTPServerBuilder {
        let metrics = RequestMetrics(metrics)
        return HTTPServerBuilder { responder in
            let configuration = HTTP1Channel.Configuration(additionalChannelHandlers: [CallerWatch()])
            return LoopChannel(inner: HTTP1Channel(responder: responder, configuration: configuration)) {
                hot.map { HotLane(routes: $0, settings: settings, metrics: metrics) }
            }
        }
    }
}

/// A connection whose requests are worked on where its bytes arrive: no request changes threads to be read, routed and
/// answered.
private struct LoopChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let inner: HTTP1Channel
    let lane: @Sendable () -> HotLane?

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        inner.setup(channel: channel, logger: logger).flatMapThrowing { value in
            guard let lane = lane() else { return value }
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(lane, position: .after(decoder))
            return value
        }
    }

    func handle(value: Value, logger: Logger) async {
        await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
            await inner.handle(value: value, logger: logger)
        }
    }
}

/// Runs tasks on one event loop.
private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// Notices the end of what a caller sends, while its request is worked on: nothing else of the connection is read or
/// changed, so it serves on afterwards.
final class CallerWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = Any

    private struct State {
        var isGone = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { end(isGone: true) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(isGone: true)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(isGone: true)
        context.fireErrorCaught(error)
    }

    /// Returns when the caller has gone, or the task is cancelled. One at a time: a connection serves one request.
    func untilGone() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isGone || Task.isCancelled { return true }
                    state.waiting = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            end(isGone: false)
        }
    }

    private func end(isGone: Bool) {
        let waiting = state.withLock { state in
            state.isGone = state.isGone || isGone
            return state.waiting.take()
        }
        waiting?.resume()
    }
}
