package typealias QueueDecision = Decision<QueueEvent, QueueAnswer>

/// What a decision about the queue looks at beside the queue.
package struct QueueWorld {
    package var settings: Settings
    package var fleet: FleetState
    package var now: Timestamp
    package var actor: EventActor

    package init(settings: Settings, fleet: FleetState, now: Timestamp, actor: EventActor) {
        (self.settings, self.fleet, self.now, self.actor) = (settings, fleet, now, actor)
    }

    func isRemoved(_ region: RegionName) -> Bool { fleet.regions[region]?.status == .removed }
}

extension QueueState {
    /// What a command leads to. Nothing changes here.
    package func decide(_ command: QueueCommand, world: QueueWorld) -> QueueDecision {
        let actor = world.actor
        return switch command {
        case .enqueue(let request): enqueue(request, settings: world.settings)
        case .cancel(let job, let reason): cancel(job, reason: reason)
        case .claim(let worker): claim(worker, settings: world.settings)
        case .heartbeat(let job, let attempt, let counter, let stage):
            heartbeat(job, attempt, counter: counter, stage: stage, by: actor)
        case .reportUploaded(let job, let attempt, let pack): reportUploaded(job, attempt, pack, by: actor)
        case .reportFailed(let job, let attempt, let reason, let detail):
            reportFailed(job, attempt, reason, detail: detail, by: actor)
        case .release(let job, let attempt, let detail): release(job, attempt, detail: detail, by: actor)
        case .expireLease(let job, let attempt): expireLease(job, attempt, world: world)
        }
    }

    private func enqueue(_ request: JobRequest, settings: Settings) -> QueueDecision {
        if let problem = request.problem { return .refused(problem) }
        if !request.isForced, let job = reusable(request.buildOnceKey) {
            return .accepted([], .enqueued(job, isReused: true))
        }
        guard jobs.count < Int(settings.maximumOpenJobs) else {
            return .refused(
                Refusal(.limitReached, "\(jobs.count) jobs are open already: wait for some to end, or cancel some"))
        }
        let job = JobID(rawValue: following(enqueued.rawValue))
        return .accepted([.enqueued(job, request)], .enqueued(job, isReused: false))
    }

    private func cancel(_ job: JobID, reason: String) -> QueueDecision {
        guard let open = jobs[job] else { return .refused(absent(job)) }
        guard reason.utf8.count <= QueueCommand.maximumReasonBytes else { return .refused(tooLongReason) }
        if open.cancel != nil { return .accepted([], .done) }
        switch open.phase {
        case .queued:
            return .accepted([.cancelRequested(job, reason: reason), .failed(job, .cancelled, detail: reason)], .done)
        case .running:
            return .accepted([.cancelRequested(job, reason: reason)], .done)
        }
    }

    private func claim(_ worker: WorkerName, settings: Settings) -> QueueDecision {
        guard let job = waiting.first, let open = jobs[job] else { return .accepted([], .nothingToClaim) }
        let attempt = open.attempts.next
        return .accepted(
            [.claimed(job, attempt, worker: worker, leaseSeconds: settings.leaseSeconds)],
            .claimed(
                job, attempt, open.request, leaseSeconds: settings.leaseSeconds,
                heartbeatSeconds: settings.heartbeatSeconds))
    }

    private func heartbeat(
        _ job: JobID, _ number: AttemptNumber, counter: UInt64, stage: AttemptStage, by actor: EventActor
    ) -> QueueDecision {
        guard let (open, attempt) = current(job, number, of: actor) else {
            return .refused(stale(job, number, "heartbeat"))
        }
        let answer = QueueAnswer.heartbeat(isCancelled: open.cancel != nil)
        if counter <= attempt.counter { return .accepted([], answer) }
        let shown = attempt.pack == nil ? stage : .verify
        return .accepted([.heartbeat(job, number, counter: counter, stage: shown)], answer)
    }

