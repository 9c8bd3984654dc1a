package import AsyncHTTPClient
package import Domain
package import Foundation
package import Wire

/// A region's services, typed: for workers (output, packs), peers (enrolment, assignments, reports), other regions and
/// the global process.
package struct RegionClient: Sendable {
    package let connection: Connection

    package init(_ connection: Connection) { self.connection = connection }

    package init(endpoint: String, actor: EventActor, settings: ClientSettings = ClientSettings()) {
        connection = Connection(endpoint: endpoint, actor: actor, settings: settings)
    }

    // MARK: Build output

    /// Stores one sealed object of an attempt's output; storing the same bytes again succeeds.
    package func putOutput(
        _ job: JobID, _ attempt: AttemptNumber, object: UInt64, _ bytes: Data
    ) async throws(ClientFailure) {
        var call = Call(.put, "/v1/logs/\(job)/\(attempt)/\(object)")
        call.headers = [Self.octets]
        call.body = bytes
        _ = try await connection.data(call)
    }

    /// One object of an attempt's output; nil while it is not there.
    package func output(
        _ job: JobID, _ attempt: AttemptNumber, object: UInt64, wait: WireDuration? = nil
    ) async throws(ClientFailure) -> Data? {
        try await ifThere(connection.getCall("/v1/logs/\(job)/\(attempt)/\(object)", query: [], wait: wait))
    }

    /// What concerns one peer in the region's log.
    package func events(of peer: PeerName) async throws(ClientFailure) -> PeerEventsAnswer {
        try await connection.get("/v1/peers/\(peer)/events")
    }

    // MARK: Packs

    /// A signed manifest's bytes; nil while the region has it not. The caller checks the signature.
    package func manifest(_ digest: Digest) async throws(ClientFailure) -> Data? {
        try await ifThere(Call(.get, "/v1/manifests/\(digest)"))
    }

    /// Any path's bytes in a range, as they come.
    package func download(
        _ path: String, range: Range<UInt64>? = nil
    ) async throws(ClientFailure) -> HTTPClientResponse.Body {
        var call = Call(.get, path)
        if let range, !range.isEmpty { call.headers = [("Range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")] }
        return try await connection.stream(call).body
    }

    // MARK: Peers

    package func enrol(
        _ name: PeerName, labels: [String: String], endpoint: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post(
            "/v1/peers/\(name)/enrol", EnrolBody(labels: labels, endpoint: endpoint), key: key)
    }

    package func report(_ name: PeerName, _ apps: [PeerReportBody.App]) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/peers/\(name)/report", PeerReportBody(apps: apps))
    }

    /// - Parameter sequence: the global log's, if not now.
    package func peers(at sequence: LogSequence? = nil) async throws(ClientFailure) -> PeerList {
        try await connection.get("/v1/peers", query: sequence.map { [("at", $0.description)] } ?? [])
    }

    private static let octets = ("Content-Type", "application/octet-stream")

    private func ifThere(_ call: Call) async throws(ClientFailure) -> Data? {
        do throws(ClientFailure) {
            return try await connection.data(call).bytes
        } catch {
            if error.code == TransportCode.notFound.rawValue { return nil }
            throw error
        }
    }
}
