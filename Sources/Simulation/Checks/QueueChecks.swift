import Domain

/// The queue's rules, told from the events alone by the dumbest model that knows them.
struct QueueChecks {
    struct Job {
        var request: JobRequest
        var buildOnceKey: String
        var phase = Phase.queued
        var attempts: UInt64 = 0
        var lost: UInt32 = 0
        var worker: WorkerName?
        var lease: Int64 = 0
        var heardAt = Timestamp.zero
        var counter: UInt64 = 0
        var cancelledAt: Timestamp?
        var pack: UploadedPack?
        var uploadedAt: Timestamp?
    }

    enum Phase: Hashable {
        case queued, running, succeeded
        case failed(FailureReason)

        var isOver: Bool { self != .queued && self != .running }
    }

    private(set) var jobs: [JobID: Job] = [:]
    /// By priority, the greatest first; ascending.
    private var queued: [Int32: [JobID]] = [:]
    /// In the order of their ends.
    private(set) var succeeded: [AppName: [JobID]] = [:]
    /// Jobs of each build-once key that may still answer for it, oldest first.
    private var byKey: [String: [JobID]] = [:]
    private var count: UInt64 = 0
    /// No attempt was heard before this moment, as far as leases go.
    var floor = Timestamp.zero

    /// Ascending.
    private(set) var open: [JobID] = []

    /// What is wrong with an event, if anything; then it is taken.
    mutating func take(
        _ event: QueueEvent, _ header: FrameHeader, settings: Settings, fleet: FleetChecks, gone: (BuildID) -> Bool
    ) -> (rule: String, detail: String)? {
        switch event {
        case .enqueued(let job, let request): return enqueued(job, request, gone: gone)
        case .enqueueReused(let job, let request):
            return jobs[job]?.buildOnceKey == request.buildOnceKey.text
                ? nil : ("build-once", "job \(job) answered a request for something else")
        case .claimed(let job, let attempt, let worker, let lease):
            return claimed(job, attempt, worker, lease, header, fleet)
        case .heartbeat(let job, let attempt, let counter, _):
            return attempted(job, attempt, header) { job in
                defer { job.counter = counter }
                return counter > job.counter ? nil : ("heartbeats-grow", "counter \(counter) after \(job.counter)")
            }
        case .uploaded(let job, let attempt, let pack):
            return attempted(job, attempt, header) { job in
                (job.pack, job.uploadedAt) = (pack, header.time)
                return nil
            }
        case .attemptFailed(let job, let attempt, _, _), .attemptReleased(let job, let attempt, _):
            return attempted(job, attempt, header) { _ in nil }
        case .succeeded(let job, let attempt):
            return attempted(job, attempt, header) { job in
                guard job.pack != nil else { return ("succeeds-with-a-pack", "nothing was uploaded") }
                job.phase = .succeeded
                return nil
            } ?? ended(job)
        case .leaseExpired(let job, let attempt):
            return expired(job, attempt, header, settings, fleet)
        case .requeued(let job): return requeued(job, settings)
        case .cancelRequested(let job, _):
            guard jobs[job]?.phase.isOver == false else { return ("ended-once", "job \(job) is cancelled at its end") }
            if jobs[job]?.cancelledAt == nil { jobs[job]?.cancelledAt = header.time }
            return nil
        case .failed(let job, let reason, _): return failed(job, reason, settings)
        }
    }

    private mutating func enqueued(
        _ id: JobID, _ request: JobRequest, gone: (BuildID) -> Bool
    ) -> (rule: String, detail: String)? {
        count += 1
        guard id.rawValue == count else { return ("ids-have-no-gaps", "job \(id) is the \(count). one") }
        let key = request.buildOnceKey.text
        defer {
            jobs[id] = Job(request: request, buildOnceKey: key)
            byKey[key, default: []].append(id)
            queued[request.priority, default: []].append(id)
            open.append(id)
        }
        guard !request.isForced else { return nil }
        for other in byKey[key] ?? [] {
            guard let job = jobs[other] else { continue }
            let answers = job.phase == .succeeded ? !gone(other) : !job.phase.isOver && job.cancelledAt == nil
            if answers { return ("build-once", "job \(id) repeats job \(other)") }
        }
        // What is over and does not answer now never will.
        byKey[key]?.removeAll { jobs[$0]?.phase.isOver == true }
        return nil
    }

    private mutating func dequeue(_ id: JobID, _ priority: Int32) {
        guard let place = queued[priority]?.place(of: id) else { return }
        queued[priority]?.remove(at: place)
        if queued[priority]?.isEmpty == true { queued[priority] = nil }
    }

