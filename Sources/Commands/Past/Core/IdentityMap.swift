import Domain

/// What the jobs, attempts and targets of a recorded log are called in another one that its commands are decided into.
///
/// Ids are counted, so a command that comes to nothing there moves those behind it.
struct IdentityMap {
    private struct AttemptKey: Hashable {
        var job: JobID
        var attempt: AttemptNumber
    }

    /// A target's place: the deployment that it is part of, and how many that had before.
    private struct TargetKey: Hashable {
        var deployment: Revision
        var place: Int
    }

    /// What a command needs and the other log does not have.
    struct Missing: Error {
        var words: String
    }

    private var jobs: [JobID: JobID] = [:]
    private var attempts: [AttemptKey: AttemptNumber] = [:]
    private var deployments: [Revision: Revision] = [:]
    private var recordedTargets: [Revision: TargetKey] = [:]
    private var otherTargets: [TargetKey: Revision] = [:]
    private var places: (recorded: [Revision: Int], other: [Revision: Int]) = ([:], [:])

    func job(_ job: JobID) throws(Missing) -> JobID {
        guard let known = jobs[job] else { throw Missing(words: "job \(job) is not there") }
        return known
    }

    func attempt(_ job: JobID, _ attempt: AttemptNumber) throws(Missing) -> (JobID, AttemptNumber) {
        let known = try self.job(job)
        guard let number = attempts[AttemptKey(job: job, attempt: attempt)] else {
            throw Missing(words: "attempt \(attempt) of job \(job) was not begun")
        }
        return (known, number)
    }

    func deployment(_ id: Revision) throws(Missing) -> Revision {
        guard let known = deployments[id] else { throw Missing(words: "deployment \(id) is not there") }
        return known
    }

    /// The place in the log before the first target is nobody's to rename.
    func revision(_ revision: Revision) throws(Missing) -> Revision {
        if revision == .zero { return .zero }
        guard let key = recordedTargets[revision], let deployment = deployments[key.deployment],
            let known = otherTargets[TargetKey(deployment: deployment, place: key.place)]
        else { throw Missing(words: "there is no target of revision \(revision)") }
        return known
    }

    /// The same command about what is there.
    func command(_ command: GlobalCommand) throws(Missing) -> GlobalCommand {
        switch command {
        case .queue(let command): .queue(try self.command(command))
        case .targets(let command): .targets(try self.command(command))
        case .fleet(.regionReport(let region, let levels)):
            .fleet(.regionReport(region, try self.levels(levels)))
        case .fleet: command
        case .packStored(let build, let attempt, let region, let manifest):
            try { () throws(Missing) in
                let (job, number) = try self.attempt(build, attempt)
                return .packStored(job, number, region: region, manifest: manifest)
            }()
        case .packLost(let build, let region, let detail):
            .packLost(try job(build), region: region, detail: detail)
        case .packRemoved(let build, let region): .packRemoved(try job(build), region: region)
        case .retention(let command): .retention(try self.command(command))
        case .changeSettings: command
        }
    }

    private func command(_ command: RetentionCommand) throws(Missing) -> RetentionCommand {
        switch command {
        case .changeSettings, .settleClaims: command
        case .pin(let build, let reason): .pin(try job(build), reason: reason)
        case .unpin(let build, let reason): .unpin(try job(build), reason: reason)
        case .retire(let build, let cause): .retire(try job(build), cause)
        }
    }

    private func command(_ command: QueueCommand) throws(Missing) -> QueueCommand {
        switch command {
        case .enqueue, .claim: return command
        case .cancel(let job, let reason): return .cancel(try self.job(job), reason: reason)
        case .heartbeat(let job, let attempt, let counter, let stage):
            let (job, number) = try self.attempt(job, attempt)
            return .heartbeat(job, number, counter: counter, stage: stage)
        case .reportUploaded(let job, let attempt, let pack):
            let (job, number) = try self.attempt(job, attempt)
            return .reportUploaded(job, number, pack)
        case .reportFailed(let job, let attempt, let reason, let detail):
            let (job, number) = try self.attempt(job, attempt)
            return .reportFailed(job, number, reason, detail: detail)
        case .release(let job, let attempt, let detail):
            let (job, number) = try self.attempt(job, attempt)
            return .release(job, number, detail: detail)
        case .expireLease(let job, let attempt):
            let (job, number) = try self.attempt(job, attempt)
            return .expireLease(job, number)
        }
    }

    private func command(_ command: Domain.TargetsCommand) throws(Missing) -> Domain.TargetsCommand {
        switch command {
        case .deploy(var request):
            if let build = request.build { request.build = try job(build) }
            if let expected = request.expected { request.expected = try revision(expected) }
            return .deploy(request)
        case .startWaiting(let id): return .startWaiting(try deployment(id))
        case .settle(let id): return .settle(try deployment(id))
        case .reissue: return command
        }
    }

    /// Those whose target is there; a report of none of them is nothing to decide.
    private func levels(_ levels: [RegionLevel]) throws(Missing) -> [RegionLevel] {
        var (known, missing) = ([RegionLevel](), Missing?.none)
        for var level in levels {
            do throws(Missing) {
                level.revision = try revision(level.revision)
                known.append(level)
            } catch {
                missing = error
            }
        }
        if known.isEmpty, let missing { throw missing }
        return known
    }

    /// Takes in what a command led to, as recorded and there.
    mutating func learn(_ recorded: [GlobalEvent], _ other: [GlobalEvent], _ answer: GlobalAnswer?) {
        learn(recorded.first, answer)
        for (event, known) in zip(recorded, other) {
            if let id = Self.opened(event), let knownID = Self.opened(known) { deployments[id] = knownID }
        }
        for case .targets(.targetChanged(let target, _, _)) in recorded {
            let place = places.recorded[target.deployment, default: 0]
            places.recorded[target.deployment] = place + 1
            recordedTargets[target.revision] = TargetKey(deployment: target.deployment, place: place)
        }
        for case .targets(.targetChanged(let target, _, _)) in other {
            let place = places.other[target.deployment, default: 0]
            places.other[target.deployment] = place + 1
            otherTargets[TargetKey(deployment: target.deployment, place: place)] = target.revision
        }
    }

    private mutating func learn(_ first: GlobalEvent?, _ answer: GlobalAnswer?) {
        if case .queue(.enqueued(let known, _))? = answer, let job = Self.asked(first), jobs[job] == nil {
            jobs[job] = known
        }
        if case .queue(.claimed(let known, let number, _, _, _))? = answer,
            case .queue(.claimed(let job, let attempt, _, _))? = first, jobs[job] == known
        {
            attempts[AttemptKey(job: job, attempt: attempt)] = number
        }
    }

    /// The job that a request was answered with.
    private static func asked(_ event: GlobalEvent?) -> JobID? {
        if case .queue(.enqueued(let job, _))? = event { return job }
        if case .queue(.enqueueReused(let job, _))? = event { return job }
        return nil
    }

    /// The deployment that an event begins.
    private static func opened(_ event: GlobalEvent) -> Revision? {
        switch event {
        case .targets(.deploymentWaiting(let opening)): opening.id
        case .targets(.targetChanged(_, _, let opening?)): opening.id
        case .targets, .queue, .replication, .fleet, .retention, .log: nil
        }
    }
}
