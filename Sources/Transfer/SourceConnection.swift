internal import NIOCore
internal import NIOHTTP1

/// A client's connection to one server: one question after the other. Only its event loop touches it.
final class SourceConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    let channel: any Channel
    let endpoint: PackEndpoint
    private let pool: ConnectionPool
    private var asking: Asking?
    private var isKeptAlive = true
    /// It has answered something before, and nothing of what it is asked now.
    private var mayBeStale = false
    private var heardAt = NIODeadline.now()
    private var timer: Scheduled<Void>?

    init(_ channel: any Channel, _ endpoint: PackEndpoint, _ pool: ConnectionPool) {
        (self.channel, self.endpoint, self.pool) = (channel, endpoint, pool)
    }

    func begin(_ asking: Asking) {
        mayBeStale = timer != nil
        self.asking = asking
        asking.connection = self
        heardAt = .now()
        watch(asking, .milliseconds(asking.silenceMilliseconds))
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: asking.question.path, headers: asking.question.headers)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    /// Silence ends the question. Looked at when it could be over, not at every byte.
    private func watch(_ asking: Asking, _ wait: TimeAmount) {
        timer?.cancel()
        timer = channel.eventLoop.assumeIsolated().scheduleTask(in: wait) { [self] in
            guard self.asking === asking else { return }
            let end = heardAt + .milliseconds(asking.silenceMilliseconds)
            guard end <= .now() else { return watch(asking, end - .now()) }
            asking.end(SourceFailure(.unreachable, "\(endpoint) has been silent for too long"))
        }
    }

    func closeWhenIdle(after wait: TimeAmount) {
        let channel = channel
        timer?.cancel()
        timer = channel.eventLoop.scheduleTask(in: wait) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        // Nobody asked for it.
        guard let asking else { return context.close(promise: nil) }
        heardAt = .now()
        mayBeStale = false
        switch part {
        case .head(let head):
            isKeptAlive = head.isKeepAlive
            asking.take(part)
        case .body: asking.take(part)
        case .end:
            self.asking = nil
            if !asking.isOver {
                asking.connection = nil
                if isKeptAlive { pool.isFree(self) } else { context.close(promise: nil) }
            }
            asking.take(part)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        pool.isClosed(self)
        if let asking {
            self.asking = nil
            if mayBeStale, !asking.isOver {
                pool.again(asking)
            } else {
                asking.end(SourceFailure(.unreachable, "\(endpoint) broke off"))
            }
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !mayBeStale { asking?.end(SourceFailure(.unreachable, "\(endpoint) broke off: \(error)")) }
        context.close(promise: nil)
    }
}
