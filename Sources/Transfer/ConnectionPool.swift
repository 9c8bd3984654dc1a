internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// A client's connections, kept open between questions. Only its event loop touches it.
final class ConnectionPool {
    /// Shorter than servers wait for the next question.
    static let idleMilliseconds: Int64 = 45_000

    /// Room for one read.
    static let readBytes = 128 << 10
    /// Between two reads of one connection that brought little.
    private static let readPauseMilliseconds: Int64 = 12

    private let settings: PieceClientSettings
    private let loop: any EventLoop
    private var connections: [PackEndpoint: [SourceConnection]] = [:]
    private var isShutDown = false
    private var waitingToRead: [SourceConnection] = []
    private lazy var tls = Result { try NIOSSLContext(configuration: settings.tls ?? .makeClientConfiguration()) }

    init(_ settings: PieceClientSettings, _ loop: any EventLoop) { (self.settings, self.loop) = (settings, loop) }

    /// The reader may be called before this returns.
    func ask(_ question: Question, _ reader: any AnswerReader) -> Asking {
        let silence = settings.silenceMilliseconds + question.waitMilliseconds
        let asking = Asking(question, reader, silenceMilliseconds: silence)
        begin(asking)
        return asking
    }

    /// A short question behind others; else on a connection that has nothing to do, or a new one.
    private func begin(_ asking: Asking) {
        let known = connections[asking.question.endpoint] ?? []
        let most = asking.question.isShort ? SourceConnection.maximumQuestions : 0
        var best: (connection: SourceConnection, load: Int)?
        for connection in known {
            guard let load = connection.load, load <= most, load > best?.load ?? -1 else { continue }
            best = (connection, load)
        }
        if let best { best.connection.begin(asking) } else { connect(asking) }
    }

    private func connect(_ asking: Asking) {
        guard !isShutDown else { return asking.end(SourceFailure(.unreachable, "the client was shut down")) }
        let endpoint = asking.question.endpoint
        let bound = NIOLoopBound(self, eventLoop: loop)
        let connecting = ClientBootstrap(group: loop)
            .connectTimeout(.milliseconds(settings.connectMilliseconds))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.autoRead, value: false)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.readBytes))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.configure(channel, endpoint) }
            }
            .connect(host: endpoint.host, port: endpoint.port)
        connecting.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let channel): connected(channel, asking)
            case .failure(let error):
                asking.end(SourceFailure(.unreachable, "\(endpoint) does not answer: \(error)"))
            }
        }
    }

    private func configure(_ channel: any Channel, _ endpoint: PackEndpoint) throws {
        let pipeline = channel.pipeline.syncOperations
        if endpoint.isTLS {
            let isAddress = (try? SocketAddress(ipAddress: endpoint.host, port: endpoint.port)) != nil
            try pipeline.addHandler(
                NIOSSLClientHandler(context: tls.get(), serverHostname: isAddress ? nil : endpoint.host))
        }
        try pipeline.addHTTPClientHandlers(enableOutboundHeaderValidation: false)
        try pipeline.addHandler(SourceConnection(channel, endpoint, self))
    }

    private func connected(_ channel: any Channel, _ asking: Asking) {
        guard !isShutDown, !asking.isOver,
            let connection = try? channel.pipeline.syncOperations.handler(type: SourceConnection.self)
        else {
            channel.close(promise: nil)
            return asking.end(SourceFailure(.unreachable, "\(asking.question.endpoint) is asked no more"))
        }
        guard channel.isActive else {
            return asking.end(SourceFailure(.unreachable, "\(asking.question.endpoint) broke off"))
        }
        connections[connection.endpoint, default: []].append(connection)
        channel.read()
        connection.begin(asking)
    }

    // MARK: From connections

    /// Together with all others that wait.
    func readLater(_ connection: SourceConnection) {
        waitingToRead.append(connection)
        guard waitingToRead.count == 1 else { return }
        loop.assumeIsolated().scheduleTask(in: .milliseconds(Self.readPauseMilliseconds)) { [self] in
            let waiting = waitingToRead
            waitingToRead = []
            for connection in waiting { connection.channel.read() }
        }
    }

    func isClosed(_ connection: SourceConnection) {
        connections[connection.endpoint]?.removeAll { $0 === connection }
        if connections[connection.endpoint]?.isEmpty == true { connections[connection.endpoint] = nil }
    }

    /// Its connection was closed before anything of the answer came.
    func again(_ asking: Asking) {
        guard !asking.isOver else { return }
        guard !asking.hasBeenRepeated else {
            return asking.end(SourceFailure(.unreachable, "\(asking.question.endpoint) broke off twice"))
        }
        asking.hasBeenRepeated = true
        connect(asking)
    }

    func shutdown() -> EventLoopFuture<Void> {
        isShutDown = true
        return EventLoopFuture.andAllComplete(connections.values.flatMap { $0 }.map { $0.channel.close() }, on: loop)
    }
}

/// A question under way. Only its event loop touches it.
final class Asking {
    let question: Question
    let silenceMilliseconds: Int64
    private let reader: any AnswerReader
    private(set) var isOver = false
    fileprivate var hasBeenRepeated = false
    weak var connection: SourceConnection?

    init(_ question: Question, _ reader: any AnswerReader, silenceMilliseconds: Int64) {
        (self.question, self.reader, self.silenceMilliseconds) = (question, reader, silenceMilliseconds)
    }

    /// Nobody wants the answer any more.
    func cancel() { end(SourceFailure(.unreachable, "the question was taken back")) }

    /// What came; an answer that is not what was asked for ends it.
    func take(_ part: HTTPClientResponsePart) {
        guard !isOver else { return }
        do throws(SourceFailure) {
            switch part {
            case .head(let head): try reader.began(head)
            case .body(let bytes): try reader.came(bytes)
            case .end:
                isOver = true
                reader.ended(nil)
            }
        } catch {
            end(error)
        }
    }

    /// Ends it without the whole answer: its connection can serve no other.
    func end(_ failure: SourceFailure) {
        guard !isOver else { return }
        isOver = true
        connection?.drop(self)
        reader.ended(failure)
    }
}
