package import Codec
package import Domain
package import Ports

/// One command on its way into the log.
package struct Submission<Command: Sendable>: Sendable {
    package var command: Command
    package var actor: EventActor
    package var key: String?
    /// The event it answers to; zero when there is none.
    package var cause: LogSequence
    package var isDerived: Bool

    package init(
        command: Command, actor: EventActor, key: String? = nil, cause: LogSequence = .zero, isDerived: Bool = false
    ) {
        (self.command, self.actor, self.key) = (command, actor, key)
        (self.cause, self.isDerived) = (cause, isDerived)
    }
}

/// What became of a command. `at` is a durable position that includes it.
package enum CommandOutcome<Answer: Sendable>: Sendable {
    case accepted(Answer, at: LogPosition)
    case refused(Refusal, at: LogPosition)
}

extension CommandOutcome: Equatable where Answer: Equatable {}

/// The single writer's logic, without thread, task, clock or disk: facts in, frames and answers out.
///
/// Between batches `state` is the durable one. From `decide` to `committed` it is speculative; after a failure it must
/// be thrown away (`init` from a replay).
package struct EngineCore<A: Aggregate>: Sendable {
    /// A batch that has been decided and is not yet durable.
    package struct PendingBatch: Sendable {
        package var frames: [Frame] = []
        /// One a submission, in their order.
        package var decided: [Decided] = []

        package init() {}
    }

    package enum Decided: Sendable {
        case accepted(A.Answer)
        case refused(Refusal)
    }

    package private(set) var state: A.State
    /// The durable head.
    package private(set) var head: LogPosition
    package private(set) var clock: LogClock
    private let codec: any EventCodec<A.Event>
    /// The last sequence given, durable or not.
    private var sequence: LogSequence
    private var epoch: Epoch
    /// Refusals passed over since the last recorded one of their kind. Bounded: cleared when it grows past its limit.
    private var suppressed: [RefusedAttempt: UInt64] = [:]

    /// Refusals recorded since a moment, of all kinds.
    private var recorded = (since: Timestamp.zero, count: 0)

    package static var maximumSuppressedKinds: Int { 10_000 }
    package static var maximumRefusalsAMinute: Int { 1000 }

    /// - Parameters:
    ///   - state: the fold of everything up to `head`.
    ///   - clock: log time, at or after the frame at `head`.
    package init(state: A.State, head: LogPosition, codec: any EventCodec<A.Event>, clock: LogClock) {
        self.state = state
        self.head = head
        self.codec = codec
        self.clock = clock
        sequence = head.sequence
        epoch = head.epoch
    }

    /// Log time now, and the frames that a stall or a jump of the clock needs.
    package mutating func tick(_ reading: ClockReading, into batch: inout PendingBatch) {
        let leaseSeconds = A.log(state).settings.leaseSeconds
        for fact in clock.tick(reading, leaseSeconds: leaseSeconds) { record(fact, into: &batch) }
    }

    /// Appends one of the engine's own facts.
    package mutating func record(_ fact: LogEvent, into batch: inout PendingBatch) {
        if case .epochStarted(let next, _) = fact { epoch = max(epoch, next) }
        let event = A.event(fact)
        // The engine's own facts are small; one that does not fit is our own mistake.
        guard let encoded = try? [codec.encode(event)] else {
            preconditionFailure("a log event does not encode: \(fact)")
        }
        take([event], encoded, Submission(command: fact, actor: .system), into: &batch)
    }

    /// Decides one command on the state that its predecessors in the batch leave.
    package mutating func decide(_ submission: Submission<A.Command>, into batch: inout PendingBatch) {
        let context = DecisionContext(
            now: clock.now, actor: submission.actor, key: submission.key, isDerived: submission.isDerived,
            sequence: sequence.next, epoch: epoch)
        switch A.decide(state, submission.command, context) {
        case .accepted(let events, let answer):
            do throws(CodecFailure) {
                var encoded: [EncodedEvent] = []
                for event in events { encoded.append(try codec.encode(event)) }
                take(events, encoded, submission, into: &batch)
                batch.decided.append(.accepted(answer))
            } catch {
                batch.decided.append(.refused(Refusal(.tooLarge, error.message)))
            }
        case .refused(let refusal):
            recordRefusal(refusal, submission, into: &batch)
            batch.decided.append(.refused(refusal))
        }
    }

    /// The batch is durable up to `position`: the outcomes, in the submissions' order.
    package mutating func committed(
        _ batch: PendingBatch, at position: LogPosition
    ) -> [CommandOutcome<A.Answer>] {
        head = position
        return batch.decided.map { decided in
            switch decided {
            case .accepted(let answer): .accepted(answer, at: position)
            case .refused(let refusal): .refused(refusal, at: position)
            }
        }
    }

    private mutating func take<C>(
        _ events: [A.Event], _ encoded: [EncodedEvent], _ submission: Submission<C>, into batch: inout PendingBatch
    ) {
        let command = sequence.next
        for (event, bytes) in zip(events, encoded) {
            sequence = sequence.next
            let header = FrameHeader(
                epoch: epoch, sequence: sequence, time: clock.now, command: command, cause: submission.cause,
                actor: submission.actor, key: sequence == command ? submission.key : nil,
                isDerived: submission.isDerived)
            batch.frames.append(
                Frame(header: header, type: bytes.type, schemaRevision: bytes.schemaRevision, payload: bytes.payload))
            A.reduce(&state, header, event)
        }
    }

    /// The first of each kind, then one a minute with the count of those since; of all kinds not too many.
    private mutating func recordRefusal(
        _ refusal: Refusal, _ submission: Submission<A.Command>, into batch: inout PendingBatch
    ) {
        guard let attempt = refusal.attempt else { return }
        let count = (suppressed[attempt] ?? 0) + 1
        guard mayRecordRefusal(), let event = A.refusalEvent(refusal, count: count, state: state, now: clock.now),
            let encoded = try? [codec.encode(event)]
        else {
            if suppressed.count >= Self.maximumSuppressedKinds { suppressed = [:] }
            suppressed[attempt] = count
            return
        }
        suppressed[attempt] = nil
        recorded.count += 1
        var keyless = submission
        keyless.key = nil
        take([event], encoded, keyless, into: &batch)
    }

    private mutating func mayRecordRefusal() -> Bool {
        if clock.now.millisecondsSince(recorded.since) >= 60_000 { recorded = (clock.now, 0) }
        return recorded.count < Self.maximumRefusalsAMinute
    }
}
