internal import Domain
internal import NIOCore
internal import NIOHTTP1
internal import Swarm
internal import Wire

/// One GET.
struct Question: Sendable {
    let endpoint: PackEndpoint
    var path: String
    var headers: HTTPHeaders
    /// Silence for this long beyond the client's own patience is no failure: the server was asked to wait.
    var waitMilliseconds: Int64 = 0

    /// The server answers as soon as it can.
    var isShort: Bool { waitMilliseconds == 0 }

    init(_ path: String, as peer: PeerName?, at endpoint: PackEndpoint) {
        (self.path, self.endpoint) = (path, endpoint)
        headers = [
            "Host": endpoint.host.contains(":")
                ? "[\(endpoint.host)]:\(endpoint.port)" : "\(endpoint.host):\(endpoint.port)"
        ]
        if let peer { headers.add(name: TransferHeader.peer, value: peer.rawValue) }
    }

    init(range: Range<UInt64>, of pack: PackName, as peer: PeerName?, at endpoint: PackEndpoint) {
        self.init(PackPath.of(pack, ""), as: peer, at: endpoint)
        headers.add(name: "Range", value: "bytes=\(range.lowerBound)-\(range.upperBound - 1)")
    }
}

/// Takes an answer apart, on the connection's event loop. What `began` or `came` throws ends the exchange; `ended` is
/// called exactly once, last, unless the asking is cancelled: then nothing is called any more but `ended`.
protocol AnswerReader: AnyObject {
    func began(_ head: HTTPResponseHead) throws(SourceFailure)
    func came(_ bytes: ByteBuffer) throws(SourceFailure)
    /// Nil: the answer came to its end.
    func ended(_ failure: SourceFailure?)
}

/// What an answer that is no success stands for.
struct RefusalReader {
    private let endpoint: PackEndpoint
    private let status: HTTPResponseStatus
    private var body = ByteBuffer()

    private static let maximumBytes = 4096

    /// Nil for a success.
    init?(_ head: HTTPResponseHead, _ endpoint: PackEndpoint) {
        guard !(200...299).contains(head.status.code) else { return nil }
        (status, self.endpoint) = (head.status, endpoint)
    }

    mutating func came(_ bytes: ByteBuffer) throws(SourceFailure) {
        guard body.readableBytes + bytes.readableBytes <= Self.maximumBytes else { throw failure }
        body.writeImmutableBuffer(bytes)
    }

    var failure: SourceFailure {
        switch status.code {
        case 404, 416:
            let isWithoutOffers = String(buffer: body).contains("\"\(SourceFailure.Code.noOffers.rawValue)\"")
            return SourceFailure(isWithoutOffers ? .noOffers : .missing, "\(endpoint) does not have it")
        case 429, 503: return SourceFailure(.busy, "\(endpoint) is busy")
        default: return SourceFailure(.unreachable, "\(endpoint) answered \(status.code)")
        }
    }
}

// MARK: - Small answers

struct SmallAnswer: Sendable {
    var headers: HTTPHeaders
    var body: [UInt8]

    func map(_ pieceCount: Int, _ endpoint: PackEndpoint) throws(SourceFailure) -> HaveMap {
        guard let version = headers.first(name: TransferHeader.version).flatMap({ plainDecimal($0) }),
            let pieces = PieceSet(bytes: body, pieceCount: pieceCount)
        else { throw SourceFailure(.unreachable, "\(endpoint) answered no map of \(pieceCount) pieces") }
        return HaveMap(version: version, pieces: pieces)
    }
}

final class SmallReader: AnswerReader {
    private let endpoint: PackEndpoint
    private let maximumBytes: Int
    private let done: (Result<SmallAnswer, SourceFailure>) -> Void
    private var refusal: RefusalReader?
    private var answer = SmallAnswer(headers: [:], body: [])

    init(
        _ endpoint: PackEndpoint, maximumBytes: Int, done: @escaping (Result<SmallAnswer, SourceFailure>) -> Void
    ) {
        (self.endpoint, self.maximumBytes, self.done) = (endpoint, maximumBytes, done)
    }

    func began(_ head: HTTPResponseHead) throws(SourceFailure) {
        refusal = RefusalReader(head, endpoint)
        guard refusal != nil || head.status == .ok else {
            throw SourceFailure(.unreachable, "\(endpoint) answered \(head.status.code)")
        }
        answer.headers = head.headers
    }

