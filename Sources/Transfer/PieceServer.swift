package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Where a server listens.
package struct BoundAddress: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    /// As in `127.0.0.1:9000`, `[::1]:9000`.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Serves packs by HTTP/1.1: GET and HEAD of
///
/// * `/v1/packs/APP/ID`: the packed bytes, verified ones only, whole or by single range; ETag is the Merkle root;
/// * `/v1/packs/APP/ID/manifest`;
/// * `/v1/packs/APP/ID/torrent`: what a BitTorrent v2 client takes the packed bytes with, from here;
/// * `/v1/packs/APP/ID/have`: which pieces are here;
/// * `/v1/packs/APP/ID/haves`: the same, then what comes, for as long as the connection holds;
/// * `/v1/packs/APP/ID/offer?after=VERSION&wait=10s&wanted=1,2`: what a mirror lets the peer take that the header
///   `Drover-Peer` names;
/// * `/v1/packs/APP/ID/announce?port=9000&zone=a&rack=7`, of a tracker: whom to ask beside it;
/// * `/v1/packs`: which packs are here, and the key that signed them.
///
/// Errors are problem documents. The same server stands in peers and in mirrors.
package final class PieceServer: Sendable {
    package let address: BoundAddress
    let desk: ServerDesk
    private let listener: any Channel
    private let logger: Logger

    /// Listens from now on; `run` answers.
    package static func bind(
        _ settings: PieceServerSettings, catalog: any PackCatalog, tracker: SwarmDirectory? = nil, logger: Logger
    ) async throws(TransferFailure) -> PieceServer {
        let desk = ServerDesk(settings, catalog, tracker)
        do {
            let tls = try settings.tls.map { try NIOSSLContext(configuration: $0) }
            let listener = try await bootstrap(desk, tls, logger).bind(host: settings.host, port: settings.port).get()
            return PieceServer(desk, listener, logger)
        } catch {
            throw TransferFailure(
                .cannotListen, "cannot listen on \(settings.host):\(settings.port): \(error); choose another address")
        }
    }

    private init(_ desk: ServerDesk, _ listener: any Channel, _ logger: Logger) {
        (self.desk, self.listener, self.logger) = (desk, listener, logger)
        let local = listener.localAddress
        address = BoundAddress(
            host: local?.ipAddress ?? desk.settings.host, port: local?.port ?? desk.settings.port)
    }

    private static func bootstrap(_ desk: ServerDesk, _ tls: NIOSSLContext?, _ logger: Logger) -> ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.autoRead, value: false)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptErrorGuard { logger.warning("a connection was not accepted: \($0)") })
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard desk.connections.add(channel) else { return channel.close(promise: nil) }
                    try configure(channel, desk, tls)
                }
            }
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
    }

    private static func configure(_ channel: any Channel, _ desk: ServerDesk, _ tls: NIOSSLContext?) throws {
        let (pipeline, settings) = (channel.pipeline.syncOperations, desk.settings)
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        let budget = RequestBudget(settings: settings, channel: channel)
        try pipeline.addHandler(RequestByteGuard(budget: budget))
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = settings.maximumHeadBytes
        limits.maxHeaderListSize = settings.maximumHeadBytes
        limits.maxHeaderFieldCount = settings.maximumHeaders
        try pipeline.configureHTTPServerPipeline(
            withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
            withDecoderLimitConfiguration: limits)
        try pipeline.addHandlers([RequestTimeGuard(budget: budget), PackConnection(desk: desk, channel: channel)])
    }

    package var openConnections: Int { desk.connections.count }

    /// Answers until the task is cancelled; then every connection is closed.
    package func run() async {
        let listener = listener
        await withTaskCancellationHandler {
            do {
                try await listener.setOption(.autoRead, value: true).get()
                try await listener.closeFuture.get()
            } catch {
                logger.error("the piece server at \(address) ended: \(error)")
            }
        } onCancel: {
            listener.close(promise: nil)
        }
        await desk.connections.closeAll()
    }
}

/// What all connections of a server have in common.
final class ServerDesk: Sendable {
    let settings: PieceServerSettings
    let catalog: any PackCatalog
    /// Nil where the region tells peers of each other.
    let tracker: SwarmDirectory?
    let slots: UploadSlots
    let rate: UploadRate
    let files = NonBlockingFileIO(threadPool: .singleton)
    fileprivate let connections: OpenConnections

    init(_ settings: PieceServerSettings, _ catalog: any PackCatalog, _ tracker: SwarmDirectory?) {
        (self.settings, self.catalog, self.tracker) = (settings, catalog, tracker)
        connections = OpenConnections(maximum: settings.maximumConnections)
        slots = UploadSlots(slots: settings.uploadSlots, waiting: settings.waitingUploads)
        rate = UploadRate(bytesPerSecond: settings.uploadBytesPerSecond)
    }
}

/// The connections of one server: at most so many, and all closed at its end.
private final class OpenConnections: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    var count: Int { channels.withLock { $0.count } }

    /// False when there are enough.
    func add(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let isAdded = channels.withLock { channels in
            guard channels.count < maximum else { return false }
            channels[id] = channel
            return true
        }
        if isAdded { channel.closeFuture.whenComplete { _ in self.channels.withLock { $0[id] = nil } } }
        return isAdded
    }

    /// Those that are accepted meanwhile, too.
    func closeAll() async {
        while let channel = channels.withLock({ $0.values.first }) { try? await channel.close().get() }
    }
}
