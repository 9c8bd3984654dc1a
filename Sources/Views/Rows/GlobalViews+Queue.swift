import Domain

extension GlobalViews {
    private typealias Job = RowValues<GlobalTables.JobColumn>

    static func queueSQL(_ change: Change) -> String {
        switch change {
        case .insertRequest: "INSERT INTO job_requests VALUES (?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        case .lastRequest: "SELECT max(id) FROM job_requests"
        case .beat: "INSERT INTO heartbeat_rows VALUES (?2, ?3, ?1, ?4, ?5, ?6)"
        case .lastBeat:
            "SELECT counter, stage FROM heartbeat_rows WHERE job = ?1 AND attempt = ?2 ORDER BY sequence DESC LIMIT 1"
        default: preconditionFailure("\(change) is not the queue's")
        }
    }

    static func write(
        _ event: QueueEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let time = SQLValue.integer(header.time.milliseconds)
        switch event {
        case .enqueued(let job, let request): try enqueued(job, request, header, rows)
        case .claimed(let job, let attempt, let worker, _): try claimed(job, attempt, worker, header, rows)
        case .heartbeat(let job, let attempt, let counter, let stage):
            let isCurrent = try rows.tables.jobs.current(job)?.isCurrent(attempt) == true
            if isCurrent { try beat(job, attempt, counter: counter, stage: stage.rawValue, header, rows) }
        case .uploaded(let job, let attempt, let pack):
            try heard(job, attempt, stage: .verify, header, rows)
            try change(job, header, rows) { row in
                row.setPack(pack)
                return row.isCurrent(attempt)
            }
        case .succeeded(let job, let attempt):
            let isEnded = try change(job, header, rows) { row in
                guard row.isCurrent(attempt), row[.manifest] != .null else { return false }
                (row[.status], row[.endedAt]) = (.text("succeeded"), time)
                return true
            }
            if isEnded { try ended(job, rows) }
        case .attemptFailed(let job, let attempt, _, _), .attemptReleased(let job, let attempt, _):
            try heard(job, attempt, stage: nil, header, rows)
        case .leaseExpired(let job, let attempt):
            try change(job, header, rows) { row in
                row[.lostAttempts] = .integer((row[number: .lostAttempts] ?? 0) + 1)
                return row.isCurrent(attempt)
            }
        case .requeued(let job):
            try change(job, header, rows) { row in
                guard row[.status] == .text("running") else { return false }
                row[.status] = .text("queued")
                (row[.attempt], row[.worker], row[.claimedAt]) = (.null, .null, .null)
                row.setPack(nil)
                return true
            }
        case .cancelRequested(let job, let reason):
            try change(job, header, rows) { row in
                guard row.isOpen, row[.cancelRequestedAt] == .null else { return false }
                (row[.cancelRequestedAt], row[.cancelReason]) = (time, .text(reason))
                return true
            }
        case .failed(let job, let reason, let detail):
            let isEnded = try change(job, header, rows) { row in
                guard row.isOpen else { return false }
                (row[.status], row[.endedAt]) = (.text("failed"), time)
                (row[.failureReason], row[.failureDetail]) = (.text(reason.rawValue), .text(detail))
                row.setPack(nil)
                return true
            }
            if isEnded { try ended(job, rows) }
        case .enqueueReused: break
        }
    }

    /// Ids are gapless: a job of another number than the next is none.
    private static func enqueued(
        _ job: JobID, _ request: JobRequest, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        guard job == JobID(rawValue: try lastJob(rows).rawValue &+ 1) else { return }
        let insert = rows[.insertRequest].add(header.sequence.rawValue).add(job.rawValue)
        insert.add(header.time.milliseconds).add(request.commit.rawValue).add(request.app.rawValue)
        insert.add(request.repository).add(request.recipePath).add(Int64(request.priority)).add(request.isForced)
        try insert.add(try rows.actor(header.actor)).run()
        rows.tables.lastJob = job
        var row = Job()
        (row[.status], row[.attempts], row[.lostAttempts]) = (.text("queued"), .zero, .zero)
        rows.tables.jobs.begin(row, RowKey(.integer(job.rawValue)), at: header.sequence.rawValue)
    }