    func came(_ bytes: ByteBuffer) throws(SourceFailure) {
        guard refusal == nil else {
            try refusal?.came(bytes)
            return
        }
        guard answer.body.count + bytes.readableBytes <= maximumBytes else {
            throw SourceFailure(.unreachable, "\(endpoint) answers more than \(maximumBytes) bytes")
        }
        answer.body.append(contentsOf: bytes.readableBytesView)
    }

    func ended(_ failure: SourceFailure?) {
        if let failure = failure ?? refusal?.failure { done(.failure(failure)) } else { done(.success(answer)) }
    }
}

// MARK: - Bytes of a pack

final class RangeReader: AnswerReader {
    /// Bytes after which progress is told again.
    private static let progressBytes = 128 << 10

    private let range: Range<UInt64>
    private let totalBytes: UInt64
    private let endpoint: PackEndpoint
    private let progress: () -> Void
    private let done: (Result<[UInt8], SourceFailure>) -> Void
    private var refusal: RefusalReader?
    private var bytes: [UInt8] = []
    private var told = 0

    init(
        _ range: Range<UInt64>, totalBytes: UInt64, _ endpoint: PackEndpoint, progress: @escaping () -> Void,
        done: @escaping (Result<[UInt8], SourceFailure>) -> Void
    ) {
        (self.range, self.totalBytes, self.endpoint) = (range, totalBytes, endpoint)
        (self.progress, self.done) = (progress, done)
    }

    private var count: Int { Int(range.upperBound - range.lowerBound) }

    func began(_ head: HTTPResponseHead) throws(SourceFailure) {
        refusal = RefusalReader(head, endpoint)
        guard refusal == nil else { return }
        let expected = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(totalBytes)"
        guard head.status == .partialContent, head.headers["Content-Range"] == [expected] else {
            throw SourceFailure(.unreachable, "\(endpoint) answered another range than asked for")
        }
        bytes.reserveCapacity(count)
    }

    func came(_ buffer: ByteBuffer) throws(SourceFailure) {
        guard refusal == nil else {
            try refusal?.came(buffer)
            return
        }
        guard bytes.count + buffer.readableBytes <= count else {
            throw SourceFailure(.unreachable, "\(endpoint) sends more than \(count) bytes")
        }
        bytes.append(contentsOf: buffer.readableBytesView)
        if told == 0 || bytes.count - told >= Self.progressBytes {
            told = bytes.count
            progress()
        }
    }

    func ended(_ failure: SourceFailure?) {
        if let failure = failure ?? refusal?.failure { return done(.failure(failure)) }
        guard bytes.count == count else {
            return done(.failure(SourceFailure(.unreachable, "\(endpoint) sent \(bytes.count) of \(count) bytes")))
        }
        done(.success(bytes))
    }
}

// MARK: - What somebody has

final class HavesReader: AnswerReader {
    private let endpoint: PackEndpoint
    private let tell: (PieceSet) -> Void
    private let done: (SourceFailure?) -> Void
    private var refusal: RefusalReader?
    private var stream: HaveStream
    private var isComplete = false

    /// `done`: nil when it has all.
    init(
        _ endpoint: PackEndpoint, pieceCount: Int, tell: @escaping (PieceSet) -> Void,
        done: @escaping (SourceFailure?) -> Void
    ) {
        (self.endpoint, self.tell, self.done) = (endpoint, tell, done)
        stream = HaveStream(pieceCount: pieceCount)
    }

    func began(_ head: HTTPResponseHead) throws(SourceFailure) { refusal = RefusalReader(head, endpoint) }

    func came(_ bytes: ByteBuffer) throws(SourceFailure) {
        guard refusal == nil else {
            try refusal?.came(bytes)
            return
        }
        guard let have = try stream.take(bytes.readableBytesView) else { return }
        isComplete = have.isComplete
        tell(have)
    }

    func ended(_ failure: SourceFailure?) {
        if let failure = failure ?? refusal?.failure { return done(isComplete ? nil : failure) }
        done(isComplete ? nil : SourceFailure(.unreachable, "\(endpoint) told no more of what it has"))
    }
}
