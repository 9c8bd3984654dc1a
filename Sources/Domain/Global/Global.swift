/// The global log's events: the queue's, replication's, the targets', the fleet's, retention's, and the log's own.
package enum GlobalEvent: Hashable, Sendable {
    case log(LogEvent)
    case queue(QueueEvent)
    case replication(ReplicationEvent)
    /// Rare and large: elsewhere, so that the others are moved cheaply.
    indirect case targets(TargetsEvent)
    case fleet(FleetEvent)
    case retention(RetentionEvent)
}

package enum GlobalCommand: Hashable, Sendable {
    case queue(QueueCommand)
    case targets(TargetsCommand)
    case fleet(FleetCommand)
    /// A region read a pack back from its store.
    case packStored(BuildID, AttemptNumber, region: RegionName, manifest: Digest)
    /// A region found its copy missing or damaged.
    case packLost(BuildID, region: RegionName, detail: String)
    /// A region removed its copy of a retired build.
    case packRemoved(BuildID, region: RegionName)
    case retention(RetentionCommand)
    case changeSettings(Settings)
}

package enum FleetCommand: Hashable, Sendable {
    /// A region says that it is there. Brings a silent one back.
    case regionJoin(RegionName, endpoint: String)
    /// Its latest numbers, one an app; unchanged ones are no event.
    case regionReport(RegionName, [RegionLevel])
    /// How full its store is; nearly the same again is no event.
    case regionStore(RegionName, StoreLevel)
    /// The projector's, after `regionSilentSeconds` without a word.
    case regionSilent(RegionName)
    case regionSuspend(RegionName, reason: String)
    case regionResume(RegionName, reason: String)
    case regionRemove(RegionName, reason: String)
    case workerJoin(WorkerName, RegionName)
    case workerDrain(WorkerName, isDraining: Bool)
}

package enum GlobalAnswer: Hashable, Sendable, Codable {
    case queue(QueueAnswer)
    case targets(TargetsAnswer)
    case done
}

extension GlobalCommand {
    /// Whether a repeat under the same idempotency key gets the first answer.
    var isRemembered: Bool {
        switch self {
        case .queue(.heartbeat), .fleet(.regionReport), .fleet(.regionStore): false
        case .queue, .targets, .fleet, .packStored, .packLost, .packRemoved, .retention, .changeSettings: true
        }
    }
}

/// Everything the global log amounts to.
package struct GlobalState: Hashable, Sendable, Codable {
    package internal(set) var log = LogState()
    package internal(set) var queue = QueueState()
    package internal(set) var replication = ReplicationState()
    package internal(set) var targets = TargetsState()
    package internal(set) var fleet = FleetState()
    package internal(set) var retention = RetentionState()
    package internal(set) var memory = CommandMemory<GlobalAnswer>()

    package init() {}

    /// What decisions and plans about the queue look at.
    package func queueWorld(now: Timestamp, actor: EventActor = .system) -> QueueWorld {
        QueueWorld(settings: log.settings, fleet: fleet, now: now, actor: actor)
    }

    /// What decisions and plans about targets look at.
    package var targetsWorld: TargetsWorld {
        TargetsWorld(
            builds: queue.builds, replication: replication, fleet: fleet, retired: retention.retired,
            settings: log.settings, epoch: log.epoch)
    }

    /// Events that made no sense in the state they met; zero in a sound log of this version.
    package var impossible: UInt64 {
        queue.impossible + replication.impossible + targets.impossible + fleet.impossible + retention.impossible
    }

    /// A build's replication over the live regions.
    package func replicationStatus(_ build: BuildID) -> ReplicationStatus {
        replication.status(build, over: fleet.liveRegions, removed: fleet.removedRegions)
    }
}

