import Domain

extension GlobalViews {
    private static let jobs = VersionedTable(
        "job_versions", keys: ["job"],
        values: [
            "status", "failure_reason", "failure_detail", "attempt", "attempts", "lost_attempts", "worker",
            "claimed_at", "cancel_requested_at", "cancel_reason", "ended_at", "manifest", "raw_bytes", "packed_bytes",
            "region",
        ])

    private static let isCurrentAttempt = "status = 'running' AND attempt = ?3"
    private static let isOpen = "status IN ('queued', 'running')"
    private static let noPack = ["manifest": "NULL", "raw_bytes": "NULL", "packed_bytes": "NULL", "region": "NULL"]

    static func queueSQL(_ change: Change) -> String {
        switch change {
        case .insertRequest:
            "INSERT INTO job_requests (sequence, id, time, commit_sha, app, repository, recipe, priority, forced, actor) "
                + "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 "
                + "WHERE ?2 = (SELECT coalesce(max(id), 0) + 1 FROM job_requests)"
        case .insertJob:
            "INSERT INTO job_versions (job, from_sequence, status, attempts, lost_attempts) "
                + "VALUES (?2, ?1, 'queued', 0, 0)"
        case .claim:
            jobs.change(
                ["status": "'running'", "attempt": "?3", "attempts": "?3", "worker": "?4", "claimed_at": "?5"],
                where: "status = 'queued' AND ?3 = attempts + 1")
        case .upload:
            jobs.change(
                ["manifest": "?4", "raw_bytes": "?5", "packed_bytes": "?6", "region": "?7"], where: isCurrentAttempt)
        case .succeed:
            jobs.change(
                ["status": "'succeeded'", "ended_at": "?4"], where: "\(isCurrentAttempt) AND manifest IS NOT NULL")
        case .loseLease: jobs.change(["lost_attempts": "lost_attempts + 1"], where: isCurrentAttempt)
        case .requeue:
            jobs.change(
                noPack.merging(
                    ["status": "'queued'", "attempt": "NULL", "worker": "NULL", "claimed_at": "NULL"]) { $1 },
                where: "status = 'running'")
        case .cancel:
            jobs.change(
                ["cancel_requested_at": "?3", "cancel_reason": "?4"],
                where: "\(isOpen) AND cancel_requested_at IS NULL")
        case .fail:
            jobs.change(
                noPack.merging(
                    ["status": "'failed'", "failure_reason": "?3", "failure_detail": "?4", "ended_at": "?5"]) { $1 },
                where: isOpen)
        case .closeJob: jobs.close
        case .beat:
            "INSERT OR IGNORE INTO heartbeat_rows (sequence, job, attempt, time, counter, stage) "
                + "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE \(attemptExists)"
        case .hear:
            "INSERT OR IGNORE INTO heartbeat_rows (sequence, job, attempt, time, counter, stage) "
                + "SELECT ?1, job, attempt, ?4, counter, coalesce(?5, stage) FROM heartbeat_rows "
                + "WHERE job = ?2 AND attempt = ?3 AND \(attemptExists) ORDER BY sequence DESC LIMIT 1"
        default: preconditionFailure("\(change) is not the queue's")
        }
    }

    private static let attemptExists =
        "EXISTS (SELECT 1 FROM job_versions WHERE job = ?2 AND to_sequence IS NULL AND \(isCurrentAttempt))"

    static func write(
        _ event: QueueEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, header.time.milliseconds)
        switch event {
        case .enqueued(let job, let request): try enqueued(job, request, header, rows)
        case .claimed(let job, let attempt, let worker, _): try claimed(job, attempt, worker, header, rows)
        case .heartbeat(let job, let attempt, let counter, let stage):
            try rows[.beat].add(sequence).add(job.rawValue).add(attempt.rawValue).add(time).add(counter)
                .add(stage.rawValue).run()
        case .uploaded(let job, let attempt, let pack):
            try hear(job, attempt, stage: .verify, header, rows)
            rows[.upload].add(sequence).add(job.rawValue).add(attempt.rawValue).add(pack.manifest)
            rows[.upload].add(pack.rawBytes).add(pack.packedBytes).add(pack.region.rawValue)
            try run(.upload, job, header, rows)
        case .succeeded(let job, let attempt):
            rows[.succeed].add(sequence).add(job.rawValue).add(attempt.rawValue).add(time)
            try run(.succeed, job, header, rows)
        case .attemptFailed(let job, let attempt, _, _), .attemptReleased(let job, let attempt, _):
            try hear(job, attempt, stage: nil, header, rows)
        case .leaseExpired(let job, let attempt):
            rows[.loseLease].add(sequence).add(job.rawValue).add(attempt.rawValue)
            try run(.loseLease, job, header, rows)
        case .requeued(let job):
            rows[.requeue].add(sequence).add(job.rawValue)
            try run(.requeue, job, header, rows)
        case .cancelRequested(let job, let reason):
            rows[.cancel].add(sequence).add(job.rawValue).add(time).add(reason)
            try run(.cancel, job, header, rows)
        case .failed(let job, let reason, let detail):
            rows[.fail].add(sequence).add(job.rawValue).add(reason.rawValue).add(detail).add(time)
            try run(.fail, job, header, rows)
        case .enqueueReused: break
        }
    }

    private static func enqueued(
        _ job: JobID, _ request: JobRequest, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let insert = rows[.insertRequest].add(header.sequence.rawValue).add(job.rawValue)
        insert.add(header.time.milliseconds).add(request.commit.rawValue).add(request.app.rawValue)
        insert.add(request.repository).add(request.recipePath).add(Int64(request.priority)).add(request.isForced)
        guard try insert.add(try rows.actor(header.actor)).run() > 0 else { return }
        try rows[.insertJob].add(header.sequence.rawValue).add(job.rawValue).run()
    }

    /// The claim is the attempt's first sign of life. The worker holds the job even where the queue makes no sense of
    /// the claim, as in the reducer.
    private static func claimed(
        _ job: JobID, _ attempt: AttemptNumber, _ worker: WorkerName, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        rows[.claim].add(sequence).add(job.rawValue).add(attempt.rawValue).add(worker.rawValue)
        rows[.claim].add(header.time.milliseconds)
        if try run(.claim, job, header, rows) {
            try rows[.beat].add(sequence).add(job.rawValue).add(attempt.rawValue).add(header.time.milliseconds)
                .add(0 as Int64).add(AttemptStage.snapshot.rawValue).run()
        }
        if try rows[.assignWorker].add(sequence).add(worker.rawValue).add(job.rawValue).run() > 0 {
            try rows[.closeWorker].add(sequence).add(worker.rawValue).run()
        }
    }

    private static func hear(
        _ job: JobID, _ attempt: AttemptNumber, stage: AttemptStage?, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        try rows[.hear].add(header.sequence.rawValue).add(job.rawValue).add(attempt.rawValue)
            .add(header.time.milliseconds).add(stage?.rawValue).run()
    }

    /// Runs a change whose values are bound, and ends the row before it; false where it did not apply.
    @discardableResult
    private static func run(
        _ change: Change, _ job: JobID, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) -> Bool {
        guard try rows[change].run() > 0 else { return false }
        try rows[.closeJob].add(header.sequence.rawValue).add(job.rawValue).run()
        return true
    }
}
