import Codec
import Domain
import Engine

/// A planted bug: what the simulator must find. Each breaks one rule of the domain or one promise of the world.
package enum Canary: String, CaseIterable, Sendable {
    /// Believes any attempt number, and anybody who names it.
    case unfenced
    /// Gives the newest job first.
    case lastInFirstOut = "last-in-first-out"
    /// Calls a job done when its worker says so.
    case workersWord = "workers-word"
    /// Ends no lease: what a lost worker held is nobody's for ever.
    case endlessLease = "endless-lease"
    /// Gives attempts a lease, and ends them after half of it.
    case halfLease = "half-lease"
    /// Requeues for ever.
    case noMaximum = "no-maximum"
    /// Takes every build for replicated.
    case unreplicated
    /// Builds again what is built already.
    case forgetsBuilds = "forgets-builds"
    /// Lets a cancelled job be built again.
    case forgetsCancels = "forgets-cancels"
    /// The disk says that it has flushed, and has not.
    case lyingDisk = "lying-disk"
    /// Regions say that they have read a pack back, and have not looked.
    case blindMirror = "blind-mirror"
    /// Retires the build to roll back to as soon as there is one.
    case retiresPrevious = "retires-previous"
    /// Regions say that they have removed a pack, and have not.
    case lazyRemoval = "lazy-removal"
    /// A peer that is woken before its moment, as its clock was ahead, is never woken again.
    case forgetsWakes = "forgets-wakes"
}

extension Optional<Canary> {
    /// Nil where the true aggregate is run.
    var mutant: EngineHost<Global>.MutantMaker? {
        switch self {
        case .unfenced?: Self.maker(of: Unfenced.self)
        case .lastInFirstOut?: Self.maker(of: LastInFirstOut.self)
        case .workersWord?: Self.maker(of: WorkersWord.self)
        case .endlessLease?: Self.maker(of: EndlessLease.self)
        case .halfLease?: Self.maker(of: HalfLease.self)
        case .noMaximum?: Self.maker(of: NoMaximum.self)
        case .unreplicated?: Self.maker(of: Unreplicated.self)
        case .forgetsBuilds?: Self.maker(of: ForgetsBuilds.self)
        case .forgetsCancels?: Self.maker(of: ForgetsCancels.self)
        case .retiresPrevious?: Self.maker(of: RetiresPrevious.self)
        case .lyingDisk?, .blindMirror?, .lazyRemoval?, .forgetsWakes?, nil: nil
        }
    }

    private static func maker<A: Aggregate>(of: A.Type) -> EngineHost<Global>.MutantMaker
    where A.State == GlobalState, A.Command == GlobalCommand, A.Event == GlobalEvent, A.Answer == GlobalAnswer {
        let kept = KeptReplay<A>()
        return { store, clock, configuration throws(EngineFailure) in
            try MutantWriter<A>(
                store: store, codec: GlobalCodec(), clock: clock, configuration: configuration, kept: kept)
        }
    }
}

/// The true aggregate with one rule broken in what it decides: it sees another command or state, or tells other events.
private protocol Mutant: Aggregate
where State == GlobalState, Command == GlobalCommand, Event == GlobalEvent, Answer == GlobalAnswer {
    static func seen(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent]
}

extension Mutant {
    static var initialState: GlobalState { Global.initialState }
    static func event(_ fact: LogEvent) -> GlobalEvent { Global.event(fact) }
    static func fact(_ event: GlobalEvent) -> LogEvent? { Global.fact(event) }
    static var reducerFingerprint: UInt64 { Global.reducerFingerprint }
    static func log(_ state: GlobalState) -> LogState { Global.log(state) }
    static func command(from events: [GlobalEvent]) -> GlobalCommand? { Global.command(from: events) }
    static func reduce(_ state: inout GlobalState, _ header: FrameHeader, _ event: GlobalEvent) {
        Global.reduce(&state, header, event)
    }

    static func refusalEvent(_ refusal: Refusal, count: UInt64, state: GlobalState, now: Timestamp) -> GlobalEvent? {
        Global.refusalEvent(refusal, count: count, state: state, now: now)
    }

