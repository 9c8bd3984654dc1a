import NIOCore
import NIOPosix
import Synchronization

/// A TCP connection that says what a test wants, and collects what comes.
final class RawConnection: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let bytes = Mutex<[UInt8]>([])

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let part = Array(unwrapInboundIn(data).readableBytesView)
            bytes.withLock { $0 += part }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    let channel: any Channel
    private let collector = Collector()

    /// `reads`: false for a client that never takes an answer.
    init(port: Int, reads: Bool = true) async throws {
        let collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { $0.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    var received: String { collector.bytes.withLock { String(decoding: $0, as: UTF8.self) } }
    var isOpen: Bool { channel.isActive }

    /// Whether the server took it.
    @discardableResult
    func send(_ text: String) async -> Bool {
        (try? await channel.writeAndFlush(ByteBuffer(string: text)).get()) != nil
    }

    /// Returns when the server has closed it.
    func closed() async { try? await channel.closeFuture.get() }

    func close() async { try? await channel.close().get() }
}
