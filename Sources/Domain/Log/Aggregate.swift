/// What a decision may look at beside the state.
package struct DecisionContext: Hashable, Sendable {
    /// Log time: never before the last frame's.
    package var now: Timestamp
    package var actor: EventActor
    package var key: String?
    package var isDerived: Bool
    /// The sequence the command's first event will have.
    package var sequence: LogSequence
    package var epoch: Epoch

    package init(
        now: Timestamp, actor: EventActor, key: String? = nil, isDerived: Bool = false,
        sequence: LogSequence, epoch: Epoch = .first
    ) {
        (self.now, self.actor, self.key) = (now, actor, key)
        (self.isDerived, self.sequence, self.epoch) = (isDerived, sequence, epoch)
    }
}

/// Why a command was refused: a value, never a thrown error. Nothing changed.
package struct Refusal: Hashable, Sendable, Error {
    package var code: RefusalCode
    /// One sentence that says what is so and what to do.
    package var message: String
    /// The attempt it is about, where refusals are recorded (the first of each (attempt, kind), then one a minute).
    package var attempt: RefusedAttempt?

    package init(_ code: RefusalCode, _ message: String, attempt: RefusedAttempt? = nil) {
        (self.code, self.message, self.attempt) = (code, message, attempt)
    }
}

/// The kind of call that was refused about one attempt of one job: the key under which refusals are counted.
package struct RefusedAttempt: Hashable, Sendable, Codable {
    package var job: JobID
    package var attempt: AttemptNumber
    /// The command's kind, as in `heartbeat`.
    package var command: String

    package init(job: JobID, attempt: AttemptNumber, command: String) {
        (self.job, self.attempt, self.command) = (job, attempt, command)
    }
}

/// What a command leads to: events (none, when the answer is known already), or a refusal.
package enum Decision<Event: Sendable, Answer: Sendable>: Sendable {
    case accepted([Event], Answer)
    case refused(Refusal)
}

extension Decision: Equatable where Event: Equatable, Answer: Equatable {}

/// A pure event-sourced state machine. All of it is total: no IO, no clock, no randomness, no trap on any event.
package protocol Aggregate: Sendable {
    associatedtype State: Sendable, Equatable, Codable
    associatedtype Command: Sendable, Equatable
    associatedtype Event: Sendable, Equatable
    associatedtype Answer: Sendable, Equatable

    static var initialState: State { get }

    /// What the command leads to in this state. The state is not changed.
    static func decide(_ state: State, _ command: Command, _ context: DecisionContext) -> Decision<Event, Answer>

    /// Takes one fact into the state: a replay's innermost call.
    static func reduce(_ state: inout State, _ header: FrameHeader, _ event: Event)

    /// The command that events of one command id came from, rebuilt from them alone; nil when they are not the whole
    /// of a command that this version knows.
    static func command(from events: [Event]) -> Command?

    /// The event that records `count` refusals of this kind; nil while the last record is younger than a minute, or
    /// where refusals of this kind are not recorded.
    static func refusalEvent(_ refusal: Refusal, count: UInt64, state: State, now: Timestamp) -> Event?

    /// The part of the state that the log's own events make.
    static func log(_ state: State) -> LogState

    /// The engine's own facts, in this aggregate's words.
    static func event(_ fact: LogEvent) -> Event

    /// The engine's own fact that an event is; nil for any other.
    static func fact(_ event: Event) -> LogEvent?

    /// Raised by hand with every change of what the same events amount to, or of the state's form: states of different
    /// fingerprints are not compared.
    static var reducerFingerprint: UInt64 { get }
}

extension Aggregate {
    package static func reduce(_ state: inout State, _ envelope: Envelope<Event>) {
        reduce(&state, envelope.header, envelope.event)
    }
}
