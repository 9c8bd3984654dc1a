import Codec
import Domain

/// Decides a recorded log again: each command rebuilt from its events, on the state before it, at its recorded time.
///
/// What an engine says itself (it started, the clock jumped) is no command, and of a refused one only its attempt is
/// recorded: those records must still be due.
struct DecideAgain<A: Aggregate> {
    let codec: any EventCodec<A.Event>
    private(set) var state = A.initialState
    /// Commands decided again.
    private(set) var commands = 0
    /// What did not come out as recorded, a line each.
    private(set) var differences: [String] = []

    init(codec: any EventCodec<A.Event>) { self.codec = codec }

    /// Takes a log's frames, in order.
    mutating func take(_ frames: [Frame]) throws {
        var rest = frames[...]
        while let first = rest.first {
            let command = rest.prefix { $0.header.command == first.header.command }
            rest = rest.dropFirst(command.count)
            try decide(Array(command))
        }
    }

    private mutating func decide(_ frames: [Frame]) throws {
        let envelopes = try frames.map { try codec.decode($0) }
        defer { for case let envelope? in envelopes { A.reduce(&state, envelope) } }
        guard let first = frames.first?.header, first.sequence == first.command else {
            return note(frames, "it does not begin with its first event")
        }
        guard !envelopes.contains(nil) else { return note(frames, "it has events of unknown types") }
        let events = envelopes.compactMap { $0?.event }
        guard let command = A.command(from: events) else {
            if !isRecord(events, first) { note(frames, "it cannot be rebuilt") }
            return
        }
        commands += 1
        let context = DecisionContext(
            now: first.time, actor: first.actor, key: first.key, isDerived: first.isDerived, sequence: first.sequence,
            epoch: first.epoch)
        switch A.decide(state, command, context) {
        case .refused(let refusal): note(frames, "it is refused: \(refusal.message)")
        case .accepted(let again, _):
            let bytes = try again.enumerated().map { try encoded($1, at: $0, after: first) }
            if try bytes != frames.map({ try FrameCodec.encode($0) }) {
                note(frames, "it leads to \(again), recorded are \(events)")
            }
        }
    }

    /// The frame that the engine would write for the command's event at a place.
    private func encoded(_ event: A.Event, at place: Int, after first: FrameHeader) throws -> [UInt8] {
        let event = try codec.encode(event)
        var header = first
        header.sequence = LogSequence(rawValue: first.sequence.rawValue + UInt64(place))
        header.key = place == 0 ? first.key : nil
        return try FrameCodec.encode(
            Frame(header: header, type: event.type, schemaRevision: event.schemaRevision, payload: event.payload))
    }

    /// An engine's own fact, or the record of a refusal that is due.
    private func isRecord(_ events: [A.Event], _ header: FrameHeader) -> Bool {
        guard events.count == 1, let event = events.first, let fact = A.fact(event) else { return false }
        switch fact {
        case .engineStarted, .engineStalled, .clockJumped, .epochStarted, .levelRaised, .stateHashed:
            return header.actor == .system
        case .payloadRedacted: return true
        case .settingsChanged: return false
        case .refused(let attempt, let code, let count):
            let refusal = Refusal(code, "", attempt: attempt)
            return A.refusalEvent(refusal, count: count, state: state, now: header.time) == event
        }
    }

    private mutating func note(_ frames: [Frame], _ problem: String) {
        differences.append("command \(frames.first?.header.command ?? .zero): \(problem)")
    }
}
