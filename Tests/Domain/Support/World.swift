import Domain
import Foundation

/// An aggregate with its log, driven like an engine drives it: decide, then reduce each event under the next sequence.
struct World<A: Aggregate> {
    private(set) var state = A.initialState
    private(set) var log: [Envelope<A.Event>] = []
    var now = Timestamp(milliseconds: 1_700_000_000_000)
    private(set) var epoch = Epoch.first

    init() {}

    var sequence: LogSequence { LogSequence(rawValue: UInt64(log.count)) }
    var events: [A.Event] { log.map(\.event) }

    func context(by actor: EventActor, key: String? = nil) -> DecisionContext {
        DecisionContext(now: now, actor: actor, key: key, sequence: sequence.next, epoch: epoch)
    }

    func decide(
        _ command: A.Command, by actor: EventActor = .person("ada"), key: String? = nil
    ) -> Decision<A.Event, A.Answer> {
        A.decide(state, command, context(by: actor, key: key))
    }

    /// Decides and, if accepted, takes the events in.
    @discardableResult
    mutating func send(
        _ command: A.Command, by actor: EventActor = .person("ada"), key: String? = nil
    ) -> Decision<A.Event, A.Answer> {
        let decision = decide(command, by: actor, key: key)
        if case .accepted(let events, _) = decision { append(events, by: actor, key: key) }
        return decision
    }

    /// The events of one command: the first names the command, and carries its key.
    mutating func append(_ events: [A.Event], by actor: EventActor = .system, key: String? = nil) {
        let command = sequence.next
        for (place, event) in events.enumerated() {
            let header = FrameHeader(
                epoch: epoch, sequence: sequence.next, time: now, command: command, actor: actor,
                key: place == 0 ? key : nil)
            log.append(Envelope(header: header, event: event))
            A.reduce(&state, log[log.count - 1])
        }
    }

    mutating func fact(_ fact: LogEvent) {
        if case .epochStarted(let next, _) = fact { epoch = max(epoch, next) }
        append([A.event(fact)])
    }

    mutating func wait(milliseconds: Int64) { now = now.adding(milliseconds: milliseconds) }
    mutating func wait(seconds: Int64) { now = now.adding(seconds: seconds) }
}

extension Decision {
    var events: [Event]? {
        switch self {
        case .accepted(let events, _): events
        case .refused: nil
        }
    }

    var answer: Answer? {
        switch self {
        case .accepted(_, let answer): answer
        case .refused: nil
        }
    }

    var refusal: Refusal? {
        switch self {
        case .accepted: nil
        case .refused(let refusal): refusal
        }
    }

    var code: RefusalCode? { refusal?.code }
}

/// The same value written and read again: another process's copy, with dictionaries laid out anew.
func copied<Value: Codable>(_ value: Value) throws -> Value {
    try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
}
