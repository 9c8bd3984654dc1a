import Foundation
package import Hummingbird
package import HummingbirdCore
import NIOCore
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
    /// HTTP/1.1 on connections that notice when their callers go.
    package static var watchful: HTTPServerBuilder {
        .http1(configuration: HTTP1Channel.Configuration(additionalChannelHandlers: [CallerWatch()]))
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