    private static func lastJob(_ rows: RowWriter<GlobalViews>) throws(ViewsFailure) -> JobID {
        if let last = rows.tables.lastJob { return last }
        guard case .integer(let last)? = try rows[.lastRequest].first() else { return JobID(rawValue: 0) }
        return JobID(rawValue: UInt64(clamping: last))
    }

    /// The claim is the attempt's first sign of life. The worker holds the job even where the queue makes no sense of
    /// the claim, as in the reducer.
    private static func claimed(
        _ job: JobID, _ attempt: AttemptNumber, _ worker: WorkerName, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let number = SQLValue.integer(attempt.rawValue)
        let isClaimed = try change(job, header, rows) { row in
            guard row[.status] == .text("queued"), row[.attempts] == .integer(attempt.rawValue &- 1) else {
                return false
            }
            (row[.status], row[.attempt], row[.attempts]) = (.text("running"), number, number)
            (row[.worker], row[.claimedAt]) = (.text(worker.rawValue), .integer(header.time.milliseconds))
            return true
        }
        if isClaimed { try beat(job, attempt, counter: 0, stage: AttemptStage.snapshot.rawValue, header, rows) }
        try rows.tables.workers.change(RowKey(.text(worker.rawValue)), at: header.sequence.rawValue) { row in
            (row[.waitingSince], row[.job]) = (.null, .integer(job.rawValue))
            return true
        }
    }

    private static func beat(
        _ job: JobID, _ attempt: AttemptNumber, counter: UInt64, stage: String, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        try rows[.beat].add(header.sequence.rawValue).add(job.rawValue).add(attempt.rawValue)
            .add(header.time.milliseconds).add(counter).add(stage).run()
        rows.tables.beats[job] = GlobalTables.Beat(attempt: attempt, counter: counter, stage: stage)
    }

    /// A report of the current attempt is a sign of life with the counter of the one before.
    private static func heard(
        _ job: JobID, _ attempt: AttemptNumber, stage: AttemptStage?, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        guard try rows.tables.jobs.current(job)?.isCurrent(attempt) == true,
            let last = try lastBeat(job, attempt, rows)
        else { return }
        try beat(job, attempt, counter: last.counter, stage: stage?.rawValue ?? last.stage, header, rows)
    }

    private static func lastBeat(
        _ job: JobID, _ attempt: AttemptNumber, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) -> GlobalTables.Beat? {
        if let beat = rows.tables.beats[job], beat.attempt == attempt { return beat }
        let search = rows[.lastBeat].add(job.rawValue).add(attempt.rawValue)
        defer { search.finish() }
        guard try search.step(), case .integer(let counter) = search.value(0), case .text(let stage) = search.value(1)
        else { return nil }
        return GlobalTables.Beat(attempt: attempt, counter: UInt64(clamping: counter), stage: stage)
    }

    private static func ended(_ job: JobID, _ rows: RowWriter<GlobalViews>) throws(ViewsFailure) {
        rows.tables.beats[job] = nil
        try rows.tables.jobs.settle(RowKey(.integer(job.rawValue)))
    }

    @discardableResult
    private static func change(
        _ job: JobID, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>, _ body: (inout Job) -> Bool
    ) throws(ViewsFailure) -> Bool {
        try rows.tables.jobs.change(RowKey(.integer(job.rawValue)), at: header.sequence.rawValue, body)
    }
}

extension VersionedRows<GlobalTables.JobColumn> {
    fileprivate func current(_ job: JobID) throws(ViewsFailure) -> RowValues<Column>? {
        try current(RowKey(.integer(job.rawValue)))
    }
}

extension RowValues<GlobalTables.JobColumn> {
    fileprivate var isOpen: Bool { self[.status] == .text("queued") || self[.status] == .text("running") }

    fileprivate func isCurrent(_ attempt: AttemptNumber) -> Bool {
        self[.status] == .text("running") && self[.attempt] == .integer(attempt.rawValue)
    }

    fileprivate mutating func setPack(_ pack: UploadedPack?) {
        self[.manifest] = pack.map { .digest($0.manifest) } ?? .null
        self[.rawBytes] = pack.map { .integer($0.rawBytes) } ?? .null
        self[.packedBytes] = pack.map { .integer($0.packedBytes) } ?? .null
        self[.region] = pack.map { .text($0.region.rawValue) } ?? .null
    }
}
