package import Codec
package import Domain

/// One command of a recorded log, rebuilt from its events: it can be decided again.
package struct RecordedCommand<A: Aggregate>: Sendable {
    package enum Content: Sendable {
        case command(A.Command)
        /// The engine's own word, which nobody asked for: it started, the clock jumped.
        case fact(LogEvent)
        /// Calls that were refused. Only their attempt and their kind are recorded.
        case refusals(RefusedAttempt, code: RefusalCode, count: UInt64)
        /// Why it cannot be rebuilt.
        case unknown(String)
    }

    /// At least one; the first one's sequence is the command's id.
    package var frames: [Frame]
    /// One a frame; none where this version does not know one of them.
    package var events: [A.Event]
    package var content: Content
    /// The first frame's.
    package var header: FrameHeader
    /// When it is decided: as recorded, or otherwise.
    package var time: Timestamp

    /// - Parameter frames: of one command id, in order; at least one.
    package init(_ frames: [Frame], codec: any EventCodec<A.Event>) throws(CodecFailure) {
        guard let header = frames.first?.header else { preconditionFailure("a command has no event") }
        (self.frames, self.header, time) = (frames, header, header.time)
        var events: [A.Event] = []
        for frame in frames { if let envelope = try codec.decode(frame) { events.append(envelope.event) } }
        guard events.count == frames.count else {
            (self.events, content) = ([], .unknown("it has events of types that this version does not know"))
            return
        }
        self.events = events
        content = Self.content(events, header)
    }

    private static func content(_ events: [A.Event], _ header: FrameHeader) -> Content {
        guard header.sequence == header.command else { return .unknown("its first event is missing") }
        if let command = A.command(from: events) { return .command(command) }
        guard events.count == 1, let fact = events.first.flatMap(A.fact) else {
            return .unknown("its events do not say what was asked")
        }
        switch fact {
        case .engineStarted, .engineStalled, .clockJumped, .epochStarted, .levelRaised, .stateHashed,
            .backupProved:
            return header.actor == .system ? .fact(fact) : .unknown("only the engine itself says this")
        case .payloadRedacted: return .fact(fact)
        case .settingsChanged: return .unknown("its events do not say what was asked")
        case .refused(let attempt, let code, let count): return .refusals(attempt, code: code, count: count)
        }
    }

    /// The commands of a log's frames, in order.
    package static func commands(
        of frames: [Frame], codec: any EventCodec<A.Event>
    ) throws(CodecFailure) -> [RecordedCommand] {
        var (commands, rest) = ([RecordedCommand](), frames[...])
        while let first = rest.first {
            let own = rest.prefix { $0.header.command == first.header.command }
            commands.append(try RecordedCommand(Array(own), codec: codec))
            rest = rest.dropFirst(own.count)
        }
        return commands
    }

    /// What a decision about it looks at, as recorded.
    package var context: DecisionContext {
        DecisionContext(
            now: time, actor: header.actor, key: header.key, isDerived: header.isDerived, sequence: header.sequence,
            epoch: header.epoch)
    }

    /// What the log holds of it, for a reducer.
    package var envelopes: [Envelope<A.Event>] {
        zip(frames, events).map { Envelope(header: $0.header, event: $1) }
    }
}

extension RecordedCommand {
    /// Whether an engine started here: for how long before nobody did anything is not known.
    var isStart: Bool {
        if case .fact(.engineStarted) = content { true } else { false }
    }
}

extension RecordedCommand<Global> {
    /// Whether it is nothing but a sign of life.
    var isHeartbeat: Bool {
        if case .command(.queue(.heartbeat)) = content { true } else { false }
    }

    /// Whether it says what the state was: another state's log does not.
    var isStateHash: Bool {
        if case .fact(.stateHashed) = content { true } else { false }
    }
}
