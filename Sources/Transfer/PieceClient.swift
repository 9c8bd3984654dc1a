internal import AsyncHTTPClient
package import Domain
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
package import NIOSSL
package import Swarm
package import Wire

/// Where a `PieceServer` is: `http://HOST:PORT` or `https://HOST:PORT`.
package struct PackEndpoint: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Without a slash at its end.
    package let description: String

    package static let maximumBytes = 256

    package init(_ text: String) throws(TransferFailure) {
        var text = text
        if text.hasSuffix("/") { text.removeLast() }
        guard text.utf8.count <= Self.maximumBytes, let url = URLComponents(string: text),
            url.scheme == "http" || url.scheme == "https", url.host?.isEmpty == false, url.path.isEmpty,
            url.user == nil, url.query == nil, url.fragment == nil
        else {
            throw TransferFailure(.badEndpoint, "\(text.prefix(80)) is no endpoint; write it as http://10.0.0.7:9000")
        }
        description = text
    }

    package static func < (left: PackEndpoint, right: PackEndpoint) -> Bool { left.description < right.description }
}

package struct PieceClientSettings: Sendable {
    package var connectMilliseconds: Int64 = 3_000
    /// A connection that is silent for this long, beyond a blocking GET's wait, is broken.
    package var silenceMilliseconds: Int64 = 10_000
    package var maximumManifestBytes = 4 << 20
    /// A have-map or offer beyond it is refused: `PieceLayout.maximumPieces` bits.
    package var maximumMapBytes = 128 << 10
    /// Bytes of a piece after which progress is told.
    package var progressBytes = 128 << 10
    /// For `https` endpoints; with a certificate of our own: mutual TLS.
    package var tls: TLSConfiguration?

    package init() {}
}

/// Asks `PieceServer`s. Believes nothing of an answer: lengths and ranges are compared, the bytes are the caller's to
/// verify. End it with `shutdown`.
package final class PieceClient: Sendable {
    private let http: HTTPClient
    private let settings: PieceClientSettings

    package init(_ settings: PieceClientSettings = PieceClientSettings()) {
        self.settings = settings
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.tlsConfiguration = settings.tls
        configuration.timeout.connect = .milliseconds(settings.connectMilliseconds)
        configuration.timeout.read = .milliseconds(HaveStream.restMilliseconds + settings.silenceMilliseconds)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        http = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
    }

    package func shutdown() async { try? await http.shutdown() }

    /// What the endpoint serves, and the key that it says its manifests are signed with.
    package func packs(at endpoint: PackEndpoint) async throws(SourceFailure) -> PackListAnswer {
        try json(try await small("/v1/packs", endpoint, maximumBytes: settings.maximumManifestBytes), endpoint)
    }

    /// Tells the tracker at the endpoint that this peer fetches or has a pack and serves it at a port; returns whom to
    /// ask.
    package func announce(
        _ pack: PackName, as peer: PeerName, port: Int, labels: [String: String], at endpoint: PackEndpoint
    ) async throws(SourceFailure) -> NeighboursAnswer {
        let labels = labels.sorted { $0.key < $1.key }.map { "&\($0.key)=\($0.value)" }.joined()
        return try json(
            try await small(
                path(pack, "/announce?port=\(port)\(labels)"), endpoint, maximumBytes: settings.maximumMapBytes,
                peer: peer), endpoint)
    }

    private func json<Answer: Decodable>(
        _ answer: SmallAnswer, _ endpoint: PackEndpoint
    ) throws(SourceFailure) -> Answer {
        do { return try WireJSON.decode(Answer.self, from: Data(answer.body)) } catch {
            throw SourceFailure(.unreachable, "\(endpoint) answered something else than asked for: \(error)")
        }
    }

    /// The signed manifest's bytes, as the endpoint tells them: decode and verify them.
    package func manifest(of pack: PackName, at endpoint: PackEndpoint) async throws(SourceFailure) -> [UInt8] {
        try await small(path(pack, "/manifest"), endpoint, maximumBytes: settings.maximumManifestBytes).body
    }

    /// What the endpoint has.
    package func have(
        of pack: PackName, pieceCount: Int, at endpoint: PackEndpoint
    ) async throws(SourceFailure) -> HaveMap {
        let answer = try await small(path(pack, "/have"), endpoint, maximumBytes: settings.maximumMapBytes)
        return try map(answer, pieceCount, endpoint)
    }

    /// Tells what the endpoint has, again whenever that has grown; returns when it has all.
    package func haves(
        of pack: PackName, pieceCount: Int, at endpoint: PackEndpoint, tell: @Sendable (PieceSet) -> Void
    ) async throws(SourceFailure) {
        let response = try await execute(request(path(pack, "/haves"), endpoint, nil), endpoint, waitMilliseconds: 0)
        try await check(response, endpoint)
        var stream = HaveStream(pieceCount: pieceCount)
        do {
            for try await part in response.body {
                guard let have = try stream.take(part.readableBytesView) else { continue }
                tell(have)
                if have.isComplete { return }
            }
        } catch {
            throw SourceFailure(.unreachable, "\(endpoint) broke off what it has: \(error)")
        }
        throw SourceFailure(.unreachable, "\(endpoint) told no more of what it has")
    }

    /// What a mirror lets this peer take.
    package func offer(
        of pack: PackName, pieceCount: Int, to peer: PeerName, at endpoint: PackEndpoint, wanted: [Int],
        after: UInt64? = nil, waitMilliseconds: Int64 = 0
    ) async throws(SourceFailure) -> MirrorOffer {
        var query = blocking(after, waitMilliseconds)
        if !wanted.isEmpty {
            query += (query.isEmpty ? "?" : "&") + "wanted=" + wanted.map(String.init).joined(separator: ",")
        }
        let answer = try await small(
            path(pack, "/offer" + query), endpoint, maximumBytes: settings.maximumMapBytes,
            waitMilliseconds: waitMilliseconds, peer: peer)
        let map = try map(answer, pieceCount, endpoint)
        return MirrorOffer(version: map.version, pieces: map.pieces)
    }

    /// Exactly the bytes of a range, not verified. `progress` is called every so often while they come.
    package func bytes(
        _ range: Range<UInt64>, of pack: PackName, totalBytes: UInt64, as peer: PeerName?, at endpoint: PackEndpoint,
        progress: @Sendable () -> Void = {}
    ) async throws(SourceFailure) -> [UInt8] {
        var request = request(path(pack, ""), endpoint, peer)
        request.headers.add(name: "Range", value: "bytes=\(range.lowerBound)-\(range.upperBound - 1)")
        let response = try await execute(request, endpoint, waitMilliseconds: 0)
        try await check(response, endpoint)
        let isExpected =
            response.status == .partialContent
            && response.headers["Content-Range"]
                == ["bytes \(range.lowerBound)-\(range.upperBound - 1)/\(totalBytes)"]
        guard isExpected else {
            throw SourceFailure(.unreachable, "\(endpoint) answered another range than asked for")
        }
        return try await collect(response, endpoint, exactly: Int(range.upperBound - range.lowerBound), progress)
    }
}

