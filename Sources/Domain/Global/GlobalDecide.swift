extension Global {
    package static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        if let key = context.key {
            guard key.utf8.count <= maximumKeyBytes else {
                return .refused(Refusal(.tooLarge, "idempotency key is longer than \(maximumKeyBytes) bytes"))
            }
            if command.isRemembered,
                let entry = state.memory.entry(actor: context.actor, key: key, now: context.now)
            {
                return entry.fingerprint == command.fingerprint
                    ? .accepted([], entry.answer)
                    : .refused(Refusal(.keyReused, "this idempotency key was used for another request: use a new one"))
            }
        }
        return decideNew(state, command, context)
    }

    private static func decideNew(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        switch command {
        case .queue(.claim(let worker)): return claim(state, worker, context)
        case .queue(let command):
            return remembering(
                command, state.queue.decide(command, world: state.queueWorld(now: context.now, actor: context.actor)),
                context
            ).map(GlobalEvent.queue, GlobalAnswer.queue)
        case .targets(let command):
            return state.targets.decide(command, world: state.targetsWorld, context: context)
                .map(GlobalEvent.targets, GlobalAnswer.targets)
        case .fleet(.regionStore) where state.log.level < LogState.retentionLevel: return .accepted([], .done)
        case .fleet(let command): return state.fleet.decide(command).map(GlobalEvent.fleet) { _ in .done }
        case .packStored(let build, let attempt, let region, let manifest):
            return packStored(state, build, attempt, region: region, manifest: manifest)
        case .packLost(let build, let region, let detail):
            return packLost(state, build, region: region, detail: detail)
        case .packRemoved(let build, let region): return packRemoved(state, build, region: region)
        case .retention(let command):
            return state.decide(command, now: context.now).map(GlobalEvent.retention) { _ in .done }
        case .changeSettings(let settings):
            if let problem = settings.problem { return .refused(problem) }
            return .accepted(settings == state.log.settings ? [] : [.log(.settingsChanged(settings))], .done)
        }
    }

    /// A request under a key that is answered with a known job is an event: the key's answer stays the same, whatever
    /// becomes of that job.
    private static func remembering(
        _ command: QueueCommand, _ decision: QueueDecision, _ context: DecisionContext
    ) -> QueueDecision {
        guard context.key != nil, case .enqueue(let request) = command,
            case .accepted([], .enqueued(let job, isReused: true)) = decision
        else { return decision }
        return .accepted([.enqueueReused(job, request)], .enqueued(job, isReused: true))
    }

    /// A worker must have joined a region that is live; draining ones get nothing. Waiting is one event when it starts.
    private static func claim(
        _ state: GlobalState, _ name: WorkerName, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard let worker = state.fleet.workers[name] else {
            return .refused(Refusal(.unknownWorker, "worker \(name) has not joined: join with its region first"))
        }
        if worker.isDraining {
            return .refused(Refusal(.workerDraining, "worker \(name) is draining: it gets no job until resumed"))
        }
        if let problem = state.absence(of: worker.region) { return .refused(problem) }
        let decision = state.queue.decide(
            .claim(name), world: state.queueWorld(now: context.now, actor: context.actor))
        if case .accepted(_, .nothingToClaim) = decision {
            let events: [GlobalEvent] = worker.waitingSince == nil ? [.fleet(.workerWaiting(name))] : []
            return .accepted(events, .queue(.nothingToClaim))
        }
        return decision.map(GlobalEvent.queue, GlobalAnswer.queue)
    }

    /// The region's word completes a job whose current attempt uploaded this very pack.
    private static func packStored(
        _ state: GlobalState, _ build: BuildID, _ attempt: AttemptNumber, region: RegionName, manifest: Digest
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard let record = state.fleet.regions[region] else { return .refused(FleetState.unknown(region)) }
        if record.status == .removed { return .refused(FleetState.removed(region)) }
        let stored = GlobalEvent.replication(.packStored(build, attempt, region: region, manifest: manifest))
        if let built = state.queue.builds[build] {
            guard built.attempt == attempt, built.pack.manifest == manifest else {
                return .refused(state.queue.stale(build, attempt, "pack-stored"))
            }
            let isKnown = state.replication.packs[build]?.stored.contains(region) == true
            if !isKnown, state.retention.retired[build] != nil { return .refused(GlobalState.retired(build)) }
            return .accepted(isKnown ? [] : [stored], .done)
        }
        guard let (_, current) = state.queue.current(build, attempt) else {
            return .refused(state.queue.stale(build, attempt, "pack-stored"))
        }
        guard current.pack?.manifest == manifest else {
            return .refused(
                Refusal(
                    .artifactMismatch, "attempt \(attempt) of job \(build) uploaded another pack: drop this one",
                    attempt: RefusedAttempt(job: build, attempt: attempt, command: "pack-stored")))
        }
        return .accepted([stored, .queue(.succeeded(build, attempt))], .done)
    }

    private static func packLost(
        _ state: GlobalState, _ build: BuildID, region: RegionName, detail: String
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard detail.utf8.count <= QueueCommand.maximumDetailBytes else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(QueueCommand.maximumDetailBytes) bytes"))
        }
        guard let pack = state.replication.packs[build] else {
            return .refused(Refusal(.unknownBuild, "no region has reported build \(build)"))
        }
        let events: [GlobalEvent] =
            pack.stored.contains(region) ? [.replication(.packLost(build, region: region, detail: detail))] : []
        return .accepted(events, .done)
    }

    /// By this detail the event is known as a removal's.
    static let removedUnretired = "removed, as it was retired once"

    /// A region that has removed a build which is not retired here was told so by a log that was set back: it is lost.
    private static func packRemoved(
        _ state: GlobalState, _ build: BuildID, region: RegionName
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard state.retention.retired[build] != nil else {
            return packLost(state, build, region: region, detail: removedUnretired)
        }
        let isHeld = state.replication.packs[build]?.stored.contains(region) == true
        return .accepted(isHeld ? [.replication(.packRemoved(build, region: region))] : [], .done)
    }
}

