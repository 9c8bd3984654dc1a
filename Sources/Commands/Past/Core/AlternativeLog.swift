import Codec
package import Domain

/// A global log that is written by deciding commands one after another, each at a given time: a log that the system
/// could have written.
package struct AlternativeLog: Sendable {
    package enum Outcome: Sendable {
        /// None, where the answer was known already.
        case accepted([GlobalEvent], GlobalAnswer)
        case refused(Refusal)
    }

    package typealias Rules =
        @Sendable (GlobalState, GlobalCommand, DecisionContext) -> Decision<GlobalEvent, GlobalAnswer>

    package private(set) var state = Global.initialState
    /// One a command that led to events.
    package private(set) var batches: [FrameBatch] = []
    package private(set) var head: LogPosition
    /// Log time, never going back.
    package private(set) var now = Timestamp.zero
    private var epoch = Epoch.first
    private let codec = GlobalCodec()
    private let rules: Rules

    /// - Parameter rules: what decides; this version's own, if not given.
    package init(identity: LogIdentity, rules: @escaping Rules = Global.decide) {
        (head, self.rules) = (.start(of: identity), rules)
    }

    package mutating func advance(to time: Timestamp) { now = max(now, time) }

    /// What a command would lead to now.
    package func outcome(_ command: GlobalCommand, like header: FrameHeader) -> Outcome {
        let context = DecisionContext(
            now: now, actor: header.actor, key: header.key, isDerived: header.isDerived, sequence: head.sequence.next,
            epoch: epoch)
        switch rules(state, command, context) {
        case .accepted(let events, let answer): return .accepted(events, answer)
        case .refused(let refusal): return .refused(refusal)
        }
    }

    /// Decides one command now; a refused one leaves nothing.
    ///
    /// - Parameter header: its actor, key and whether it is derived.
    package mutating func decide(
        _ command: GlobalCommand, like header: FrameHeader, cause: LogSequence = .zero
    ) -> Outcome {
        let outcome = outcome(command, like: header)
        guard case .accepted(let events, _) = outcome, !events.isEmpty else { return outcome }
        do {
            try append(events, like: header, cause: cause)
            return outcome
        } catch {
            return .refused(Refusal(.tooLarge, "an event does not fit into a log: \(error)"))
        }
    }

    /// Writes one of the engine's own facts, or a record of refusals.
    package mutating func record(_ fact: LogEvent, like header: FrameHeader) throws {
        if case .epochStarted(let next, _) = fact { epoch = max(epoch, next) }
        var header = header
        header.key = nil
        try append([Global.event(fact)], like: header, cause: .zero)
    }

    private mutating func append(
        _ events: [GlobalEvent], like model: FrameHeader, cause: LogSequence
    ) throws {
        let command = head.sequence.next
        var (frames, sequence) = ([Frame](), command)
        for event in events {
            let header = FrameHeader(
                epoch: epoch, sequence: sequence, time: now, command: command, cause: cause, actor: model.actor,
                key: sequence == command ? model.key : nil, isDerived: model.isDerived)
            let encoded = try codec.encode(event)
            frames.append(
                Frame(
                    header: header, type: encoded.type, schemaRevision: encoded.schemaRevision,
                    payload: encoded.payload))
            sequence = sequence.next
        }
        for (frame, event) in zip(frames, events) {
            Global.reduce(&state, Envelope(header: frame.header, event: event))
        }
        head = LogPosition(
            log: head.log, epoch: epoch, sequence: frames.last?.header.sequence ?? head.sequence,
            chain: try FrameCodec.chain(after: head.chain, frames))
        batches.append(FrameBatch(frames: frames, end: head))
    }
}
