internal import Domain

/// The part of the machine that is about one attempt: from its claim to its `deleteWorkspace`.
struct WorkingAttempt: Hashable, Sendable {
    /// Work that goes on elsewhere and ends with a fact; or nothing runs, and a call is made or waited for.
    enum Phase: Hashable, Sendable {
        case building(AttemptStage)
        case packing
        /// `stuckSince`: when the region first took nothing, with no success since.
        case uploading(Call, stuckSince: Int64?)
        case reportingUploaded(Call)
        /// The region reads the pack back; the attempt is current until then, and so is its heartbeat.
        case confirming
        /// The work has been told to end and has not yet.
        case stopping(AfterStop)
        case reportingFailure(BuildFailure, Call)
        case releasing(Call)
    }

    enum AfterStop: Hashable, Sendable {
        case drop
        case report(BuildFailure)
        case release
    }

    /// A call that is repeated until answered.
    struct Call: Hashable, Sendable {
        /// Nil while it is under way.
        var retryAt: Int64?
        /// Tries in a row without an answer.
        var failures = 0
    }

    struct Heart: Hashable, Sendable {
        /// Of the last heartbeat sent.
        var counter: UInt64 = 0
        /// When that was; nil when it has its answer.
        var sentAt: Int64?
        /// Nil while one is under way: there is never a second.
        var nextAt: Int64?
        var failures = 0
    }

    enum Step: Hashable, Sendable {
        case ignored
        case continued([WorkerEffect])
        /// Nothing is left to do but to delete the workspace.
        case over
    }

    let job: ClaimedJob
    private(set) var phase = Phase.building(.snapshot) {
        didSet { stage = phase.stage ?? stage }
    }
    /// What heartbeats say: while an attempt is being ended, what it was at.
    private var stage = AttemptStage.snapshot
    private var heart: Heart
    private let settings: WorkerSettings

    init(job: ClaimedJob, settings: WorkerSettings, now: Int64) {
        (self.job, self.settings) = (job, settings)
        heart = Heart(nextAt: now + max(1, Int64(job.heartbeatSeconds)) * 1000)
    }

    private var key: AttemptKey { job.key }
    private var heartbeatMilliseconds: Int64 { max(1, Int64(job.heartbeatSeconds)) * 1000 }

    /// The next moment at which `tick` has something to do.
    var deadline: Int64? {
        switch (heart.nextAt, call?.retryAt) {
        case (let heartbeat?, let retry?): min(heartbeat, retry)
        case (let heartbeat, let retry): heartbeat ?? retry
        }
    }

    private var call: Call? {
        switch phase {
        case .uploading(let call, _), .reportingUploaded(let call), .reportingFailure(_, let call),
            .releasing(let call):
            call
        case .building, .packing, .confirming, .stopping: nil
        }
    }

    // MARK: Work

    mutating func stageChanged(to stage: AttemptStage) -> Step {
        guard case .building = phase else { return .ignored }
        phase = .building(stage)
        return .continued([])
    }

    mutating func buildEnded(_ failure: BuildFailure?, now: Int64) -> Step {
        switch phase {
        case .building:
            if let failure { return .continued(report(failure)) }
            phase = .packing
            return .continued([.pack(key)])
        case .stopping(let next): return stopped(next)
        case .packing, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing: return .ignored
        }
    }

    mutating func packed(now: Int64) -> Step {
        switch phase {
        case .packing:
            phase = .uploading(Call(), stuckSince: nil)
            return .continued([.upload(key)])
        case .stopping(let next): return stopped(next)
        case .building, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing: return .ignored
        }
    }

    mutating func packFailed(_ failure: BuildFailure, now: Int64) -> Step {
        switch phase {
        case .packing: return .continued(report(failure))
        case .stopping(let next): return stopped(next)
        case .building, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing: return .ignored
        }
    }

    mutating func uploaded(now: Int64) -> Step {
        switch phase {
        case .uploading(let call, _) where call.retryAt == nil:
            phase = .reportingUploaded(Call())
            return .continued([.reportUploaded(key)])
        case .stopping(let next): return stopped(next)
        case .building, .packing, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing:
            return .ignored
        }
    }

    mutating func uploadFailed(_ trouble: UploadTrouble, now: Int64) -> Step {
        switch phase {
        case .uploading(let call, let stuckSince) where call.retryAt == nil:
            let since = trouble.hasMoved ? now : stuckSince ?? now
            guard now - since < settings.patienceMilliseconds(trouble.kind) else {
                return .continued(report(BuildFailure(.artifact, detail: trouble.detail)))
            }
            phase = .uploading(failed(call, now: now), stuckSince: since)
            return .continued([])
        case .stopping(let next): return stopped(next)
        case .building, .packing, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing:
            return .ignored
        }
    }

    mutating func uploadRejected(detail: String, now: Int64) -> Step {
        switch phase {
        case .uploading(let call, _) where call.retryAt == nil:
            return .continued(report(BuildFailure(.artifact, detail: detail)))
        case .stopping(let next): return stopped(next)
        case .building, .packing, .uploading, .reportingUploaded, .confirming, .reportingFailure, .releasing:
            return .ignored
        }
    }

    // MARK: Reports

    mutating func reported(_ verdict: ReportVerdict, now: Int64) -> Step {
        guard let call, call.retryAt == nil else { return .ignored }
        switch (phase, verdict) {
        case (.reportingUploaded, .accepted):
            phase = .confirming
            return .continued([.awaitEnd(key)])
        case (.reportingUploaded, .refused), (.reportingFailure, _), (.releasing, _): return .over
        case (.building, _), (.packing, _), (.uploading, _), (.confirming, _), (.stopping, _): return .ignored
        }
    }