extension Decision {
    /// The same decision in another aggregate's words.
    package func map<OtherEvent, OtherAnswer>(
        _ event: (Event) -> OtherEvent, _ answer: (Answer) -> OtherAnswer
    ) -> Decision<OtherEvent, OtherAnswer> {
        switch self {
        case .accepted(let events, let old): .accepted(events.map(event), answer(old))
        case .refused(let refusal): .refused(refusal)
        }
    }
}

extension Settings {
    /// Nil when every number is in its bounds.
    package var problem: Refusal? {
        let day: UInt32 = 24 * 3600
        let bounds: [(String, UInt32, ClosedRange<UInt32>)] = [
            ("lease-seconds", leaseSeconds, 1...day), ("heartbeat-seconds", heartbeatSeconds, 1...day),
            ("maximum-attempts", maximumAttempts, 1...100), ("job-timeout-seconds", jobTimeoutSeconds, 1...(7 * day)),
            ("cancel-grace-seconds", cancelGraceSeconds, 1...day),
            ("region-silent-seconds", regionSilentSeconds, 1...day),
            ("peer-silent-seconds", peerSilentSeconds, 1...day),
            ("deployment-deadline-seconds", deploymentDeadlineSeconds, 1...(30 * day)),
            ("target-lifetime-seconds", targetLifetimeSeconds, 60...(365 * day)),
            ("converged-share", convergedShare, 1...10_000), ("maximum-open-jobs", maximumOpenJobs, 1...10_000_000),
        ]
        for (name, value, range) in bounds where !range.contains(value) {
            return Refusal(.invalid, "\(name) is \(value): it must be \(range.lowerBound) to \(range.upperBound)")
        }
        if heartbeatSeconds > leaseSeconds {
            return Refusal(
                .invalid, "heartbeat-seconds (\(heartbeatSeconds)) is longer than lease-seconds (\(leaseSeconds))")
        }
        return nil
    }
}
