import Codec
import Domain

@testable import Commands

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
        for command in try RecordedCommand<A>.commands(of: frames, codec: codec) {
            try decide(command)
            for envelope in command.envelopes { A.reduce(&state, envelope) }
        }
    }

    private mutating func decide(_ recorded: RecordedCommand<A>) throws {
        let (frames, first) = (recorded.frames, recorded.header)
        switch recorded.content {
        case .unknown(let problem): note(frames, problem)
        case .fact: break
        case .refusals(let attempt, let code, let count):
            let refusal = Refusal(code, "", attempt: attempt)
            if A.refusalEvent(refusal, count: count, state: state, now: first.time) != recorded.events.first {
                note(frames, "its record is not due")
            }
        case .command(let command):
            commands += 1
            switch A.decide(state, command, recorded.context) {
            case .refused(let refusal): note(frames, "it is refused: \(refusal.message)")
            case .accepted(let again, _):
                let bytes = try again.enumerated().map { try encoded($1, at: $0, after: first) }
                if try bytes != frames.map({ try FrameCodec.encode($0) }) {
                    note(frames, "it leads to \(again), recorded are \(recorded.events)")
                }
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

    private mutating func note(_ frames: [Frame], _ problem: String) {
        differences.append("command \(frames.first?.header.command ?? .zero): \(problem)")
    }
}
