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
    /// A name or an address, an IPv6 one without brackets.
    let host: String
    let port: Int
    let isTLS: Bool

    package static let maximumBytes = 256

    package init(_ text: String) throws(TransferFailure) {
        var text = text
        if text.hasSuffix("/") { text.removeLast() }
        guard text.utf8.count <= Self.maximumBytes, let url = URLComponents(string: text),
            url.scheme == "http" || url.scheme == "https", let host = url.host, !host.isEmpty, url.path.isEmpty,
            url.user == nil, url.query == nil, url.fragment == nil
        else {
            throw TransferFailure(.badEndpoint, "\(text.prefix(80)) is no endpoint; write it as http://10.0.0.7:9000")
        }
        description = text
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        isTLS = url.scheme == "https"
        port = url.port ?? (isTLS ? 443 : 80)
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
    /// For `https` endpoints; with a certificate of our own: mutual TLS.
    package var tls: TLSConfiguration?

    package init() {}
}

/// Asks `PieceServer`s. Believes nothing of an answer: lengths and ranges are compared, the bytes are the caller's to
/// verify. All of it happens on one event loop. End it with `shutdown`.
package final class PieceClient: Sendable {
    let loop: any EventLoop
    let settings: PieceClientSettings
    /// The loop's own.
    let pool: NIOLoopBoundBox<ConnectionPool>

    package init(_ settings: PieceClientSettings = PieceClientSettings()) {
        self.settings = settings
        loop = MultiThreadedEventLoopGroup.singleton.next()
        pool = .makeBoxSendingValue(ConnectionPool(settings, loop), eventLoop: loop)
    }

    package func shutdown() async {
        let pool = pool
        try? await loop.flatSubmit { pool.value.shutdown() }.get()
    }

    /// What the endpoint serves, and the key that it says its manifests are signed with.
    package func packs(at endpoint: PackEndpoint) async throws(SourceFailure) -> PackListAnswer {
        try json(try await small("/v1/packs", endpoint, settings.maximumManifestBytes), endpoint)
    }

    /// Tells the tracker at the endpoint that this peer fetches or has a pack and serves it at a port; returns whom to
    /// ask.
    package func announce(
        _ pack: PackName, as peer: PeerName, port: Int, labels: [String: String], at endpoint: PackEndpoint
    ) async throws(SourceFailure) -> NeighboursAnswer {
        let labels = labels.sorted { $0.key < $1.key }.map { "&\($0.key)=\($0.value)" }.joined()
        let path = PackPath.of(pack, "/announce?port=\(port)\(labels)")
        return try json(try await small(path, endpoint, settings.maximumMapBytes, peer: peer), endpoint)
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
        try await small(PackPath.of(pack, "/manifest"), endpoint, settings.maximumManifestBytes).body
    }

    /// What the endpoint has.
    package func have(
        of pack: PackName, pieceCount: Int, at endpoint: PackEndpoint
    ) async throws(SourceFailure) -> HaveMap {
        try await small(PackPath.of(pack, "/have"), endpoint, settings.maximumMapBytes).map(pieceCount, endpoint)
    }

    /// Exactly the bytes of a range, not verified.
    package func bytes(
        _ range: Range<UInt64>, of pack: PackName, totalBytes: UInt64, as peer: PeerName?, at endpoint: PackEndpoint
    ) async throws(SourceFailure) -> [UInt8] {
        let question = Question(range: range, of: pack, as: peer, at: endpoint)
        return try await answer(question) { done in
            RangeReader(range, totalBytes: totalBytes, endpoint, progress: {}, done: done)
        }
    }

    private func small(
        _ path: String, _ endpoint: PackEndpoint, _ maximumBytes: Int, peer: PeerName? = nil
    ) async throws(SourceFailure) -> SmallAnswer {
        try await answer(Question(path, as: peer, at: endpoint)) { done in
            SmallReader(endpoint, maximumBytes: maximumBytes, done: done)
        }
    }

    private typealias Done<Value> = @Sendable (Result<Value, SourceFailure>) -> Void

    /// Cancelled with the task.
    private func answer<Value: Sendable>(
        _ question: Question, _ reader: @escaping @Sendable (@escaping Done<Value>) -> any AnswerReader
    ) async throws(SourceFailure) -> Value {
        let (loop, pool) = (loop, pool)
        let asked = NIOLoopBoundBox<Asking?>.makeEmptyBox(valueType: Asking.self, eventLoop: loop)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute {
                    asked.value = pool.value.ask(question, reader { continuation.resume(returning: $0) })
                }
            }
        } onCancel: {
            // Queued behind the question, which is asked at once.
            loop.execute { loop.execute { asked.value?.cancel() } }
        }
        return try result.get()
    }
}

enum PackPath {
    static func of(_ pack: PackName, _ rest: String) -> String { "/v1/packs/\(pack)\(rest)" }
}
