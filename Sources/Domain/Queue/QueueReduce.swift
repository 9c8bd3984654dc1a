extension QueueState {
    /// Takes one fact. Total: an event that makes no sense here is counted and changes nothing else.
    package mutating func reduce(_ event: QueueEvent, at time: Timestamp) {
        switch event {
        case .enqueued(let job, let request): enqueued(job, request, at: time)
        case .claimed(let job, let attempt, let worker, let leaseSeconds):
            claimed(job, attempt, worker: worker, leaseSeconds: leaseSeconds, at: time)
        case .heartbeat(let job, let attempt, let counter, let stage):
            heard(job, attempt, at: time) {
                $0.counter = max($0.counter, counter)
                $0.stage = stage
            }
        case .uploaded(let job, let attempt, let pack):
            heard(job, attempt, at: time) {
                $0.pack = pack
                $0.uploadedAt = time
                $0.stage = .verify
            }
        case .succeeded(let job, let attempt): succeeded(job, attempt, at: time)
        case .attemptFailed(let job, let attempt, _, _), .attemptReleased(let job, let attempt, _):
            heard(job, attempt, at: time) { _ in }
        case .leaseExpired(let job, let attempt): leaseExpired(job, attempt)
        case .requeued(let job): requeued(job)
        case .cancelRequested(let job, let reason): cancelRequested(job, reason: reason, at: time)
        case .failed(let job, _, _): failed(job)
        case .enqueueReused: break
        }
    }

    private mutating func enqueued(_ job: JobID, _ request: JobRequest, at time: Timestamp) {
        guard job.rawValue == enqueued.rawValue &+ 1 else { return note() }
        enqueued = job
        jobs[job] = OpenJob(request: request, enqueuedAt: time)
        waiting.insert(job, priority: request.priority)
        let key = request.buildOnceKey
        if let earlier = buildOnce.updateValue(job, forKey: key) { displaced[key, default: []].append(earlier) }
    }

    private mutating func claimed(
        _ job: JobID, _ attempt: AttemptNumber, worker: WorkerName, leaseSeconds: UInt32, at time: Timestamp
    ) {
        let begun = Attempt(
            number: attempt, worker: worker, leaseSeconds: leaseSeconds, claimedAt: time, heardAt: time, counter: 0,
            stage: .snapshot, pack: nil)
        guard let priority = jobs.change(job, { $0?.begin(begun) }) else { return note() }
        waiting.remove(job, priority: priority)
        running.insert(job, at: runningPlace(job))
    }

    private mutating func heard(
        _ job: JobID, _ number: AttemptNumber, at time: Timestamp, change: (inout Attempt) -> Void
    ) {
        guard jobs.change(job, { $0?.heard(number, at: time, change: change) }) == true else { return note() }
    }

    private mutating func succeeded(_ job: JobID, _ number: AttemptNumber, at time: Timestamp) {
        guard let build = jobs.look(job, { $0?.build(number, at: time) }) else { return note() }
        builds[job] = build
        close(job)
    }

    private mutating func leaseExpired(_ job: JobID, _ number: AttemptNumber) {
        let isCurrent = jobs.change(job) { open in
            guard open?.attempt?.number == number else { return false }
            open?.lostAttempts += 1
            return true
        }
        if !isCurrent { note() }
    }

    private mutating func requeued(_ job: JobID) {
        let priority: Int32? = jobs.change(job) { open in
            guard open?.attempt != nil else { return nil }
            open?.attempt = nil
            return open?.request.priority
        }
        guard let priority else { return note() }
        leaveRunning(job)
        waiting.insert(job, priority: priority)
    }

    private mutating func cancelRequested(_ job: JobID, reason: String, at time: Timestamp) {
        let isOpen = jobs.change(job) { open in
            if open?.cancel == nil { open?.cancel = OpenJob.Cancel(at: time, reason: reason) }
            return open != nil
        }
        if !isOpen { note() }
    }

    private mutating func failed(_ job: JobID) {
        guard let open = jobs[job] else { return note() }
        if open.attempt == nil { waiting.remove(job, priority: open.request.priority) }
        releaseKey(open.request.buildOnceKey, of: job)
        close(job)
    }

    /// The job answers for its key no longer; the latest one it displaced does again.
    mutating func releaseKey(_ key: BuildOnceKey, of job: JobID) {
        displaced[key]?.removeAll { $0 == job }
        if buildOnce[key] == job { buildOnce[key] = displaced[key]?.popLast() }
        if displaced[key]?.isEmpty == true { displaced[key] = nil }
    }

    private mutating func close(_ job: JobID) {
        jobs[job] = nil
        leaveRunning(job)
    }

    private mutating func leaveRunning(_ job: JobID) {
        let place = runningPlace(job)
        if place < running.count, running[place] == job { running.remove(at: place) }
    }

    /// The first place in `running` at or behind which the job may stand.
    private func runningPlace(_ job: JobID) -> Int {
        var low = 0
        var high = running.count
        while low < high {
            let middle = (low + high) / 2
            if running[middle] < job { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func note() { impossible += 1 }
}

extension OpenJob {
    /// What its current attempt uploaded, if the number is that one's.
    fileprivate func build(_ number: AttemptNumber, at time: Timestamp) -> Build? {
        guard attempt?.number == number, let pack = attempt?.pack else { return nil }
        return Build(attempt: number, pack: pack, buildOnceKey: request.buildOnceKey, succeededAt: time)
    }

    /// Starts the next attempt, and says the priority that the job waited with; nil where this is not its next one.
    fileprivate mutating func begin(_ next: Attempt) -> Int32? {
        guard attempt == nil, next.number > attempts, next.number == attempts.next else { return nil }
        attempts = next.number
        attempt = next
        return request.priority
    }

    /// Whether this attempt is the current one; then the change was made to it.
    fileprivate mutating func heard(
        _ number: AttemptNumber, at time: Timestamp, change: (inout Attempt) -> Void
    ) -> Bool {
        guard attempt?.number == number else { return false }
        attempt?.hear(at: time, change)
        return true
    }
}

extension Attempt {
    fileprivate mutating func hear(at time: Timestamp, _ change: (inout Attempt) -> Void) {
        heardAt = max(heardAt, time)
        change(&self)
    }
}
