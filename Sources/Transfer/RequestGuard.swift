internal import NIOCore
internal import NIOHTTP1

/// What both guards of a connection know. Only its event loop touches it.
final class RequestBudget {
    let settings: PieceServerSettings
    /// Bytes since the last whole request.
    var headBytes = 0
    private let deadline: LazyDeadline
    private var hasBegun = false

    init(settings: PieceServerSettings, channel: any Channel) {
        self.settings = settings
        deadline = LazyDeadline(channel.eventLoop) { channel.close(promise: nil) }
    }

    /// A new request may come.
    func awaitRequest() {
        (headBytes, hasBegun) = (0, false)
        deadline.set(milliseconds: settings.idleMilliseconds)
    }

    func bytesCame() {
        guard !hasBegun else { return }
        hasBegun = true
        deadline.set(milliseconds: settings.headMilliseconds)
    }

    func requestEnded() {
        headBytes = 0
        deadline.clear()
    }

    func end() { deadline.end() }
}

/// Before the HTTP decoder: cuts off who sends more than a request's head may have.
final class RequestByteGuard: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let budget: RequestBudget

    init(budget: RequestBudget) { self.budget = budget }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        budget.headBytes += unwrapInboundIn(data).readableBytes
        guard budget.headBytes <= budget.settings.maximumHeadBytes else {
            context.close(promise: nil)
            return
        }
        budget.bytesCame()
        context.fireChannelRead(data)
    }
}

/// After the HTTP handlers: ends the time for a request when it is whole, starts it when the answer is.
final class RequestTimeGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let budget: RequestBudget

    init(budget: RequestBudget) { self.budget = budget }

    func handlerAdded(context: ChannelHandlerContext) { budget.awaitRequest() }

    func channelInactive(context: ChannelHandlerContext) {
        budget.end()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head, .body: break
        case .end: budget.requestEnded()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head, .body: break
        case .end: budget.awaitRequest()
        }
        context.write(data, promise: promise)
    }

    /// A broken request breaks its connection, nothing else.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// On the listening channel: a connection that could not be accepted (no descriptor left) must not end the server.
final class AcceptErrorGuard: ChannelInboundHandler {
    typealias InboundIn = Channel
    typealias InboundOut = Channel

    private let report: @Sendable (any Error) -> Void

    init(report: @escaping @Sendable (any Error) -> Void) { self.report = report }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { report(error) }
}
