import NIOCore
import NIOPosix

/// A port on loopback where connections are taken and nothing is ever answered.
struct ListeningSocket {
    private let channel: any Channel

    init() throws {
        channel = try ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    var port: Int { channel.localAddress?.port ?? 0 }

    func close() { channel.close(promise: nil) }
}