/// The global aggregate.
package enum Global: Aggregate {
    package typealias State = GlobalState
    package typealias Command = GlobalCommand
    package typealias Event = GlobalEvent
    package typealias Answer = GlobalAnswer

    package static var initialState: GlobalState { GlobalState() }

    package static func event(_ fact: LogEvent) -> GlobalEvent { .log(fact) }

    package static func fact(_ event: GlobalEvent) -> LogEvent? {
        if case .log(let fact) = event { fact } else { nil }
    }

    package static var reducerFingerprint: UInt64 { 4 }

    package static func log(_ state: GlobalState) -> LogState { state.log }

    package static func refusalEvent(
        _ refusal: Refusal, count: UInt64, state: GlobalState, now: Timestamp
    ) -> GlobalEvent? {
        state.log.refusalEvent(refusal, count: count, now: now).map(GlobalEvent.log)
    }

    package static func reduce(_ state: inout GlobalState, _ header: FrameHeader, _ event: GlobalEvent) {
        let time = header.time
        switch event {
        case .log(let event): reduceLog(&state, event, at: time)
        case .queue(let event): reduceQueue(&state, event, at: time)
        case .replication(let event): reduceReplication(&state, event)
        case .targets(let event): state.targets.reduce(event, actor: header.actor, at: time)
        case .fleet(let event): reduceFleet(&state, event, at: time)
        case .retention(let event):
            state.retention.reduce(event, builds: state.queue.builds, header)
            if case .retired(let build, _, _) = event { retired(build, &state) }
        }
        if let key = header.key { remember(&state, event, key, header) }
    }

    /// A worker's row names its job while that goes on.
    private static func reduceQueue(_ state: inout GlobalState, _ event: QueueEvent, at time: Timestamp) {
        switch event {
        case .claimed(let job, _, let worker, _): state.fleet.claimed(job, by: worker)
        case .succeeded(let job, _), .requeued(let job), .failed(let job, _, _):
            if let worker = state.queue.jobs.look(job, { $0?.attempt?.worker }) { state.fleet.ended(job, by: worker) }
        case .enqueued, .heartbeat, .uploaded, .attemptFailed, .attemptReleased, .leaseExpired, .cancelRequested,
            .enqueueReused:
            break
        }
        let built = state.queue.builds.count
        state.queue.reduce(event, at: time)
        guard case .succeeded(let job, _) = event, state.queue.builds.count > built,
            let app = state.queue.builds.look(job, { $0?.app })
        else { return }
        state.retention.built(job, of: app, at: time)
    }

    private static func reduceReplication(_ state: inout GlobalState, _ event: ReplicationEvent) {
        let (build, region) =
            switch event {
            case .packStored(let build, _, let region, _), .packLost(let build, let region, _),
                .packRemoved(let build, let region):
                (build, region)
            }
        let held = state.holds(region, build)
        state.replication.reduce(event)
        let holds = state.holds(region, build)
        if held == holds { return }
        let bytes = state.packedBytes(build)
        if holds {
            state.fleet.holds(bytes, in: region)
        } else {
            state.fleet.freed(bytes, in: region)
            forgetIfGone(&state, build)
        }
    }

    /// A retired build answers no repeat of its request any more.
    private static func retired(_ build: BuildID, _ state: inout GlobalState) {
        guard let key = state.queue.builds.look(build, { $0?.buildOnceKey }) else { return }
        state.queue.releaseKey(key, of: build)
        if state.replicationStatus(build) == .gone { state.retention.gone(build) }
    }

    private static func reduceLog(_ state: inout GlobalState, _ event: LogEvent, at time: Timestamp) {
        let level = state.log.level
        state.log.reduce(event, at: time)
        // A log that is new has nothing that anybody could wish to keep.
        if level < LogState.retentionLevel, state.log.level >= LogState.retentionLevel, !state.queue.builds.isEmpty {
            state.retention.began(at: time)
        }
        switch event {
        case .engineStarted, .engineStalled, .clockJumped:
            state.queue.leaseFloor = max(state.queue.leaseFloor, time)
        case .epochStarted, .levelRaised, .settingsChanged, .refused, .stateHashed, .backupProved, .payloadRedacted:
            break
        }
    }

    /// The last copy of a build is gone: its build-once key is free again.
    private static func forgetIfGone(_ state: inout GlobalState, _ build: BuildID) {
        guard state.replicationStatus(build) == .gone, let key = state.queue.builds.look(build, { $0?.buildOnceKey })
        else { return }
        state.queue.releaseKey(key, of: build)
        state.retention.gone(build)
    }

    /// A region is removed, and with it the last copy of some builds; or it is back, with the retired builds that it has.
    /// That costs the packs, and is seldom.
    private static func reduceFleet(_ state: inout GlobalState, _ event: FleetEvent, at time: Timestamp) {
        let region: RegionName? =
            switch event {
            case .regionJoined(let name, _), .regionStatusChanged(let name, _, _): name
            case .regionLevel, .regionStore, .workerJoined, .workerWaiting, .workerDrain: nil
            }
        let wasRemoved = region.map { state.fleet.regions[$0]?.status == .removed }
        state.fleet.reduce(event, at: time)
        guard let region, let wasRemoved, let status = state.fleet.regions[region]?.status,
            wasRemoved != (status == .removed)
        else { return }
        if wasRemoved {
            for build in state.retention.retired.keys where state.holds(region, build) { state.retention.back(build) }
        } else {
            for build in state.replication.packs.keys.sorted() { forgetIfGone(&state, build) }
        }
    }

    /// A command with a key is remembered at its first event, which is the only one that carries the key. Heartbeats
    /// and reports are not: their counters and revisions make repeats harmless.
    private static func remember(
        _ state: inout GlobalState, _ event: GlobalEvent, _ key: String, _ header: FrameHeader
    ) {
        guard let command = command(from: event, [event]), command.isRemembered else { return }
        state.memory.remember(
            actor: header.actor, key: key, fingerprint: command.fingerprint, answer: answer(event, state),
            time: header.time)
    }

    /// What the command of this first event was answered.
    private static func answer(_ event: GlobalEvent, _ state: GlobalState) -> GlobalAnswer {
        switch event {
        case .queue(.enqueued(let job, _)): .queue(.enqueued(job, isReused: false))
        case .queue(.enqueueReused(let job, _)): .queue(.enqueued(job, isReused: true))
        case .queue(.claimed(let job, let attempt, _, let leaseSeconds)):
            state.queue.jobs.look(job) { $0?.request }.map {
                .queue(
                    .claimed(
                        job, attempt, $0, leaseSeconds: leaseSeconds,
                        heartbeatSeconds: state.log.settings.heartbeatSeconds))
            } ?? .queue(.nothingToClaim)
        case .queue(.heartbeat(let job, _, _, _)):
            .queue(.heartbeat(isCancelled: state.queue.jobs.look(job) { $0?.cancel != nil }))
        case .queue: .queue(.done)
        case .targets(.deploymentWaiting(let opening)):
            .targets(.deployment(opening.id, .waiting, skipped: state.targetsWorld.skipped(opening.request.scope)))
        case .targets(.targetChanged(let target, .deploy, _)), .targets(.targetChanged(let target, .rollback, _)):
            .targets(.deployment(target.deployment, .running, skipped: state.targetsWorld.skipped(target.scope)))
        case .targets: .targets(.done)
        case .fleet(.workerWaiting): .queue(.nothingToClaim)
        case .fleet, .replication, .retention, .log: .done
        }
    }
}
