import NIOCore
import NIOPosix

/// One client that asks one thing after the other, with no hop between threads: on one connection for as long as the
/// server keeps it (a claim's is closed after the answer), and the next question's time begins before it is made anew.
final class Caller: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var questions: Questions
    private let deadline: NIODeadline
    private let done: EventLoopPromise<[Double]>
    private var received = ByteBuffer()
    private var latencies: [Double] = []
    private var asked = NIODeadline.now()
    /// What the last answer said: the next question comes after it.
    private var last = ""
    /// Another connection goes on, or all is said.
    private var isOver = false

    private init(_ questions: Questions, until deadline: NIODeadline, done: EventLoopPromise<[Double]>) {
        (self.questions, self.deadline, self.done) = (questions, deadline, done)
    }

    /// Goes on where another connection ended.
    private init(after other: Progress, until deadline: NIODeadline, done: EventLoopPromise<[Double]>) {
        (questions, latencies, last) = (other.questions, other.latencies, other.last)
        (self.deadline, self.done) = (deadline, done)
    }

    private struct Progress: Sendable {
        var questions: Questions
        var latencies: [Double]
        var last: String
    }

    /// Asks until the deadline; gives the latencies in milliseconds.
    static func run(
        _ questions: Questions, host: String, port: Int, on group: any EventLoopGroup, until deadline: NIODeadline
    ) async throws -> [Double] {
        let loop = group.next()
        let done = loop.makePromise(of: [Double].self)
        do {
            _ = try await ClientBootstrap(group: loop).channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            Caller(questions, until: deadline, done: done))
                    }
                }.connect(host: host, port: port).get()
        } catch {
            done.fail(error)
        }
        return try await done.futureResult.get()
    }

    func channelActive(context: ChannelHandlerContext) { ask(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        received.writeBuffer(&part)
        guard let answer = HTTPAnswer(taking: &received) else { return }
        latencies.append(Double((NIODeadline.now() - asked).nanoseconds) / 1e6)
        guard answer.status == 200 || answer.status == 201 else {
            return end(.failure(BenchmarkFailure("answered \(answer.status): \(answer.body)")), context)
        }
        last = answer.body
        asked = NIODeadline.now()
        if answer.closes { goOn(context) } else { ask(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isOver { done.fail(BenchmarkFailure("the server closed a connection")) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.failure(error), context) }

    private func ask(_ context: ChannelHandlerContext) {
        guard NIODeadline.now() < deadline else { return end(.success(latencies), context) }
        do {
            let request = try questions.request(after: last)
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        } catch {
            end(.failure(error), context)
        }
    }

    /// On a new connection.
    private func goOn(_ context: ChannelHandlerContext) {
        guard let address = context.remoteAddress else {
            return end(.failure(BenchmarkFailure("the connection has no address")), context)
        }
        isOver = true
        let progress = Progress(questions: questions, latencies: latencies, last: last)
        let (deadline, done) = (deadline, done)
        context.close(promise: nil)
        ClientBootstrap(group: context.eventLoop).channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Caller(after: progress, until: deadline, done: done))
                }
            }.connect(to: address).whenFailure { done.fail($0) }
    }

    private func end(_ result: Result<[Double], any Error>, _ context: ChannelHandlerContext) {
        isOver = true
        done.completeWith(result)
        context.close(promise: nil)
    }
}

/// A whole answer with a `Content-Length`.
private struct HTTPAnswer {
    var status: Int
    var body: String
    /// Whether the connection ends with it.
    var closes: Bool

    /// Nil, and nothing taken, while it is not all there.
    init?(taking buffer: inout ByteBuffer) {
        let bytes = buffer.readableBytesView
        guard let headEnd = Self.headEnd(bytes) else { return nil }
        let head = String(decoding: bytes[bytes.startIndex..<headEnd], as: UTF8.self).lowercased()
        guard let place = head.firstRange(of: "content-length: "),
            let length = Int(head[place.upperBound...].prefix { $0.isNumber }),
            bytes.endIndex - headEnd >= length, let status = Int(head.dropFirst(9).prefix(3))
        else { return nil }
        self.status = status
        closes = head.contains("connection: close")
        body = String(decoding: bytes[headEnd..<headEnd + length], as: UTF8.self)
        buffer.moveReaderIndex(forwardBy: headEnd - bytes.startIndex + length)
        buffer.discardReadBytes()
    }

    /// Behind the empty line.
    private static func headEnd(_ bytes: ByteBufferView) -> Int? {
        var index = bytes.startIndex
        while index + 3 < bytes.endIndex {
            if bytes[index] == 13, bytes[index + 1] == 10, bytes[index + 2] == 13, bytes[index + 3] == 10 {
                return index + 4
            }
            index += 1
        }
        return nil
    }
}
