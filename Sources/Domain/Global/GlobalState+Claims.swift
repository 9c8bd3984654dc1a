/// What one look at the state says that a claim should do.
package enum ClaimStep: Hashable, Sendable {
    /// It waits already, and there is nothing for it.
    case wait
    case submit(key: String?)
}

/// Who a reported upload is of.
package struct KnownAttempt: Hashable, Sendable {
    package var app: AppName
    package var commit: CommitID
}

extension GlobalState {
    /// Events that one claim may lead to: it loses a race for a job each time.
    private static let maximumClaimEvents = 64

    /// "Waiting from now on" is an event, remembered under the call's key, and so would be the answer to that key for
    /// ever. Each event of one call therefore uses a key derived from the caller's: the first that is free, or that was
    /// answered with a job (a repeated call gets that job again).
    package func claimStep(_ name: WorkerName, key: String?, now: Timestamp) -> ClaimStep {
        let (key, isAnswered) = claimKey(key, name: name, now: now)
        guard let worker = fleet.workers[name], !isAnswered else { return .submit(key: key) }
        let isNews =
            worker.isDraining || worker.waitingSince == nil || !queue.waiting.isEmpty
            || absence(of: worker.region) != nil
        return isNews ? .submit(key: key) : .wait
    }

    /// Why workers of a region get no jobs: nobody would confirm what they upload, or nobody could store it. Nil when
    /// they get them.
    func absence(of region: RegionName) -> Refusal? {
        if let problem = fleet.absence(of: region) { return problem }
        return claimsProblem
    }

    private func claimKey(_ key: String?, name: WorkerName, now: Timestamp) -> (String?, isAnswered: Bool) {
        guard let key else { return (nil, false) }
        var candidate = key
        for place in 1...Self.maximumClaimEvents {
            guard let entry = memory.entry(actor: .worker(name), key: candidate, now: now) else { break }
            guard entry.answer == .queue(.nothingToClaim) else { return (candidate, true) }
            candidate = "\(key)/\(place)"
        }
        return (candidate, false)
    }

    /// What an attempt builds; nil when it is neither the caller's, current, nor the one that succeeded.
    package func knownAttempt(_ job: JobID, _ attempt: AttemptNumber, of actor: EventActor) -> KnownAttempt? {
        if let open = queue.jobs[job], let current = open.attempt, current.number == attempt,
            actor.kind != .worker || actor == .worker(current.worker)
        {
            return KnownAttempt(app: open.request.app, commit: open.request.commit)
        }
        guard let build = queue.builds[job], build.attempt == attempt else { return nil }
        return KnownAttempt(app: build.app, commit: build.commit)
    }
}
