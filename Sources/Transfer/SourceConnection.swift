internal import NIOCore
internal import NIOHTTP1

/// A client's connection to one server: questions are answered in their order. Only its event loop touches it.
final class SourceConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// Questions on their way at once: the next answer begins where the last one ends, without a pause between.
    static let maximumQuestions = 4

    let channel: any Channel
    let endpoint: PackEndpoint
    private let pool: ConnectionPool
    /// In the order of their answers.
    private var askings: [Asking] = []
    private var isKeptAlive = true
    private var hasAnswered = false
    /// Something of the first question's answer is here.
    private var isAnswering = false
    private lazy var silence = LazyDeadline(channel.eventLoop) { [weak self] in self?.isSilent() }
    /// Of this turn of the loop.
    private var bytesRead = 0

    init(_ channel: any Channel, _ endpoint: PackEndpoint, _ pool: ConnectionPool) {
        (self.channel, self.endpoint, self.pool) = (channel, endpoint, pool)
    }

    /// Questions that are not answered yet; nil when it takes no more.
    var load: Int? {
        let canTakeMore = channel.isActive && isKeptAlive && askings.count < Self.maximumQuestions
        return canTakeMore && askings.allSatisfy(\.question.isShort) ? askings.count : nil
    }

    func begin(_ asking: Asking) {
        askings.append(asking)
        asking.connection = self
        if askings.count == 1 { awaitAnswer() }
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: asking.question.path, headers: asking.question.headers)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    private func awaitAnswer() {
        isAnswering = false
        if let first = askings.first {
            silence.set(milliseconds: first.silenceMilliseconds)
        } else {
            silence.set(milliseconds: ConnectionPool.idleMilliseconds)
        }
    }

    private func isSilent() {
        guard let first = askings.first else { return channel.close(promise: nil) }
        isAnswering = true
        first.end(SourceFailure(.unreachable, "\(endpoint) has been silent for too long"))
        channel.close(promise: nil)
    }

    /// Its answer is wanted no more. One that has not begun may come and is dropped.
    func drop(_ asking: Asking) {
        guard askings.first === asking else { return }
        isAnswering = true
        channel.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        // Nobody asked for it.
        guard let asking = askings.first else { return context.close(promise: nil) }
        isAnswering = true
        switch part {
        case .head(let head):
            isKeptAlive = isKeptAlive && head.isKeepAlive
            asking.take(part)
        case .body(let bytes):
            bytesRead += bytes.readableBytes
            silence.set(milliseconds: asking.silenceMilliseconds)
            asking.take(part)
        case .end:
            askings.removeFirst()
            hasAnswered = true
            awaitAnswer()
            if !isKeptAlive { context.close(promise: nil) }
            asking.take(part)
        }
    }

    /// Where little comes at a time, all is read together a little later: one wake-up, and one acknowledgement, for many
    /// packets.
    func channelReadComplete(context: ChannelHandlerContext) {
        if bytesRead < ConnectionPool.readBytes / 2 { pool.readLater(self) } else { context.read() }
        bytesRead = 0
        context.fireChannelReadComplete()
    }

    /// A question whose answer had not begun is asked again elsewhere, once: the server may have closed a connection that
    /// had been idle, or it answered one before it and was done.
    func channelInactive(context: ChannelHandlerContext) {
        silence.end()
        pool.isClosed(self)
        let (lost, canRepeat) = (askings, hasAnswered)
        askings = []
        for (place, asking) in lost.enumerated() {
            if place > 0 || !isAnswering, canRepeat || place > 0 {
                pool.again(asking)
            } else {
                asking.end(SourceFailure(.unreachable, "\(endpoint) broke off"))
            }
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isAnswering || !hasAnswered {
            askings.first?.end(SourceFailure(.unreachable, "\(endpoint) broke off: \(error)"))
        }
        context.close(promise: nil)
    }
}
