package typealias QueueDecision = Decision<QueueEvent, QueueAnswer>

extension QueueState {
    /// What a command leads to. Nothing changes here.
    package func decide(_ command: QueueCommand, settings: Settings, now: Timestamp) -> QueueDecision {
        switch command {
        case .enqueue(let request): enqueue(request, settings: settings)
        case .cancel(let job, let reason): cancel(job, reason: reason)
        case .claim(let worker): claim(worker, settings: settings)
        case .heartbeat(let job, let attempt, let counter, let stage):
            heartbeat(job, attempt, counter: counter, stage: stage)
        case .reportUploaded(let job, let attempt, let pack): reportUploaded(job, attempt, pack)
        case .reportFailed(let job, let attempt, let reason, let detail):
            reportFailed(job, attempt, reason, detail: detail)
        case .release(let job, let attempt, let detail): release(job, attempt, detail: detail)
        case .expireLease(let job, let attempt): expireLease(job, attempt, settings: settings, now: now)
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
        _ job: JobID, _ number: AttemptNumber, counter: UInt64, stage: AttemptStage
    ) -> QueueDecision {
        guard let (open, attempt) = current(job, number) else { return .refused(stale(job, number, "heartbeat")) }
        let answer = QueueAnswer.heartbeat(isCancelled: open.cancel != nil)
        if counter <= attempt.counter { return .accepted([], answer) }
        let shown = attempt.pack == nil ? stage : .verify
        return .accepted([.heartbeat(job, number, counter: counter, stage: shown)], answer)
    }

    private func reportUploaded(_ job: JobID, _ number: AttemptNumber, _ pack: UploadedPack) -> QueueDecision {
        if let build = builds[job], build.attempt == number, build.pack == pack { return .accepted([], .done) }
        guard let (open, attempt) = current(job, number) else {
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
        _ job: JobID, _ number: AttemptNumber, _ reason: FailureReason, detail: String
    ) -> QueueDecision {
        guard let (open, _) = current(job, number) else { return .refused(stale(job, number, "report-failed")) }
        guard detail.utf8.count <= QueueCommand.maximumDetailBytes else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(QueueCommand.maximumDetailBytes) bytes"))
        }
        let report = QueueEvent.attemptFailed(job, number, reason, detail: detail)
        if let cancel = open.cancel {
            return .accepted([report, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        return .accepted([report, .failed(job, reason, detail: detail)], .done)
    }

    private func release(_ job: JobID, _ number: AttemptNumber, detail: String) -> QueueDecision {
        guard let (open, _) = current(job, number) else { return .refused(stale(job, number, "release")) }
        guard detail.utf8.count <= QueueCommand.maximumReasonBytes else { return .refused(tooLongReason) }
        let report = QueueEvent.attemptReleased(job, number, detail: detail)
        if let cancel = open.cancel {
            return .accepted([report, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        return .accepted([report, .requeued(job)], .done)
    }

    private func expireLease(
        _ job: JobID, _ number: AttemptNumber, settings: Settings, now: Timestamp
    ) -> QueueDecision {
        guard let (open, attempt) = current(job, number) else { return .refused(stale(job, number, "expire-lease")) }
        guard now >= expiry(open, attempt, settings: settings) else {
            return .refused(Refusal(.leaseNotOver, "attempt \(number) of job \(job) was heard: its lease goes on"))
        }
        let expired = QueueEvent.leaseExpired(job, number)
        if let cancel = open.cancel {
            return .accepted([expired, .failed(job, .cancelled, detail: cancel.reason)], .done)
        }
        if open.lostAttempts + 1 >= settings.maximumAttempts {
            let detail =
                "\(open.lostAttempts + 1) workers fell silent while building it, the last one \(attempt.worker)"
            return .accepted([expired, .failed(job, .lost, detail: detail)], .done)
        }
        return .accepted([expired, .requeued(job)], .done)
    }

    /// When the reaper ends an attempt: at its lease's end, or sooner for a cancelled one that does not confirm.
    func expiry(_ open: OpenJob, _ attempt: Attempt, settings: Settings) -> Timestamp {
        guard let cancel = open.cancel else { return leaseEnd(attempt) }
        return min(
            leaseEnd(attempt), max(cancel.at, leaseFloor).adding(seconds: Int64(settings.cancelGraceSeconds)))
    }

    /// The job and its attempt, if the number is the current attempt's.
    func current(_ job: JobID, _ number: AttemptNumber) -> (OpenJob, Attempt)? {
        guard let open = jobs[job], let attempt = open.attempt, attempt.number == number else { return nil }
        return (open, attempt)
    }

    func stale(_ job: JobID, _ number: AttemptNumber, _ command: String) -> Refusal {
        guard job <= enqueued, job.rawValue > 0 else { return absent(job) }
        return Refusal(
            .staleAttempt, "attempt \(number) of job \(job) is not current: stop its work and claim again",
            attempt: RefusedAttempt(job: job, attempt: number, command: command))
    }

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