extension PieceClient {
    private struct SmallAnswer {
        var headers: HTTPHeaders
        var body: [UInt8]
    }

    private func path(_ pack: PackName, _ rest: String) -> String { "/v1/packs/\(pack)\(rest)" }

    private func blocking(_ after: UInt64?, _ waitMilliseconds: Int64) -> String {
        after.map { "?after=\($0)&wait=\(waitMilliseconds)ms" } ?? ""
    }

    private func request(_ path: String, _ endpoint: PackEndpoint, _ peer: PeerName?) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoint.description + path)
        if let peer { request.headers.add(name: TransferHeader.peer, value: peer.rawValue) }
        return request
    }

    private func execute(
        _ request: HTTPClientRequest, _ endpoint: PackEndpoint, waitMilliseconds: Int64
    ) async throws(SourceFailure) -> HTTPClientResponse {
        do {
            let timeout = settings.connectMilliseconds + settings.silenceMilliseconds + waitMilliseconds
            return try await http.execute(request, timeout: .milliseconds(timeout))
        } catch {
            throw SourceFailure(.unreachable, "\(endpoint) does not answer: \(error)")
        }
    }

    private func small(
        _ path: String, _ endpoint: PackEndpoint, maximumBytes: Int, waitMilliseconds: Int64 = 0, peer: PeerName? = nil
    ) async throws(SourceFailure) -> SmallAnswer {
        let response = try await execute(
            request(path, endpoint, peer), endpoint, waitMilliseconds: waitMilliseconds)
        try await check(response, endpoint)
        guard response.status == .ok else {
            throw SourceFailure(.unreachable, "\(endpoint) answered \(response.status.code)")
        }
        do {
            let body = try await response.body.collect(upTo: maximumBytes)
            return SmallAnswer(headers: response.headers, body: Array(body.readableBytesView))
        } catch {
            throw SourceFailure(.unreachable, "\(endpoint) broke off its answer: \(error)")
        }
    }

    /// Throws what an error's status stands for.
    private func check(_ response: HTTPClientResponse, _ endpoint: PackEndpoint) async throws(SourceFailure) {
        switch response.status.code {
        case 200...299: return
        case 404, 416:
            let body = try? await response.body.collect(upTo: 4096)
            let isWithoutOffers = body.map {
                String(buffer: $0).contains("\"\(SourceFailure.Code.noOffers.rawValue)\"")
            }
            throw SourceFailure(isWithoutOffers == true ? .noOffers : .missing, "\(endpoint) does not have it")
        case 429, 503:
            _ = try? await response.body.collect(upTo: 4096)
            throw SourceFailure(.busy, "\(endpoint) is busy")
        default: throw SourceFailure(.unreachable, "\(endpoint) answered \(response.status.code)")
        }
    }

    private func map(
        _ answer: SmallAnswer, _ pieceCount: Int, _ endpoint: PackEndpoint
    ) throws(SourceFailure) -> HaveMap {
        guard let version = answer.headers.first(name: TransferHeader.version).flatMap({ plainDecimal($0) }),
            let pieces = PieceSet(bytes: answer.body, pieceCount: pieceCount)
        else { throw SourceFailure(.unreachable, "\(endpoint) answered no map of \(pieceCount) pieces") }
        return HaveMap(version: version, pieces: pieces)
    }

    private func collect(
        _ response: HTTPClientResponse, _ endpoint: PackEndpoint, exactly count: Int, _ progress: () -> Void
    ) async throws(SourceFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var told = 0
        bytes.reserveCapacity(count)
        do {
            for try await part in response.body {
                guard bytes.count + part.readableBytes <= count else {
                    throw SourceFailure(.unreachable, "\(endpoint) sends more than \(count) bytes")
                }
                bytes.append(contentsOf: part.readableBytesView)
                if told == 0 || bytes.count - told >= settings.progressBytes {
                    told = bytes.count
                    progress()
                }
            }
        } catch let failure as SourceFailure {
            throw failure
        } catch {
            throw SourceFailure(.unreachable, "\(endpoint) broke off: \(error)")
        }
        guard bytes.count == count else {
            throw SourceFailure(.unreachable, "\(endpoint) sent \(bytes.count) of \(count) bytes")
        }
        return bytes
    }
}