    private func reportUploaded(
        _ job: JobID, _ number: AttemptNumber, _ pack: UploadedPack, by actor: EventActor
    ) -> QueueDecision {
        if let build = builds[job], build.attempt == number, build.pack == pack { return .accepted([], .done) }
        guard let (open, attempt) = current(job, number, of: actor) else {
            return .refused(stale(job, number, "report-uploaded"))
        }
        if attempt.pack == pack { return .accepted([], .done) }
        if attempt.pack != nil {
            return .refused(
                Refusal(
                    .artifactMismatch, "attempt \(number) of job \(job) reported another pack before: start anew",
                    attempt: RefusedAttempt(job: job, attempt: number, command: "report-uploaded")))
        }
        if let cancel = open.cancel {
            return .accepted(
                [.uploaded(job, number, pack), .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        return .accepted([.uploaded(job, number, pack)], .done)
    }

    private func reportFailed(
        _ job: JobID, _ number: AttemptNumber, _ reason: FailureReason, detail: String, by actor: EventActor
    ) -> QueueDecision {
        guard let (open, _) = current(job, number, of: actor) else {
            return .refused(stale(job, number, "report-failed"))
        }
        guard detail.utf8.count <= QueueCommand.maximumDetailBytes else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(QueueCommand.maximumDetailBytes) bytes"))
        }
        let report = QueueEvent.attemptFailed(job, number, reason, detail: detail)
        if let cancel = open.cancel {
            return .accepted([report, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        return .accepted([report, .failed(job, reason, detail: detail)], .done)
    }

    private func release(
        _ job: JobID, _ number: AttemptNumber, detail: String, by actor: EventActor
    ) -> QueueDecision {
        guard let (open, _) = current(job, number, of: actor) else { return .refused(stale(job, number, "release")) }
        guard detail.utf8.count <= QueueCommand.maximumReasonBytes else { return .refused(tooLongReason) }
        let report = QueueEvent.attemptReleased(job, number, detail: detail)
        if let cancel = open.cancel {
            return .accepted([report, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        return .accepted([report, .requeued(job)], .done)
    }

    private func expireLease(_ job: JobID, _ number: AttemptNumber, world: QueueWorld) -> QueueDecision {
        guard let (open, attempt) = current(job, number) else { return .refused(stale(job, number, "expire-lease")) }
        guard world.now >= expiry(open, attempt, world: world) else {
            return .refused(Refusal(.leaseNotOver, "attempt \(number) of job \(job) was heard: its lease goes on"))
        }
        let expired = QueueEvent.leaseExpired(job, number)
        if let cancel = open.cancel {
            return .accepted([expired, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        if open.lostAttempts + 1 >= world.settings.maximumAttempts {
            let detail = "\(open.lostAttempts + 1) attempts were lost, the last one: \(loss(attempt, world: world))"
            return .accepted([expired, .failed(job, .lost, detail: detail)], .done)
        }
        return .accepted([expired, .requeued(job)], .done)
    }

    private func loss(_ attempt: Attempt, world: QueueWorld) -> String {
        guard let pack = attempt.pack, let end = confirmationEnd(attempt, world: world), world.now >= end else {
            return "worker \(attempt.worker) fell silent"
        }
        return world.isRemoved(pack.region)
            ? "region \(pack.region), which it uploaded to, was removed"
            : "region \(pack.region) did not confirm its upload within \(world.settings.jobTimeoutSeconds) s"
    }

    /// When the reaper ends an attempt: at its lease's end; sooner a cancelled one that does not confirm, and one whose
    /// upload nobody will confirm.
    func expiry(_ open: OpenJob, _ attempt: Attempt, world: QueueWorld) -> Timestamp {
        var end = leaseEnd(attempt)
        if let cancel = open.cancel {
            let grace = Int64(world.settings.cancelGraceSeconds)
            end = min(end, max(cancel.at, leaseFloor).adding(seconds: grace))
        }
        return min(end, confirmationEnd(attempt, world: world) ?? end)
    }

    /// Until when its region may confirm an upload: as long as a build may take, or not at all once removed. Nil before
    /// the upload.
    private func confirmationEnd(_ attempt: Attempt, world: QueueWorld) -> Timestamp? {
        guard let pack = attempt.pack, let uploadedAt = attempt.uploadedAt else { return nil }
        if world.isRemoved(pack.region) { return uploadedAt }
        return max(uploadedAt, leaseFloor).adding(seconds: Int64(world.settings.jobTimeoutSeconds))
    }

    /// The job and its attempt, if the number is the current attempt's.
    func current(_ job: JobID, _ number: AttemptNumber) -> (OpenJob, Attempt)? {
        guard let open = jobs[job], let attempt = open.attempt, attempt.number == number else { return nil }
        return (open, attempt)
    }

    /// The same, for nobody's calls but its worker's, or another role's about it: after a restore, a worker of the lost
    /// branch may hold the number of an attempt that is another one's now.
    private func current(_ job: JobID, _ number: AttemptNumber, of actor: EventActor) -> (OpenJob, Attempt)? {
        guard let (open, attempt) = current(job, number) else { return nil }
        return actor.kind == .worker && actor != .worker(attempt.worker) ? nil : (open, attempt)
    }

    func stale(_ job: JobID, _ number: AttemptNumber, _ command: String) -> Refusal {
        guard job <= enqueued, job.rawValue > 0 else { return absent(job) }
        let refused = RefusedAttempt(job: job, attempt: number, command: command)
        return Refusal(
            .staleAttempt, "attempt \(number) of job \(job) is not current: stop its work and claim again",
            attempt: mayHaveBeen(number, of: job) ? refused : nil)
    }

    /// Whether there can have been such an attempt: only then its refusals are worth a record. Of a failed job nothing
    /// is known any more.
    private func mayHaveBeen(_ number: AttemptNumber, of job: JobID) -> Bool {
        let most = jobs[job]?.attempts ?? builds[job]?.attempt ?? Self.maximumRecordedAttempt
        return number.rawValue > 0 && number <= most
    }

    static let maximumRecordedAttempt = AttemptNumber(rawValue: 100)

    private func absent(_ job: JobID) -> Refusal {
        if job <= enqueued, job.rawValue > 0 {
            return Refusal(.jobEnded, "job \(job) has ended: `drover job \(job)` shows how")
        }
        return Refusal(.unknownJob, "there is no job \(job): `drover jobs` lists them")
    }

    private var tooLongReason: Refusal {
        Refusal(.tooLarge, "reason is longer than \(QueueCommand.maximumReasonBytes) bytes")
    }
}
