import NIOCore
import NIOPosix

/// What one client says on its connection, and how it knows a whole answer.
protocol Dialogue: Sendable {
    /// The next request's bytes; nil when there is nothing more to say.
    mutating func request() throws -> String?

    /// Takes one whole answer; false, and nothing taken, while it is not all there. Throws where it is not what was
    /// asked for.
    mutating func take(_ bytes: inout ByteBuffer) throws -> Bool
}

/// One client that asks one thing after the other on one connection, with no hop between threads.
final class Caller<Talk: Dialogue>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var talk: Talk
    private let deadline: NIODeadline
    private let done: EventLoopPromise<[Double]>
    private var received = ByteBuffer()
    private var latencies: [Double] = []
    private var asked = NIODeadline.now()
    private var isOver = false

    private init(_ talk: Talk, until deadline: NIODeadline, done: EventLoopPromise<[Double]>) {
        (self.talk, self.deadline, self.done) = (talk, deadline, done)
    }

    /// Asks until the deadline; gives the latencies in milliseconds.
    static func run(
        _ talk: Talk, at address: SocketAddress, on group: any EventLoopGroup, until deadline: NIODeadline
    ) async throws -> [Double] {
        let loop = group.next()
        let done = loop.makePromise(of: [Double].self)
        do {
            _ = try await ClientBootstrap(group: loop).channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Caller(talk, until: deadline, done: done))
                    }
                }.connect(to: address).get()
        } catch {
            done.fail(error)
        }
        return try await done.futureResult.get()
    }

    /// One caller a dialogue, all on one thread; what they got done until the deadline, or until they were through.
    static func all(
        _ talks: [Talk], host: String, port: Int, seconds: Double = .infinity
    ) async throws -> LoadResult {
        let address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let start = ContinuousClock.now
        let deadline = seconds.isFinite ? NIODeadline.now() + .nanoseconds(Int64(seconds * 1e9)) : .distantFuture
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { tasks in
            for talk in talks {
                tasks.addTask { try await run(talk, at: address, on: group, until: deadline) }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        let result = LoadResult(latencies: latencies, seconds: elapsed(since: start))
        try await group.shutdownGracefully()
        return result
    }

    func channelActive(context: ChannelHandlerContext) { ask(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        received.writeBuffer(&part)
        do {
            guard try talk.take(&received) else { return }
        } catch {
            return end(.failure(error), context)
        }
        received.discardReadBytes()
        let now = NIODeadline.now()
        latencies.append(Double((now - asked).nanoseconds) / 1e6)
        asked = now
        ask(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isOver { done.fail(BenchmarkFailure("the server closed a connection")) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.failure(error), context) }

    private func ask(_ context: ChannelHandlerContext) {
        guard NIODeadline.now() < deadline else { return end(.success(latencies), context) }
        do {
            guard let request = try talk.request() else { return end(.success(latencies), context) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        } catch {
            end(.failure(error), context)
        }
    }

    private func end(_ result: Result<[Double], any Error>, _ context: ChannelHandlerContext) {
        guard !isOver else { return }
        isOver = true
        done.completeWith(result)
        context.close(promise: nil)
    }
}
