internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// A client's connections, kept open between questions. Only its event loop touches it.
final class ConnectionPool {
    /// Beyond as many, a connection is closed when its question is answered.
    private static let maximumIdle = 8
    /// Shorter than servers wait for the next question.
    private static let idleSeconds: Int64 = 45

    private let settings: PieceClientSettings
    private let loop: any EventLoop
    private var idle: [PackEndpoint: [SourceConnection]] = [:]
    private var open: [ObjectIdentifier: any Channel] = [:]
    private var isShutDown = false
    private lazy var tls = Result { try NIOSSLContext(configuration: settings.tls ?? .makeClientConfiguration()) }

    init(_ settings: PieceClientSettings, _ loop: any EventLoop) { (self.settings, self.loop) = (settings, loop) }

    /// The reader may be called before this returns.
    func ask(_ question: Question, _ reader: any AnswerReader) -> Asking {
        let silence = settings.silenceMilliseconds + question.waitMilliseconds
        let asking = Asking(question, reader, silenceMilliseconds: silence)
        begin(asking)
        return asking
    }

    private func begin(_ asking: Asking) {
        while let connection = idle[asking.question.endpoint]?.popLast() {
            guard connection.channel.isActive else { continue }
            return connection.begin(asking)
        }
        connect(asking)
    }

    private func connect(_ asking: Asking) {
        guard !isShutDown else { return asking.end(SourceFailure(.unreachable, "the client was shut down")) }
        let endpoint = asking.question.endpoint
        let bound = NIOLoopBound(self, eventLoop: loop)
        let connecting = ClientBootstrap(group: loop)
            .connectTimeout(.milliseconds(settings.connectMilliseconds))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 128 << 10))
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
        try pipeline.addHTTPClientHandlers()
        try pipeline.addHandler(SourceConnection(channel, endpoint, self))
    }

    private func connected(_ channel: any Channel, _ asking: Asking) {
        guard !isShutDown, !asking.isOver,
            let connection = try? channel.pipeline.syncOperations.handler(type: SourceConnection.self)
        else {
            channel.close(promise: nil)
            return asking.end(SourceFailure(.unreachable, "\(asking.question.endpoint) is asked no more"))
        }
        open[ObjectIdentifier(channel)] = channel
        connection.begin(asking)
    }

    // MARK: From connections

    /// Its answer is whole.
    func isFree(_ connection: SourceConnection) {
        guard !isShutDown, idle[connection.endpoint, default: []].count < Self.maximumIdle else {
            return connection.channel.close(promise: nil)
        }
        idle[connection.endpoint, default: []].append(connection)
        connection.closeWhenIdle(after: .seconds(Self.idleSeconds))
    }

    func isClosed(_ connection: SourceConnection) {
        open[ObjectIdentifier(connection.channel)] = nil
        idle[connection.endpoint]?.removeAll { $0 === connection }
        if idle[connection.endpoint]?.isEmpty == true { idle[connection.endpoint] = nil }
    }

    /// A connection that had been idle was closed before it answered anything: the server had closed it already.
    func again(_ asking: Asking) { connect(asking) }

    func shutdown() -> EventLoopFuture<Void> {
        isShutDown = true
        return EventLoopFuture.andAllComplete(open.values.map { $0.close() }, on: loop)
    }
}

/// A question under way. Only its event loop touches it.
final class Asking {
    let question: Question
    let silenceMilliseconds: Int64
    private let reader: any AnswerReader
    private(set) var isOver = false
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
        connection?.channel.close(promise: nil)
        reader.ended(failure)
    }
}
