@testable import Domain

/// The true aggregate with one rule broken; each says which.
protocol Mutant: GlobalAggregate {
    /// What `decide` looks at instead.
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState
    static func alter(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent]
    static func alter(_ event: GlobalEvent, _ state: inout GlobalState)
}

extension Mutant {
    static var initialState: GlobalState { Global.initialState }
    static func event(_ fact: LogEvent) -> GlobalEvent { Global.event(fact) }
    static func fact(_ event: GlobalEvent) -> LogEvent? { Global.fact(event) }
    static var reducerFingerprint: UInt64 { Global.reducerFingerprint }
    static func log(_ state: GlobalState) -> LogState { Global.log(state) }
    static func command(from events: [GlobalEvent]) -> GlobalCommand? { Global.command(from: events) }
    static func refusalEvent(_ refusal: Refusal, count: UInt64, state: GlobalState, now: Timestamp) -> GlobalEvent? {
        Global.refusalEvent(refusal, count: count, state: state, now: now)
    }

    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        state
    }
    static func alter(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand { command }
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        events
    }
    static func alter(_ event: GlobalEvent, _ state: inout GlobalState) {}

    static func decide(
        _ state: GlobalState, _ command: GlobalCommand, _ context: DecisionContext
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        var context = context
        let seen = alter(state, command, &context)
        switch Global.decide(seen, alter(command, state), context) {
        case .accepted(let events, let answer): return .accepted(alter(events, command, state), answer)
        case .refused(let refusal): return .refused(refusal)
        }
    }

    static func reduce(_ state: inout GlobalState, _ header: FrameHeader, _ event: GlobalEvent) {
        Global.reduce(&state, header, event)
        alter(event, &state)
    }
}

/// Believes any attempt number.
enum Unfenced: Mutant {
    static func alter(_ command: GlobalCommand, _ state: GlobalState) -> GlobalCommand {
        func current(_ job: JobID, _ number: AttemptNumber) -> AttemptNumber {
            state.queue.jobs[job]?.attempt?.number ?? number
        }
        switch command {
        case .queue(.heartbeat(let job, let number, let counter, let stage)):
            return .queue(.heartbeat(job, current(job, number), counter: counter, stage: stage))
        case .queue(.reportFailed(let job, let number, let reason, let detail)):
            return .queue(.reportFailed(job, current(job, number), reason, detail: detail))
        case .queue(.release(let job, let number, let detail)):
            return .queue(.release(job, current(job, number), detail: detail))
        default: return command
        }
    }
}

/// Gives the newest job first.
enum LastInFirstOut: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        events.map { event in
            guard case .queue(.claimed(_, _, let worker, let lease)) = event, let last = state.queue.waiting.all.last,
                let open = state.queue.jobs[last]
            else { return event }
            return .queue(.claimed(last, open.attempts.next, worker: worker, leaseSeconds: lease))
        }
    }
}

/// Calls a job done when its worker says so.
enum WorkersWord: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        events.flatMap { event -> [GlobalEvent] in
            guard case .queue(.uploaded(let job, let number, _)) = event else { return [event] }
            return [event, .queue(.succeeded(job, number))]
        }
    }
}

/// Ends leases though the engine was away.
enum NoFloor: Mutant {
    static func alter(_ event: GlobalEvent, _ state: inout GlobalState) { state.queue.leaseFloor = .zero }
}

/// Requeues for ever.
enum NoMaximum: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        var state = state
        if case .queue(.expireLease) = command { state.log.settings.maximumAttempts = 100 }
        return state
    }
}

/// Forgets idempotency keys.
enum Forgetful: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        context.key = nil
        return state
    }
}

/// Remembers idempotency keys for ever.
enum Unforgetting: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        if context.key != nil, context.now > Timestamp(milliseconds: 1_700_000_000_000) {
            context.now = Timestamp(milliseconds: 1_700_000_000_000)
        }
        return state
    }
}

/// Keeps the build-once key of a failed job.
enum KeepsKeys: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        guard case .queue(.enqueue(let request)) = command, !request.isForced else { return state }
        var state = state
        if state.queue.buildOnce[request.buildOnceKey] == nil, state.queue.enqueued.rawValue > 0 {
            state.queue.buildOnce[request.buildOnceKey] = state.queue.enqueued
        }
        return state
    }
}

/// Takes every build for replicated.
enum Unreplicated: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        guard case .targets = command else { return state }
        var state = state
        for build in state.replication.packs.keys.sorted() {
            state.replication.packs[build]?.stored = state.fleet.liveRegions
        }
        return state
    }
}

/// Lets a revision be given twice.
enum Repeating: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        var state = state
        if case .targets(.deploy) = command, state.targets.number > 0 { state.targets.number -= 1 }
        return state
    }
}

/// Takes a report about an older revision for one about this.
enum Impatient: Mutant {
    static func alter(_ state: GlobalState, _ command: GlobalCommand, _ context: inout DecisionContext) -> GlobalState {
        guard case .targets(.settle) = command else { return state }
        var state = state
        for name in state.fleet.regions.keys.sorted() {
            for app in Universe.apps { state.fleet.regions[name]?.levels[app]?.revision.number = .max }
        }
        return state
    }
}

/// Leaves older deployments open.
enum NotSuperseding: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        events.filter { if case .targets(.deploymentEnded(_, _, .superseded, _)) = $0 { false } else { true } }
    }
}

/// Lets an operator's suspension end by a report.
enum Unsuspending: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        guard case .fleet(.regionReport(let name, _)) = command, state.fleet.regions[name]?.status == .suspended else {
            return events
        }
        return [.fleet(.regionStatusChanged(name, .live, .report))] + events
    }
}

/// Issues a global target again without the regions' newer ones behind it.
enum RegionsFallBack: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        if case .targets(.reissue(_, .global)) = command { Array(events.prefix(1)) } else { events }
    }
}

/// Puts a cancelled job back instead of ending it.
enum Uncancelling: Mutant {
    static func alter(_ events: [GlobalEvent], _ command: GlobalCommand, _ state: GlobalState) -> [GlobalEvent] {
        events.map { event in
            guard case .queue(.failed(let job, .cancelled, _)) = event, state.queue.jobs[job]?.attempt != nil else {
                return event
            }
            return .queue(.requeued(job))
        }
    }
}
