package import Domain
package import Engine

/// What a projector looks at the world with: a pure function from the durable state to what should be done.
package struct ProjectorPlan<A: Aggregate>: Sendable {
    /// Its name in the log, as in `projector:lease-reaper`.
    package let name: String
    /// Whether it plans again when the log has moved, not only when its plan said.
    package let looksAtChanges: Bool
    package let plan: @Sendable (A.State, Timestamp) -> Plan<A.Command>

    package init(
        name: String, looksAtChanges: Bool = true, plan: @escaping @Sendable (A.State, Timestamp) -> Plan<A.Command>
    ) {
        (self.name, self.looksAtChanges, self.plan) = (name, looksAtChanges, plan)
    }
}

/// What a projector does next, one at a time; each is answered by a fact.
package enum ProjectorEffect<Command: Equatable & Sendable>: Equatable, Sendable {
    /// Plan on the durable state. Answered by `looked`.
    case look
    /// Answered by `accepted`, `refused` or `failed`.
    case submit(Command, cause: LogSequence)
    /// Answered by `rested` when the time is over.
    case rest(milliseconds: Int64)
    /// Answered by `rested` when the log is past `after`, or the time is over.
    case awaitChange(after: LogSequence, milliseconds: Int64)
    /// There is no engine any more.
    case end
}

/// What a projector does with what it planned, as a pure machine: effects in turn, each with its cause, then a rest.
///
/// It holds nothing that matters: begun again between any two steps, it plans again from the state it finds.
package struct ProjectorMachine<Command: Equatable & Sendable>: Sendable {
    package typealias Effect = ProjectorEffect<Command>

    private enum State {
        case looking
        case submitting
        /// Behind the shortest pause, until the log moves or so long.
        case pausing(more: Int64)
        case resting
    }

    private let looksAtChanges: Bool
    private var state = State.looking
    /// Not submitted yet, the next one last.
    private var left: [Command] = []
    private var position = LogSequence.zero
    private var pause: Int64 = 0

    /// The shortest time between two looks, however fast the log moves.
    package static var minimumPauseMilliseconds: Int64 { 200 }
    /// The longest time between two looks, whatever the plan says.
    package static var maximumPauseMilliseconds: Int64 { 10_000 }
    /// The pause after a refused effect or a busy engine.
    package static var retryPauseMilliseconds: Int64 { 1000 }

    package init(looksAtChanges: Bool = true) { self.looksAtChanges = looksAtChanges }

    package func started() -> Effect { .look }

    @specialized(where Command == GlobalCommand) @specialized(where Command == RegionCommand)
    package mutating func looked(_ plan: Plan<Command>, at position: LogSequence, now: Timestamp) -> Effect {
        self.position = position
        left = plan.effects.reversed()
        let asked = plan.askAgainAt?.millisecondsSince(now) ?? Self.maximumPauseMilliseconds
        pause = min(max(Self.minimumPauseMilliseconds, asked), Self.maximumPauseMilliseconds)
        return next()
    }

    @specialized(where Command == GlobalCommand) @specialized(where Command == RegionCommand)
    package mutating func accepted() -> Effect { next() }

    package mutating func refused() -> Effect {
        pause = min(pause, Self.retryPauseMilliseconds)
        return next()
    }

    /// The look or the submission got no answer.
    package mutating func failed(_ code: EngineFailure.Code) -> Effect {
        if code == .stopped { return .end }
        (left, state) = ([], .resting)
        return .rest(milliseconds: Self.retryPauseMilliseconds)
    }

    @specialized(where Command == GlobalCommand) @specialized(where Command == RegionCommand)
    package mutating func rested() -> Effect {
        if case .pausing(let more) = state {
            state = .resting
            return .awaitChange(after: position, milliseconds: more)
        }
        state = .looking
        return .look
    }

    private mutating func next() -> Effect {
        if let command = left.popLast() {
            state = .submitting
            return .submit(command, cause: position)
        }
        guard looksAtChanges else {
            state = .resting
            return .rest(milliseconds: pause)
        }
        state = .pausing(more: pause - Self.minimumPauseMilliseconds)
        return .rest(milliseconds: Self.minimumPauseMilliseconds)
    }
}