    static func seen(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand { command }
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] { events }

    static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        switch Global.decide(state, seen(command, state), context) {
        case .accepted(let events, let answer): return .accepted(told(events, state), answer)
        case .refused(let refusal): return .refused(refusal)
        }
    }
}

private enum Unfenced: Mutant {
    static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard case .queue(.heartbeat(let job, let number, let counter, let stage)) = command,
            let attempt = state.queue.jobs[job]?.attempt, attempt.number != number
        else { return Global.decide(state, command, context) }
        return .accepted(
            [.queue(.heartbeat(job, number, counter: counter, stage: stage))],
            .queue(.heartbeat(isCancelled: false)))
    }
}

private enum LastInFirstOut: Mutant {
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        events.map { event in
            guard case .queue(.claimed(_, _, let worker, let lease)) = event, let last = state.queue.waiting.all.last,
                let open = state.queue.jobs[last]
            else { return event }
            return .queue(.claimed(last, open.attempts.next, worker: worker, leaseSeconds: lease))
        }
    }
}

private enum WorkersWord: Mutant {
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        events.flatMap { event -> [GlobalEvent] in
            guard case .queue(.uploaded(let job, let number, let pack)) = event else { return [event] }
            return [
                event, .replication(.packStored(job, number, region: pack.region, manifest: pack.manifest)),
                .queue(.succeeded(job, number)),
            ]
        }
    }
}

private enum EndlessLease: Mutant {
    static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        if case .queue(.expireLease) = command { return .refused(Refusal(.leaseNotOver, "it goes on")) }
        return Global.decide(state, command, context)
    }
}

private enum HalfLease: Mutant {
    static func reduce(_ state: inout GlobalState, _ header: FrameHeader, _ event: GlobalEvent) {
        var event = event
        if case .queue(.claimed(let job, let attempt, let worker, let lease)) = event {
            event = .queue(.claimed(job, attempt, worker: worker, leaseSeconds: lease / 2))
        }
        Global.reduce(&state, header, event)
    }
}

private enum NoMaximum: Mutant {
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        events.map { event in
            guard case .queue(.failed(let job, .lost, _)) = event else { return event }
            return .queue(.requeued(job))
        }
    }
}

private enum Unreplicated: Mutant {
    static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        guard case .targets(let command) = command else { return Global.decide(state, command, context) }
        var world = state.targetsWorld
        var replication = ReplicationState()
        for (build, pack) in state.replication.packs {
            for region in state.fleet.liveRegions {
                replication.reduce(.packStored(build, pack.attempt, region: region, manifest: pack.manifest))
            }
        }
        world.replication = replication
        return state.targets.decide(command, world: world, context: context)
            .map(GlobalEvent.targets, GlobalAnswer.targets)
    }
}

private enum RetiresPrevious: Mutant {
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        guard case .targets(.targetChanged(let target, .deploy, _))? = events.first,
            let old = target.previous?.build, state.retention.retired[old] == nil
        else { return events }
        return events + [.retention(.retired(old, .unused, removeAfter: .zero))]
    }
}

extension JobRequest {
    fileprivate func forced(_ isForced: Bool) -> JobRequest {
        JobRequest(
            app: app, repository: repository, commit: commit, recipePath: recipePath, priority: priority,
            isForced: isForced)
    }
}

private enum ForgetsBuilds: Mutant {
    static func seen(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand {
        guard case .queue(.enqueue(let request)) = command, !request.isForced else { return command }
        return .queue(.enqueue(request.forced(true)))
    }

    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        events.map { event in
            guard case .queue(.enqueued(let job, let request)) = event else { return event }
            return .queue(.enqueued(job, request.forced(false)))
        }
    }
}

private enum ForgetsCancels: Mutant {
    static func told(_ events: [GlobalEvent], _ state: GlobalState) -> [GlobalEvent] {
        guard case .queue(.leaseExpired)? = events.first, events.count == 2 else { return events }
        return events.map { event in
            guard case .queue(.failed(let job, .cancelled, _)) = event else { return event }
            return .queue(.requeued(job))
        }
    }
}
