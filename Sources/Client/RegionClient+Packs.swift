package import Domain
package import Foundation
package import Wire

extension RegionClient {
    /// Who answers, where its packs are, and which key signs them.
    package func region() async throws(ClientFailure) -> RegionSelfAnswer {
        try await connection.get("/v1/region")
    }

    // MARK: Uploads

    /// How much of an attempt's pack has arrived durably; nil when nothing was begun.
    package func upload(_ job: JobID, _ attempt: AttemptNumber) async throws(ClientFailure) -> UploadAnswer? {
        try await connection.getIfThere("/v1/uploads/\(job)/\(attempt)")
    }

    /// Sends one part of an attempt's pack; the answer says where the next one starts. A part may be sent again.
    package func putPart(
        _ job: JobID, _ attempt: AttemptNumber, offset: UInt64, totalBytes: UInt64, _ bytes: Data
    ) async throws(ClientFailure) -> UploadAnswer {
        var call = Call(.put, "/v1/uploads/\(job)/\(attempt)")
        call.query = [("offset", "\(offset)"), ("total", "\(totalBytes)")]
        call.headers = [("Content-Type", "application/octet-stream")]
        call.body = bytes
        let answer = try await connection.data(call).bytes
        do throws(Problem) {
            return try WireJSON.decode(UploadAnswer.self, from: answer)
        } catch {
            throw .badAnswer("the region's answer to an upload cannot be read: \(error.detail)")
        }
    }

    // MARK: Peers

    /// What the peer should run, as soon as a target changes behind `revision`, or when the wait is over.
    package func assignments(
        for name: PeerName, after revision: Revision, wait: WireDuration
    ) async throws(ClientFailure) -> AssignmentsAnswer {
        try await connection.get(
            "/v1/peers/\(name)/assignments", query: [("after_revision", revision.description)], wait: wait)
    }

    /// Joins a pack's swarm, or stays in it; tells whom to talk to.
    package func announce(
        _ app: AppName, _ build: BuildID, _ body: AnnounceBody
    ) async throws(ClientFailure) -> AnnounceAnswer {
        try await connection.post("/v1/swarms/\(app)/\(build)/announce", body)
    }
}