    private mutating func claimed(
        _ id: JobID, _ attempt: AttemptNumber, _ worker: WorkerName, _ lease: UInt32, _ header: FrameHeader,
        _ fleet: FleetChecks
    ) -> (rule: String, detail: String)? {
        guard var job = jobs[id], job.phase == .queued else {
            return ("one-current-attempt", "job \(id) is claimed by \(worker) and was not queued")
        }
        guard attempt.rawValue == job.attempts + 1 else {
            return ("attempts-grow", "attempt \(attempt) of job \(id) after \(job.attempts)")
        }
        if let first = queued.keys.max().flatMap({ queued[$0]?.first }), first != id {
            return ("claims-in-order", "job \(id) is claimed before job \(first)")
        }
        if let problem = fleet.mayClaim(worker) { return ("who-may-claim", problem) }
        (job.phase, job.attempts, job.worker, job.lease) = (.running, attempt.rawValue, worker, Int64(lease))
        (job.heardAt, job.counter, job.pack, job.uploadedAt) = (header.time, 0, nil, nil)
        jobs[id] = job
        dequeue(id, job.request.priority)
        return nil
    }

    /// Nothing but the current attempt's own worker, or another role, says anything about a job.
    private mutating func attempted(
        _ id: JobID, _ attempt: AttemptNumber, _ header: FrameHeader,
        _ body: (inout Job) -> (rule: String, detail: String)?
    ) -> (rule: String, detail: String)? {
        guard var job = jobs[id], job.phase == .running, job.attempts == attempt.rawValue else {
            return ("fencing", "attempt \(attempt) of job \(id) is not current and has an event")
        }
        if header.actor.kind == .worker, header.actor.name != job.worker?.rawValue {
            return (
                "fencing", "\(header.actor) speaks for attempt \(attempt) of job \(id), \(job.worker?.rawValue ?? "")'s"
            )
        }
        job.heardAt = header.time
        let problem = body(&job)
        jobs[id] = job
        return problem
    }

    private mutating func expired(
        _ id: JobID, _ attempt: AttemptNumber, _ header: FrameHeader, _ settings: Settings, _ fleet: FleetChecks
    ) -> (rule: String, detail: String)? {
        guard let job = jobs[id], job.phase == .running, job.attempts == attempt.rawValue else {
            return ("fencing", "attempt \(attempt) of job \(id) is not current and expires")
        }
        var end = max(job.heardAt, floor).adding(seconds: job.lease)
        if let cancelledAt = job.cancelledAt {
            end = min(end, max(cancelledAt, floor).adding(seconds: Int64(settings.cancelGraceSeconds)))
        }
        if let pack = job.pack, let uploadedAt = job.uploadedAt {
            let isRemoved = fleet.status(pack.region) == .removed
            end = min(
                end,
                isRemoved ? uploadedAt : max(uploadedAt, floor).adding(seconds: Int64(settings.jobTimeoutSeconds)))
        }
        guard header.time >= end else {
            return (
                "leases-last", "attempt \(attempt) of job \(id) ends \(end.millisecondsSince(header.time)) ms early"
            )
        }
        jobs[id]?.lost += 1
        return nil
    }

    private mutating func requeued(_ id: JobID, _ settings: Settings) -> (rule: String, detail: String)? {
        guard let job = jobs[id], job.phase == .running else {
            return ("ended-once", "job \(id) is requeued, not running")
        }
        guard job.lost < settings.maximumAttempts else {
            return ("attempts-are-limited", "job \(id) is requeued after \(job.lost) lost attempts")
        }
        guard job.cancelledAt == nil else { return ("a-cancel-ends", "job \(id) is requeued and cancelled") }
        jobs[id]?.phase = .queued
        let ids = queued[job.request.priority] ?? []
        queued[job.request.priority, default: []].insert(id, at: ids.placeBefore(id))
        return nil
    }

    private mutating func failed(
        _ id: JobID, _ reason: FailureReason, _ settings: Settings
    ) -> (rule: String, detail: String)? {
        guard let job = jobs[id], !job.phase.isOver else { return ("ended-once", "job \(id) fails at its end") }
        if reason == .lost, job.lost < settings.maximumAttempts {
            return ("attempts-are-limited", "job \(id) is lost after \(job.lost) lost attempts")
        }
        if job.cancelledAt != nil, reason != .cancelled {
            return ("a-cancel-ends", "job \(id) is cancelled and fails with \(reason.rawValue)")
        }
        jobs[id]?.phase = .failed(reason)
        dequeue(id, job.request.priority)
        return ended(id)
    }

    private mutating func ended(_ id: JobID) -> (rule: String, detail: String)? {
        if let job = jobs[id], job.phase == .succeeded { succeeded[job.request.app, default: []].append(id) }
        if let place = open.place(of: id) { open.remove(at: place) }
        return nil
    }
}

extension [JobID] {
    /// Of ascending ids: how many are smaller.
    fileprivate func placeBefore(_ id: JobID) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate func place(of id: JobID) -> Int? {
        let place = placeBefore(id)
        return place < count && self[place] == id ? place : nil
    }
}
