package import Domain

/// `POST /v1/workers/{name}/join`.
package struct WorkerJoinBody: WireRequest, Hashable {
    package var region: RegionName

    package enum CodingKeys: String, CodingKey, CaseIterable { case region }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(region: RegionName) { self.region = region }
}

/// `POST /v1/workers/{name}/claim`.
package struct ClaimBody: WireRequest, Hashable {
    /// How long to wait for a job, as in `10s`; none when absent.
    package var wait: String?

    package enum CodingKeys: String, CodingKey, CaseIterable { case wait }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(wait: WireDuration? = nil) { self.wait = wait?.description }
}

/// A claimed job: what to build, and how often to say that one lives.
package struct ClaimAnswer: Hashable, Sendable, Codable {
    package var job: JobID
    package var attempt: AttemptNumber
    package var app: AppName
    package var repository: String
    package var commit: CommitID
    package var recipe: String
    package var leaseSeconds: UInt32
    package var heartbeatSeconds: UInt32
    /// The job's time limit where its recipe names none.
    package var jobTimeoutSeconds: UInt32
    /// Where the worker's region answers: it takes the output and the pack.
    package var regionEndpoint: String
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case job, attempt, app, repository, commit, recipe
        case leaseSeconds = "lease_seconds"
        case heartbeatSeconds = "heartbeat_seconds"
        case jobTimeoutSeconds = "job_timeout_seconds"
        case regionEndpoint = "region_endpoint"
        case sequence
    }

    package init(
        job: JobID, attempt: AttemptNumber, request: JobRequest, leaseSeconds: UInt32, heartbeatSeconds: UInt32,
        jobTimeoutSeconds: UInt32, regionEndpoint: String, sequence: LogSequence
    ) {
        (self.job, self.attempt) = (job, attempt)
        (app, repository, commit, recipe) = (request.app, request.repository, request.commit, request.recipePath)
        (self.leaseSeconds, self.heartbeatSeconds) = (leaseSeconds, heartbeatSeconds)
        (self.jobTimeoutSeconds, self.regionEndpoint) = (jobTimeoutSeconds, regionEndpoint)
        self.sequence = sequence
    }
}

/// `POST /v1/jobs/{id}/attempts/{n}/heartbeat`.
package struct HeartbeatBody: WireRequest, Hashable {
    /// Grows within an attempt; a repeated one changes nothing.
    package var counter: UInt64
    package var stage: AttemptStage

    package enum CodingKeys: String, CodingKey, CaseIterable { case counter, stage }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(counter: UInt64, stage: AttemptStage) { (self.counter, self.stage) = (counter, stage) }
}

package struct HeartbeatAnswer: Hashable, Sendable, Codable {
    /// The worker should stop and report `cancelled`.
    package var cancelled: Bool
    package var sequence: LogSequence

    package init(cancelled: Bool, sequence: LogSequence) { (self.cancelled, self.sequence) = (cancelled, sequence) }
}

/// `POST /v1/jobs/{id}/attempts/{n}/uploaded`.
package struct UploadedBody: WireRequest, Hashable {
    /// The region whose store has the pack.
    package var region: RegionName
    package var rawBytes: UInt64
    package var packedBytes: UInt64
    /// The manifest's text, not yet signed.
    package var manifest: String

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case region
        case rawBytes = "raw_bytes"
        case packedBytes = "packed_bytes"
        case manifest
    }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(region: RegionName, rawBytes: UInt64, packedBytes: UInt64, manifest: String) {
        (self.region, self.rawBytes, self.packedBytes) = (region, rawBytes, packedBytes)
        self.manifest = manifest
    }
}

package struct UploadedAnswer: Hashable, Sendable, Codable {
    /// SHA-256 of the signed manifest: `GET /v1/manifests/{digest}` gives its bytes.
    package var manifest: Digest
    package var sequence: LogSequence

    package init(manifest: Digest, sequence: LogSequence) { (self.manifest, self.sequence) = (manifest, sequence) }
}

/// `POST /v1/jobs/{id}/attempts/{n}/failed`.
package struct FailedBody: WireRequest, Hashable {
    package var reason: FailureReason
    package var detail: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case reason, detail }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(reason: FailureReason, detail: String) { (self.reason, self.detail) = (reason, detail) }
}

/// `POST /v1/jobs/{id}/attempts/{n}/released`, `POST /v1/regions/{name}/packs/{build}/lost`.
package struct DetailBody: WireRequest, Hashable {
    package var detail: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case detail }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(detail: String) { self.detail = detail }
}

package struct WorkerBody: Hashable, Sendable, Codable {
    package var name: WorkerName
    package var region: RegionName
    /// Waiting for a job since then; nil while it works or was never seen waiting.
    package var waitingSince: WireTime?
    package var isDraining: Bool
    /// The job it claimed last and that has not ended.
    package var job: JobID?

    package enum CodingKeys: String, CodingKey {
        case name, region
        case waitingSince = "waiting_since"
        case isDraining = "draining"
        case job
    }

    package init(name: WorkerName, _ record: WorkerRecord, job: JobID?) {
        (self.name, region, isDraining) = (name, record.region, record.isDraining)
        waitingSince = record.waitingSince.map(WireTime.init)
        self.job = job
    }
}

/// By name.
package struct WorkerList: Hashable, Sendable, Codable {
    package var workers: [WorkerBody]
    package var sequence: LogSequence

    package init(workers: [WorkerBody], sequence: LogSequence) { (self.workers, self.sequence) = (workers, sequence) }
}
