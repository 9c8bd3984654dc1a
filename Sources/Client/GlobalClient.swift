package import Domain
package import Foundation
package import Wire

/// The global API, typed. Every changing call takes an optional key: give one to make the same change again after a
/// restart of the caller; without one, each call is a change of its own, however often it is sent.
package struct GlobalClient: Sendable {
    package let connection: Connection

    package init(_ connection: Connection) { self.connection = connection }

    package init(endpoint: String, actor: EventActor, settings: ClientSettings = ClientSettings()) {
        connection = Connection(endpoint: endpoint, actor: actor, settings: settings)
    }

    // MARK: Jobs

    package func enqueue(_ request: JobRequest, key: String? = nil) async throws(ClientFailure) -> EnqueueAnswer {
        try await connection.post("/v1/jobs", EnqueueBody(request), key: key)
    }

    package func jobs(
        app: AppName? = nil, status: JobStatus? = nil, limit: Int? = nil, before: JobID? = nil,
        at moment: LogMoment? = nil
    ) async throws(ClientFailure) -> JobList {
        let query = Self.query(
            ("app", app), ("status", status?.rawValue), ("limit", limit), ("before", before), ("at", moment))
        return try await connection.get("/v1/jobs", query: query)
    }

    package func job(_ id: JobID) async throws(ClientFailure) -> JobBody { try await connection.get("/v1/jobs/\(id)") }

    /// The job as soon as it has changed after `sequence` or has ended; as it is when the wait is over.
    package func job(
        _ id: JobID, changedAfter sequence: LogSequence, wait: WireDuration
    ) async throws(ClientFailure) -> JobBody {
        try await connection.get("/v1/jobs/\(id)", query: Self.query(("after", sequence)), wait: wait)
    }

    package func cancel(
        _ id: JobID, reason: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/jobs/\(id)/cancel", ReasonBody(reason: reason), key: key)
    }

    /// One numbered object of an attempt's output (the first is 0); nil while it is not there.
    package func output(
        _ id: JobID, attempt: AttemptNumber? = nil, object: UInt64, wait: WireDuration? = nil
    ) async throws(ClientFailure) -> Data? {
        let query = Self.query(("attempt", attempt), ("object", object))
        do throws(ClientFailure) {
            return try await connection.data(connection.getCall("/v1/jobs/\(id)/output", query: query, wait: wait))
                .bytes
        } catch {
            if error.code == TransportCode.notFound.rawValue { return nil }
            throw error
        }
    }

    // MARK: Workers

    package func joinWorker(
        _ name: WorkerName, region: RegionName, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/workers/\(name)/join", WorkerJoinBody(region: region), key: key)
    }

    /// The next job; nil when none came within the wait. The same key gets the same job again.
    package func claim(
        _ name: WorkerName, wait: WireDuration, key: String? = nil
    ) async throws(ClientFailure) -> ClaimAnswer? {
        let call = try connection.postCall(
            "/v1/workers/\(name)/claim", ClaimBody(wait: wait), key: key, headers: [], wait: wait)
        let answer = try await connection.data(call)
        if answer.status == 204 { return nil }
        do throws(Problem) {
            return try WireJSON.decode(ClaimAnswer.self, from: answer.bytes)
        } catch {
            throw .badAnswer("the claim's answer cannot be read: \(error.detail)")
        }
    }

    package func setDraining(
        _ name: WorkerName, _ isDraining: Bool, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/workers/\(name)/\(isDraining ? "drain" : "resume")", EmptyBody(), key: key)
    }

    package func workers() async throws(ClientFailure) -> WorkerList { try await connection.get("/v1/workers") }

    // MARK: Attempts

    /// Repeatable by its counter.
    package func heartbeat(
        _ job: JobID, _ attempt: AttemptNumber, counter: UInt64, stage: AttemptStage
    ) async throws(ClientFailure) -> HeartbeatAnswer {
        try await connection.post(
            "/v1/jobs/\(job)/attempts/\(attempt)/heartbeat", HeartbeatBody(counter: counter, stage: stage))
    }

    package func reportUploaded(
        _ job: JobID, _ attempt: AttemptNumber, _ body: UploadedBody, key: String? = nil
    ) async throws(ClientFailure) -> UploadedAnswer {
        try await connection.post("/v1/jobs/\(job)/attempts/\(attempt)/uploaded", body, key: key)
    }

    package func reportFailed(
        _ job: JobID, _ attempt: AttemptNumber, _ reason: FailureReason, detail: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post(
            "/v1/jobs/\(job)/attempts/\(attempt)/failed", FailedBody(reason: reason, detail: detail), key: key)
    }

    package func release(
        _ job: JobID, _ attempt: AttemptNumber, detail: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post(
            "/v1/jobs/\(job)/attempts/\(attempt)/released", DetailBody(detail: detail), key: key)
    }

    // MARK: Builds

    package func builds(
        app: AppName? = nil, limit: Int? = nil, before: BuildID? = nil, at moment: LogMoment? = nil
    ) async throws(ClientFailure) -> BuildList {
        try await connection.get(
            "/v1/builds", query: Self.query(("app", app), ("limit", limit), ("before", before), ("at", moment)))
    }

    package func build(_ id: BuildID) async throws(ClientFailure) -> BuildBody {
        try await connection.get("/v1/builds/\(id)")
    }

    package func pin(_ id: BuildID, reason: String, key: String? = nil) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/builds/\(id)/pin", ReasonBody(reason: reason), key: key)
    }

    package func unpin(_ id: BuildID, reason: String, key: String? = nil) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/builds/\(id)/unpin", ReasonBody(reason: reason), key: key)
    }

    /// A signed manifest's bytes; the caller checks the signature.
    package func manifest(_ digest: Digest) async throws(ClientFailure) -> Data {
        try await connection.data(Call(.get, "/v1/manifests/\(digest)")).bytes
    }

    /// The release key, 32 bytes.
    package func releaseKey() async throws(ClientFailure) -> [UInt8] {
        let keys: KeysBody = try await connection.get("/v1/keys")
        guard keys.algorithm == "ed25519", let bytes = bytesFromHex(keys.releaseKey), bytes.count == 32 else {
            throw .badAnswer("\(connection.endpoint) has no Ed25519 release key")
        }
        return bytes
    }

    // MARK: Targets

    package func targets(at moment: LogMoment? = nil) async throws(ClientFailure) -> TargetList {
        try await connection.get("/v1/targets", query: Self.query(("at", moment)))
    }

    /// The target; with `newerThan`, as soon as it is newer or the wait is over. Nil while there is none.
    package func target(
        _ app: AppName, scope: TargetScope = .global, newerThan revision: Revision? = nil, wait: WireDuration? = nil
    ) async throws(ClientFailure) -> TargetBody? {
        try await connection.getIfThere(
            "/v1/targets/\(app)", query: Self.query(("scope", scope), ("after_revision", revision)), wait: wait)
    }

    package func deploy(_ request: DeployRequest, key: String? = nil) async throws(ClientFailure) -> DeployAnswer {
        try await connection.post(
            "/v1/deployments", DeployBody(request), key: key,
            headers: request.expected.map { [("If-Match", "\"\($0)\"")] } ?? [])
    }

    package func deployments(
        app: AppName? = nil, isOpen: Bool = false, limit: Int? = nil
    ) async throws(ClientFailure) -> DeploymentList {
        let query = Self.query(("app", app), ("open", isOpen ? "true" : nil), ("limit", limit))
        return try await connection.get("/v1/deployments", query: query)
    }

    package func deployment(_ id: Revision) async throws(ClientFailure) -> DeploymentBody {
        try await connection.get("/v1/deployments/\(id)")
    }

    package func deployment(
        _ id: Revision, changedAfter sequence: LogSequence, wait: WireDuration
    ) async throws(ClientFailure) -> DeploymentBody {
        try await connection.get("/v1/deployments/\(id)", query: Self.query(("after", sequence)), wait: wait)
    }

    /// The parameters that have a value.
    static func query(_ pairs: (String, (any CustomStringConvertible)?)...) -> [(String, String)] {
        pairs.compactMap { name, value in value.map { (name, $0.description) } }
    }
}
