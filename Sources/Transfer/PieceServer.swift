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
    let settings: PieceServerSettings
    let catalog: any PackCatalog
    /// Nil where the region tells peers of each other.
    let tracker: SwarmDirectory?
    let slots: UploadSlots
    let rate: UploadRate
    let files = NonBlockingFileIO(threadPool: .singleton)
    private let logger: Logger
    private let listener: NIOAsyncChannel<any Channel, Never>
    private let connections: OpenConnections

    typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    /// Listens from now on; `run` answers.
    package static func bind(
        _ settings: PieceServerSettings, catalog: any PackCatalog, tracker: SwarmDirectory? = nil, logger: Logger
    ) async throws(TransferFailure) -> PieceServer {
        do {
            let tls = try settings.tls.map { try NIOSSLContext(configuration: $0) }
            let connections = OpenConnections(maximum: settings.maximumConnections)
            let listener = try await bootstrap(logger).bind(host: settings.host, port: settings.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Self.configure(channel, settings, tls)
                    if !connections.add(channel) { channel.close(promise: nil) }
                    return channel
                }
            }
            let local = listener.channel.localAddress
            let address = BoundAddress(
                host: local?.ipAddress ?? settings.host, port: local?.port ?? settings.port)
            return PieceServer(settings, catalog, tracker, logger, listener, connections, address)
        } catch {
            throw TransferFailure(
                .cannotListen, "cannot listen on \(settings.host):\(settings.port): \(error); choose another address")
        }
    }

    private init(
        _ settings: PieceServerSettings, _ catalog: any PackCatalog, _ tracker: SwarmDirectory?, _ logger: Logger,
        _ listener: NIOAsyncChannel<any Channel, Never>, _ connections: OpenConnections, _ address: BoundAddress
    ) {
        (self.settings, self.catalog, self.tracker) = (settings, catalog, tracker)
        (self.logger, self.listener) = (logger, listener)
        rate = UploadRate(bytesPerSecond: settings.uploadBytesPerSecond)
        (self.connections, self.address) = (connections, address)
        slots = UploadSlots(
            slots: settings.uploadSlots, waiting: settings.waitingUploads,
            waitMilliseconds: settings.uploadWaitMilliseconds)
    }

    private static func bootstrap(_ logger: Logger) -> ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptErrorGuard { logger.warning("a connection was not accepted: \($0)") })
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
    }

    private static func configure(
        _ channel: any Channel, _ settings: PieceServerSettings, _ tls: NIOSSLContext?
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        let budget = RequestBudget(settings: settings)
        try pipeline.addHandler(RequestByteGuard(budget: budget))
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = settings.maximumHeadBytes
        limits.maxHeaderListSize = settings.maximumHeadBytes
        limits.maxHeaderFieldCount = settings.maximumHeaders
        try pipeline.configureHTTPServerPipeline(
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
        try pipeline.addHandler(RequestTimeGuard(budget: budget))
    }

    package var openConnections: Int { connections.count }

    /// Answers until the task is cancelled; then every connection is closed.
    package func run() async {
        defer { connections.closeAll() }
        do {
            try await listener.executeThenClose { channels in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await channel in channels { group.addTask { await self.serve(channel) } }
                }
            }
        } catch {
            if !Task.isCancelled { logger.error("the piece server at \(address) ended: \(error)") }
        }
    }

    private func serve(_ channel: any Channel) async {
        await withTaskCancellationHandler {
            guard let connection = try? await open(channel) else { return }
            try? await connection.executeThenClose { requests, _ in
                try await channel.setOption(.autoRead, value: true).get()
                try await answer(requests, on: channel)
            }
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Only now: a wrapped channel that nobody serves, because the server ends, would be a trap.
    private func open(_ channel: any Channel) async throws -> Connection {
        try await channel.eventLoop.submit {
            guard channel.isActive else { throw ChannelError.ioOnClosedChannel }
            return try Connection(wrappingChannelSynchronously: channel)
        }.get()
    }

    private func answer(
        _ requests: NIOAsyncChannelInboundStream<HTTPServerRequestPart>, on channel: any Channel
    ) async throws {
        let closed = ChangeSignal()
        channel.closeFuture.whenComplete { _ in closed.fire() }
        var head: HTTPRequestHead?
        for try await part in requests {
            switch part {
            case .head(let next): head = next
            // A GET or HEAD with a body is nothing that a client of ours sends.
            case .body: return
            case .end:
                guard let request = head.take() else { return }
                let exchange = Exchange(server: self, request: request, channel: channel, closed: closed)
                guard try await exchange.run() else { return }
            }
        }
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

    func closeAll() {
        for channel in channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}
