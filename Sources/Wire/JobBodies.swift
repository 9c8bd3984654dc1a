package import Domain

/// `POST /v1/jobs`.
package struct EnqueueBody: WireRequest, Hashable {
    package var app: AppName
    package var repository: String
    package var commit: CommitID
    package var recipe: String?
    package var priority: Int32?
    package var force: Bool?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case app, repository, commit, recipe, priority, force
    }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(_ request: JobRequest) {
        (app, repository, commit) = (request.app, request.repository, request.commit)
        (recipe, priority, force) = (request.recipePath, request.priority, request.isForced)
    }

    package var request: JobRequest {
        JobRequest(
            app: app, repository: repository, commit: commit, recipePath: recipe ?? JobRequest.usualRecipePath,
            priority: priority ?? 0, isForced: force ?? false)
    }
}

package struct EnqueueAnswer: Hashable, Sendable, Codable {
    package var job: JobID
    /// Whether an earlier job of the same app, repository, commit and recipe answers the request.
    package var reused: Bool
    package var sequence: LogSequence

    package init(job: JobID, reused: Bool, sequence: LogSequence) {
        (self.job, self.reused, self.sequence) = (job, reused, sequence)
    }
}

/// A change without anything to say but when.
package struct DoneAnswer: Hashable, Sendable, Codable {
    package var sequence: LogSequence

    package init(sequence: LogSequence) { self.sequence = sequence }
}

/// A request without fields.
package struct EmptyBody: WireRequest, Hashable {
    package static var fields: [String] { [] }

    package init() {}
}

/// Cancels, suspensions, resumptions, removals.
package struct ReasonBody: WireRequest, Hashable {
    package var reason: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case reason }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(reason: String) { self.reason = reason }
}

package enum JobStatus: String, Hashable, Sendable, Codable, CaseIterable {
    case queued, running, succeeded, failed

    package var hasEnded: Bool {
        switch self {
        case .queued, .running: false
        case .succeeded, .failed: true
        }
    }
}

/// One job, now or as it ended.
package struct JobBody: Hashable, Sendable, Codable {
    package var id: JobID
    package var app: AppName
    package var repository: String
    package var commit: CommitID
    package var recipe: String
    package var priority: Int32
    package var status: JobStatus
    /// Why it failed; nil unless it did.
    package var reason: FailureReason?
    package var detail: String?
    /// The latest attempt; nil before the first claim.
    package var attempt: AttemptNumber?
    package var worker: WorkerName?
    /// What the worker does; nil unless running.
    package var stage: AttemptStage?
    package var isCancelRequested: Bool
    package var createdAt: WireTime
    package var startedAt: WireTime?
    package var endedAt: WireTime?
    package var lastHeartbeat: WireTime?
    /// The sequence of its last change: what `?after=` compares. A heartbeat is one when it says a new stage.
    package var changed: LogSequence
    /// The sequence at which all of this is true.
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case id, app, repository, commit, recipe, priority, status, reason, detail, attempt, worker, stage
        case isCancelRequested = "cancel_requested"
        case createdAt = "created_at"
        case startedAt = "started_at"
        case endedAt = "ended_at"
        case lastHeartbeat = "last_heartbeat"
        case changed, sequence
    }

    package init(
        id: JobID, request: JobRequest, status: JobStatus, createdAt: WireTime, changed: LogSequence,
        sequence: LogSequence
    ) {
        (self.id, app, repository, commit) = (id, request.app, request.repository, request.commit)
        (recipe, priority) = (request.recipePath, request.priority)
        (self.status, self.createdAt, self.changed, self.sequence) = (status, createdAt, changed, sequence)
        isCancelRequested = false
    }
}

/// Newest first.
package struct JobList: Hashable, Sendable, Codable {
    package var jobs: [JobBody]
    /// What to pass as `?before=` for the next part; nil at the end.
    package var next: JobID?
    package var sequence: LogSequence

    package init(jobs: [JobBody], next: JobID?, sequence: LogSequence) {
        (self.jobs, self.next, self.sequence) = (jobs, next, sequence)
    }
}
