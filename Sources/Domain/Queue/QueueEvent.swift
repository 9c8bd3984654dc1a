/// What happened to a job.
package enum QueueEvent: Hashable, Sendable {
    case enqueued(JobID, JobRequest)
    case claimed(JobID, AttemptNumber, worker: WorkerName, leaseSeconds: UInt32)
    /// Counters grow within an attempt; a repeated one is no event.
    case heartbeat(JobID, AttemptNumber, counter: UInt64, stage: AttemptStage)
    /// The worker says that the pack is in its region's store.
    case uploaded(JobID, AttemptNumber, UploadedPack)
    /// The region read the pack back: the job is done.
    case succeeded(JobID, AttemptNumber)
    /// The worker says how its attempt failed. `failed` follows.
    case attemptFailed(JobID, AttemptNumber, FailureReason, detail: String)
    /// The worker gives the attempt back unfinished (shutdown, drain). `requeued` or `failed` follows.
    case attemptReleased(JobID, AttemptNumber, detail: String)
    /// The attempt was silent for its lease, or a cancelled one for its grace. `requeued` or `failed` follows.
    case leaseExpired(JobID, AttemptNumber)
    case requeued(JobID)
    case cancelRequested(JobID, reason: String)
    case failed(JobID, FailureReason, detail: String)
    /// A request under an idempotency key was answered with a job that was there already: remembered under the key.
    case enqueueReused(JobID, JobRequest)
}

package enum QueueCommand: Hashable, Sendable {
    case enqueue(JobRequest)
    case cancel(JobID, reason: String)
    /// The next job for this worker; `fleet.waiting` when there is none.
    case claim(WorkerName)
    case heartbeat(JobID, AttemptNumber, counter: UInt64, stage: AttemptStage)
    case reportUploaded(JobID, AttemptNumber, UploadedPack)
    case reportFailed(JobID, AttemptNumber, FailureReason, detail: String)
    case release(JobID, AttemptNumber, detail: String)
    /// The lease reaper's.
    case expireLease(JobID, AttemptNumber)

    package static let maximumDetailBytes = 1000
    package static let maximumReasonBytes = 500
}

package enum QueueAnswer: Hashable, Sendable, Codable {
    case enqueued(JobID, isReused: Bool)
    case claimed(JobID, AttemptNumber, JobRequest, leaseSeconds: UInt32, heartbeatSeconds: UInt32)
    case nothingToClaim
    case heartbeat(isCancelled: Bool)
    case done
}
