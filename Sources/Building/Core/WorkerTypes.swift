package import Domain

/// One worker's go at one job: what every later call and every file of it is named by.
package struct AttemptKey: Hashable, Sendable, CustomStringConvertible {
    package var job: JobID
    package var attempt: AttemptNumber

    package init(job: JobID, attempt: AttemptNumber) { (self.job, self.attempt) = (job, attempt) }

    /// `JOB-ATTEMPT`, as in `17-1`.
    package var description: String { "\(job)-\(attempt)" }
}

/// What the control plane answers to a claim: what to build, and by which clock.
package struct ClaimedJob: Hashable, Sendable {
    package var key: AttemptKey
    package var request: JobRequest
    package var heartbeatSeconds: UInt32
    /// The time limit of the build where the recipe names none.
    package var jobTimeoutSeconds: UInt32

    package init(key: AttemptKey, request: JobRequest, heartbeatSeconds: UInt32, jobTimeoutSeconds: UInt32) {
        (self.key, self.request) = (key, request)
        (self.heartbeatSeconds, self.jobTimeoutSeconds) = (heartbeatSeconds, jobTimeoutSeconds)
    }
}

/// Why an attempt failed, for a person and for the log.
package struct BuildFailure: Error, Hashable, Sendable {
    package var reason: FailureReason
    /// Of the command that failed; 128 and its number for a signal. Only for `exit`.
    package var exitCode: Int32?
    /// What is so and what to do, with the last lines of output: at most `QueueCommand.maximumDetailBytes`.
    package var detail: String

    package init(_ reason: FailureReason, exitCode: Int32? = nil, detail: String) {
        (self.reason, self.exitCode, self.detail) = (reason, exitCode, detail)
    }

    package static let cancelled = BuildFailure(
        .cancelled, detail: "The build was stopped because its job was cancelled.")
}

/// What the control plane says to a heartbeat.
package enum HeartbeatVerdict: Hashable, Sendable, CaseIterable {
    case `continue`
    case cancel
    /// The attempt is not current any more: lost, superseded, or ended.
    case stale
}

/// What the control plane says to a report.
package enum ReportVerdict: Hashable, Sendable, CaseIterable {
    case accepted
    /// Nothing that we could say about this attempt counts any more.
    case refused
}

/// Why an upload did not get through this time.
package struct UploadTrouble: Hashable, Sendable {
    package enum Kind: Hashable, Sendable, CaseIterable {
        case storeFull
        case unreachable
    }

    package var kind: Kind
    /// What is so and what to do, for when it does not pass.
    package var detail: String
    /// The region took some of the pack before.
    package var hasMoved: Bool

    package init(_ kind: Kind, detail: String, hasMoved: Bool) {
        (self.kind, self.detail, self.hasMoved) = (kind, detail, hasMoved)
    }
}

/// What a worker does next, as data. The shell performs it and comes back with a fact.
package enum WorkerEffect: Hashable, Sendable {
    /// Answered by `claimed`, `noWork` or `claimFailed`.
    case claim
    /// End a waiting claim soon; its answer is still awaited.
    case cancelClaim
    /// Answered by `stageChanged` and `buildEnded`.
    case startBuild(ClaimedJob)
    /// Answered by `heartbeatAnswered` or `heartbeatFailed`.
    case heartbeat(AttemptKey, counter: UInt64, stage: AttemptStage)
    /// End the build, packing or upload that runs, with every process of it; answered by that work's own end.
    case stopWork(AttemptKey)
    /// Answered by `packed` or `packFailed`.
    case pack(AttemptKey)
    /// Answered by `uploaded`, `uploadFailed` or `uploadRejected`.
    case upload(AttemptKey)
    /// Answered by `reported`, `reportFailed` or `reportRejected`.
    case reportUploaded(AttemptKey)
    /// Answered by `reported` or `reportFailed`, like the next one.
    case reportFailed(AttemptKey, BuildFailure)
    /// Give the attempt back unfinished.
    case release(AttemptKey)
    /// Watch for the job's end; answered by `jobEnded` or `endNotSeen`.
    case awaitEnd(AttemptKey)
    /// Delete what is left of the attempt, and forget it. Always the last effect of an attempt.
    case deleteWorkspace(AttemptKey)
    /// Call `tick` at this reading of the monotonic clock; replaces an earlier timer.
    case setTimer(atMilliseconds: Int64)
    /// The worker is done for good. Always the last effect.
    case finish
}

/// A worker's numbers.
package struct WorkerSettings: Hashable, Sendable {
    /// Between an answer "no work" and the next claim, which itself waits at the server.
    package var emptyPauseMilliseconds: Int64 = 250
    /// The first wait after a call that got no answer; it doubles up to the maximum.
    package var retryMinimumMilliseconds: Int64 = 500
    package var retryMaximumMilliseconds: Int64 = 30_000
    /// How long a region whose store is full, or that does not answer, may take nothing of a pack before the attempt
    /// fails.
    package var storeFullMilliseconds: Int64 = 300_000
    package var unreachableMilliseconds: Int64 = 900_000
    /// Makes half of every wait this worker's own, so that a fleet does not retry in step; 0: the whole wait.
    package var jitterSeed: UInt64 = 0

    package init() {}

    /// How long to wait after so many calls in a row without an answer.
    package func retryDelay(failures: Int) -> Int64 {
        let doublings = Int64(max(0, min(failures - 1, 40)))
        let (delay, overflow) = retryMinimumMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        let whole = overflow ? retryMaximumMilliseconds : min(delay, retryMaximumMilliseconds)
        guard jitterSeed != 0 else { return whole }
        var mixed = jitterSeed &+ UInt64(truncatingIfNeeded: failures) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed ^= mixed >> 31
        return whole / 2 + Int64(mixed % UInt64(whole - whole / 2 + 1))
    }

    func patienceMilliseconds(_ kind: UploadTrouble.Kind) -> Int64 {
        switch kind {
        case .storeFull: storeFullMilliseconds
        case .unreachable: unreachableMilliseconds
        }
    }
}
