package import Domain

/// What a worker does, as a pure machine: facts in, effects out. It claims one job at a time, builds, packs, uploads
/// and reports it, and says all the while that it lives.
///
/// Rules it keeps:
/// * An unreachable control plane never stops a build: every call is repeated, with growing waits, until it is answered.
/// * A stale attempt is dropped without a report; a cancelled one is stopped and reported as cancelled.
/// * Every attempt that was claimed ends with exactly one `deleteWorkspace`, and until then has heartbeats.
/// * Facts about another attempt than the current one, and late ones, change nothing; they are counted.
///
/// `now` is a monotonic clock's reading in milliseconds, and never decreases.
package struct WorkerMachine: Hashable, Sendable {
    enum State: Hashable, Sendable {
        /// Before `started`, or waiting until the next claim.
        case idle(claimAt: Int64?, failures: Int)
        case claiming(failures: Int)
        case working(WorkingAttempt)
        case finished
    }

    private(set) var state = State.idle(claimAt: nil, failures: 0)
    private let settings: WorkerSettings
    /// Whether to end after the current attempt, and whether to end it as well.
    private var isDraining = false
    private var isShuttingDown = false
    /// What the shell was last told. A tick that comes too early does no harm.
    private var timerAt: Int64?
    /// Facts that fitted nothing: late answers of attempts that are over, mostly.
    package private(set) var ignoredFacts: UInt64 = 0

    package init(settings: WorkerSettings = WorkerSettings()) { self.settings = settings }

    /// The attempt that is being worked on.
    package var current: AttemptKey? {
        if case .working(let attempt) = state { attempt.job.key } else { nil }
    }

    // MARK: Claiming

    package mutating func started(now: Int64) -> [WorkerEffect] {
        guard case .idle(claimAt: nil, _) = state else { return ignored() }
        return claim(failures: 0)
    }

    package mutating func claimed(_ job: ClaimedJob, now: Int64) -> [WorkerEffect] {
        guard case .claiming = state else { return ignored() }
        var attempt = WorkingAttempt(job: job, settings: settings, now: now)
        let effects = isShuttingDown ? attempt.release(now: now) : [.startBuild(job)]
        state = .working(attempt)
        return timed(effects)
    }

    package mutating func noWork(now: Int64) -> [WorkerEffect] {
        guard case .claiming = state else { return ignored() }
        if isDraining { return finish() }
        state = .idle(claimAt: now + settings.emptyPauseMilliseconds, failures: 0)
        return timed([])
    }

    package mutating func claimFailed(now: Int64) -> [WorkerEffect] {
        guard case .claiming(let failures) = state else { return ignored() }
        if isDraining { return finish() }
        state = .idle(claimAt: now + settings.retryDelay(failures: failures + 1), failures: failures + 1)
        return timed([])
    }

    // MARK: The attempt

    package mutating func stageChanged(_ key: AttemptKey, to stage: AttemptStage) -> [WorkerEffect] {
        change(key) { $0.stageChanged(to: stage) }
    }

    package mutating func buildEnded(_ key: AttemptKey, _ failure: BuildFailure?, now: Int64) -> [WorkerEffect] {
        change(key) { $0.buildEnded(failure, now: now) }
    }

    package mutating func packed(_ key: AttemptKey, now: Int64) -> [WorkerEffect] {
        change(key) { $0.packed(now: now) }
    }

    package mutating func packFailed(_ key: AttemptKey, _ failure: BuildFailure, now: Int64) -> [WorkerEffect] {
        change(key) { $0.packFailed(failure, now: now) }
    }

    package mutating func uploaded(_ key: AttemptKey, now: Int64) -> [WorkerEffect] {
        change(key) { $0.uploaded(now: now) }
    }

    /// The region did not take it: it is tried again, for as long as there is patience.
    package mutating func uploadFailed(_ key: AttemptKey, _ trouble: UploadTrouble, now: Int64) -> [WorkerEffect] {
        change(key) { $0.uploadFailed(trouble, now: now) }
    }

    /// The region will never take it, and says why: the attempt has failed.
    package mutating func uploadRejected(_ key: AttemptKey, detail: String, now: Int64) -> [WorkerEffect] {
        change(key) { $0.uploadRejected(detail: detail, now: now) }
    }

    /// The control plane finds the reported pack wrong, and says why: the attempt has failed.
    package mutating func reportRejected(_ key: AttemptKey, detail: String, now: Int64) -> [WorkerEffect] {
        change(key) { $0.reportRejected(detail: detail, now: now) }
    }

    package mutating func reported(_ key: AttemptKey, _ verdict: ReportVerdict, now: Int64) -> [WorkerEffect] {
        change(key) { $0.reported(verdict, now: now) }
    }

    /// A report got no answer: it is repeated, unless we shut down.
    package mutating func reportFailed(_ key: AttemptKey, now: Int64) -> [WorkerEffect] {
        let isLast = isShuttingDown
        return change(key) { $0.reportFailed(isLast: isLast, now: now) }
    }

    package mutating func jobEnded(_ key: AttemptKey) -> [WorkerEffect] {
        change(key) { $0.jobEnded() }
    }

    /// A whole wait has passed, and the job is still open.
    package mutating func endNotSeen(_ key: AttemptKey) -> [WorkerEffect] {
        change(key) { $0.endNotSeen() }
    }

    package mutating func heartbeatAnswered(
        _ key: AttemptKey, counter: UInt64, _ verdict: HeartbeatVerdict, now: Int64
    ) -> [WorkerEffect] {
        change(key) { $0.heartbeatAnswered(counter: counter, verdict, now: now) }
    }

    package mutating func heartbeatFailed(_ key: AttemptKey, counter: UInt64, now: Int64) -> [WorkerEffect] {
        change(key) { $0.heartbeatFailed(counter: counter, now: now) }
    }

    // MARK: The worker itself

    package mutating func tick(now: Int64) -> [WorkerEffect] {
        if let due = timerAt, due <= now { timerAt = nil }
        switch state {
        case .idle(let claimAt?, let failures) where claimAt <= now: return claim(failures: failures)
        case .idle, .claiming, .finished: return timed([])
        case .working(let attempt): return change(attempt.job.key) { $0.tick(now: now) }
        }
    }

    /// Finish what was begun, then end.
    package mutating func drain() -> [WorkerEffect] {
        guard !isDraining else { return ignored() }
        isDraining = true
        switch state {
        case .idle: return finish()
        case .claiming, .working: return []
        case .finished: return ignored()
        }
    }

    /// End soon: the current attempt is given back for another worker.
    package mutating func shutdown(now: Int64) -> [WorkerEffect] {
        guard !isShuttingDown else { return ignored() }
        (isDraining, isShuttingDown) = (true, true)
        switch state {
        case .idle: return finish()
        case .claiming: return [.cancelClaim]
        case .working(let attempt): return change(attempt.job.key) { $0.shutdown(now: now) }
        case .finished: return ignored()
        }
    }

    // MARK: Steps

    private mutating func claim(failures: Int) -> [WorkerEffect] {
        state = .claiming(failures: failures)
        return [.claim]
    }

    private mutating func finish() -> [WorkerEffect] {
        state = .finished
        return [.finish]
    }

    private mutating func ignored() -> [WorkerEffect] {
        ignoredFacts += 1
        return []
    }

    /// Hands a fact to the attempt it is about, and goes on when that was its last.
    private mutating func change(
        _ key: AttemptKey, _ fact: (inout WorkingAttempt) -> WorkingAttempt.Step
    ) -> [WorkerEffect] {
        guard case .working(var attempt) = state, attempt.job.key == key else { return ignored() }
        switch fact(&attempt) {
        case .ignored:
            return ignored()
        case .continued(let effects):
            state = .working(attempt)
            return timed(effects)
        case .over:
            return [.deleteWorkspace(key)] + (isDraining ? finish() : claim(failures: 0))
        }
    }

    /// Adds the timer where the next deadline has changed.
    private mutating func timed(_ effects: [WorkerEffect]) -> [WorkerEffect] {
        let deadline: Int64? =
            switch state {
            case .idle(let claimAt, _): claimAt
            case .claiming, .finished: nil
            case .working(let attempt): attempt.deadline
            }
        guard let deadline, deadline != timerAt else { return effects }
        timerAt = deadline
        return effects + [.setTimer(atMilliseconds: deadline)]
    }
}