    mutating func reportRejected(detail: String, now: Int64) -> Step {
        guard case .reportingUploaded(let call) = phase, call.retryAt == nil else { return .ignored }
        return .continued(report(BuildFailure(.artifact, detail: detail)))
    }

    /// `isLast`: there is no time to try again; the lease's end will tell what we could not.
    mutating func reportFailed(isLast: Bool, now: Int64) -> Step {
        guard let call, call.retryAt == nil else { return .ignored }
        let next = failed(call, now: now)
        switch phase {
        case .reportingUploaded: phase = .reportingUploaded(next)
        case .reportingFailure(let failure, _): phase = .reportingFailure(failure, next)
        case .releasing: phase = .releasing(next)
        case .building, .packing, .uploading, .confirming, .stopping: return .ignored
        }
        return isLast ? .over : .continued([])
    }

    func jobEnded() -> Step {
        if case .confirming = phase { .over } else { .ignored }
    }

    /// The report is made again: a global log that was set back has forgotten the first one, and is told nothing else.
    mutating func endNotSeen() -> Step {
        guard case .confirming = phase else { return .ignored }
        phase = .reportingUploaded(Call())
        return .continued([.reportUploaded(key)])
    }

    // MARK: Heartbeats and time

    mutating func heartbeatAnswered(counter: UInt64, _ verdict: HeartbeatVerdict, now: Int64) -> Step {
        guard counter == heart.counter, let sentAt = heart.sentAt else { return .ignored }
        heart = Heart(counter: counter, nextAt: max(now, sentAt + heartbeatMilliseconds))
        switch verdict {
        case .continue: return .continued([])
        case .cancel: return cancelled()
        case .stale: return stale()
        }
    }

    mutating func heartbeatFailed(counter: UInt64, now: Int64) -> Step {
        guard counter == heart.counter, heart.sentAt != nil else { return .ignored }
        heart.failures += 1
        heart.sentAt = nil
        heart.nextAt = now + min(settings.retryDelay(failures: heart.failures), heartbeatMilliseconds)
        return .continued([])
    }

    mutating func tick(now: Int64) -> Step {
        var effects: [WorkerEffect] = []
        if let nextAt = heart.nextAt, nextAt <= now {
            (heart.sentAt, heart.nextAt) = (now, nil)
            heart.counter += 1
            effects.append(.heartbeat(key, counter: heart.counter, stage: stage))
        }
        if let retryAt = call?.retryAt, retryAt <= now { effects.append(contentsOf: callAgain()) }
        return .continued(effects)
    }

    // MARK: Ends from outside

    mutating func shutdown(now: Int64) -> Step {
        switch phase {
        case .building, .packing: return stop(.release)
        case .uploading(let call, _): return call.retryAt == nil ? stop(.release) : .continued(release(now: now))
        case .stopping: return .continued([])
        case .reportingUploaded(let call), .reportingFailure(_, let call), .releasing(let call):
            // One that is under way may still be answered; one that waits for its next try is given up.
            return call.retryAt == nil ? .continued([]) : .over
        case .confirming: return .over
        }
    }

    mutating func release(now: Int64) -> [WorkerEffect] {
        phase = .releasing(Call())
        return [.release(key)]
    }

    private mutating func cancelled() -> Step {
        switch phase {
        case .building, .packing: return stop(.report(.cancelled))
        case .uploading(let call, _):
            return call.retryAt == nil ? stop(.report(.cancelled)) : .continued(report(.cancelled))
        // The control plane ends a cancelled job by itself at the next report, whichever it is.
        case .stopping, .reportingUploaded, .confirming, .reportingFailure, .releasing: return .continued([])
        }
    }

    private mutating func stale() -> Step {
        switch phase {
        case .building, .packing: return stop(.drop)
        case .uploading(let call, _): return call.retryAt == nil ? stop(.drop) : .over
        case .stopping:
            phase = .stopping(.drop)
            return .continued([])
        case .reportingUploaded, .confirming, .reportingFailure, .releasing: return .over
        }
    }

    // MARK: Steps

    private mutating func stop(_ next: AfterStop) -> Step {
        phase = .stopping(next)
        return .continued([.stopWork(key)])
    }

    private mutating func stopped(_ next: AfterStop) -> Step {
        switch next {
        case .drop: return .over
        case .report(let failure): return .continued(report(failure))
        case .release:
            phase = .releasing(Call())
            return .continued([.release(key)])
        }
    }

    private mutating func report(_ failure: BuildFailure) -> [WorkerEffect] {
        phase = .reportingFailure(failure, Call())
        return [.reportFailed(key, failure)]
    }

    private func failed(_ call: Call, now: Int64) -> Call {
        Call(retryAt: now + settings.retryDelay(failures: call.failures + 1), failures: call.failures + 1)
    }

    private mutating func callAgain() -> [WorkerEffect] {
        let call = Call(failures: call?.failures ?? 0)
        switch phase {
        case .uploading(_, let stuckSince):
            phase = .uploading(call, stuckSince: stuckSince)
            return [.upload(key)]
        case .reportingUploaded:
            phase = .reportingUploaded(call)
            return [.reportUploaded(key)]
        case .reportingFailure(let failure, _):
            phase = .reportingFailure(failure, call)
            return [.reportFailed(key, failure)]
        case .releasing:
            phase = .releasing(call)
            return [.release(key)]
        case .building, .packing, .confirming, .stopping: return []
        }
    }
}

extension WorkingAttempt.Phase {
    /// Nil where an attempt is only being ended.
    fileprivate var stage: AttemptStage? {
        switch self {
        case .building(let stage): stage
        case .packing: .pack
        case .uploading, .reportingUploaded: .upload
        case .confirming: .verify
        case .stopping, .reportingFailure, .releasing: nil
        }
    }
}
