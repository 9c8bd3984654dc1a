package import Codec
package import Domain
package import Ports

/// A fold of a log's durable events.
package struct Replay<A: Aggregate>: Sendable {
    package private(set) var state = A.initialState
    package private(set) var head: LogPosition
    /// The time of the last frame.
    package private(set) var lastTime = Timestamp.zero
    /// Informative events of types this version does not know: kept in the log, passed over here.
    package private(set) var unknownEvents: UInt64 = 0
    /// Where the fold began: at a snapshot, or before the first event.
    package let base: LogSequence
    private let codec: any EventCodec<A.Event>
    private let hashing: StateHashing
    /// The last end of a batch whose state's hash the log may say.
    private var hashable: (at: LogSequence, state: Hashable)?

    /// Where the state was not what the log says that it was, unless a redaction of something before is recorded later.
    private var unexplained: [LogSequence] = []

    private enum Hashable {
        case state(A.State)
        /// Known already.
        case hashed(Digest)

        func hash() throws(CodecFailure) -> Digest {
            switch self {
            case .state(let state): try StateCodec.stateHash(state)
            case .hashed(let digest): digest
            }
        }
    }

    package init(of log: LogIdentity, codec: any EventCodec<A.Event>, hashing: StateHashing = StateHashing()) {
        head = .start(of: log)
        base = .zero
        self.codec = codec
        self.hashing = hashing
    }

    /// Goes on from a snapshot of this aggregate's state. Where the log says its state's hash, the two are compared.
    package init(
        from snapshot: StateSnapshot, codec: any EventCodec<A.Event>, hashing: StateHashing = StateHashing()
    ) throws(CodecFailure) {
        state = try StateCodec.decode(A.State.self, snapshot.state)
        head = snapshot.position
        (lastTime, unknownEvents) = (snapshot.lastTime, snapshot.unknownEvents)
        base = snapshot.position.sequence
        self.codec = codec
        self.hashing = hashing
        hashable = (base, .hashed(snapshot.digest))
    }

    /// Takes the next batch into the state. Whether the states were what the log says that they were, `prove` says.
    @specialized(where A == Global) @specialized(where A == Regional)
    package mutating func take(_ batch: FrameBatch) throws(CodecFailure) {
        for frame in batch.frames {
            try take(frame.header, type: frame.type, schemaRevision: frame.schemaRevision, frame.payload.span)
        }
        end(batch.end)
    }

    /// Takes the next batches of a store, some `maximumFrames`, out of its own bytes.
    private mutating func take(from store: any LogStore, maximumFrames: Int) throws {
        var problem: CodecFailure?
        try store.lend(after: head.sequence, maximumFrames: maximumFrames) { header, type, revision, payload, end in
            guard problem == nil else { return }
            do throws(CodecFailure) {
                try take(header, type: type, schemaRevision: revision, payload)
                if let end { self.end(end) }
            } catch {
                problem = error
            }
        }
        if let problem { throw problem }
    }

    /// Takes whatever a store holds behind the head.
    mutating func takeAll(from store: any LogStore, framesAtOnce: Int = 4096) throws {
        while true {
            let before = head
            try take(from: store, maximumFrames: framesAtOnce)
            if head == before { return try prove() }
        }
    }

    /// Fails where a state was not what the log says that it was. What a redaction took out may have been in a state that
    /// was hashed before it; its record comes behind.
    package func prove() throws(CodecFailure) {
        guard let sequence = unexplained.first else { return }
        throw CodecFailure(
            .malformed,
            "the events up to \(sequence) do not amount to the state that was hashed there: the log or this machine's "
                + "memory is damaged; verify the log, or restore a backup")
    }

    private mutating func take(
        _ header: FrameHeader, type: UInt16, schemaRevision: UInt16, _ payload: borrowing Span<UInt8>
    ) throws(CodecFailure) {
        lastTime = header.time
        guard let event = try codec.decode(type: type, schemaRevision: schemaRevision, payload: payload) else {
            unknownEvents += 1
            return
        }
        try compare(event)
        A.reduce(&state, header, event)
    }

    private mutating func end(_ position: LogPosition) {
        if hashing.isDue(after: head.sequence, at: position.sequence) {
            hashable = (position.sequence, .state(state))
        }
        head = position
    }

    private mutating func compare(_ event: A.Event) throws(CodecFailure) {
        guard let fact = A.fact(event) else { return }
        switch fact {
        case .payloadRedacted(let sequence, _, _, _): unexplained.removeAll { $0 >= sequence }
        case .stateHashed(let sequence, let fingerprint, let digest):
            guard fingerprint == A.reducerFingerprint, let known = hashable, known.at == sequence else { return }
            hashable = nil
            if try known.state.hash() != digest { unexplained.append(sequence) }
        case .engineStarted, .engineStalled, .clockJumped, .epochStarted, .levelRaised, .settingsChanged, .refused,
            .backupProved:
            break
        }
    }

    /// Everything that a store holds.
    @specialized(where A == Global) @specialized(where A == Regional)
    package static func whole(
        _ store: any LogStore, codec: any EventCodec<A.Event>, framesAtOnce: Int = 4096,
        hashing: StateHashing = StateHashing()
    ) throws(EngineFailure) -> Replay<A> {
        do {
            let hashing = hashing.latest(before: try store.head())
            return try Replay(of: store.identity, codec: codec, hashing: hashing)
                .continued(from: store, framesAtOnce: framesAtOnce)
        } catch let failure as StoreFailure {
            throw EngineFailure(code: .stopped, message: failure.description)
        } catch let failure as EngineFailure {
            throw failure
        } catch {
            throw EngineFailure(code: .stopped, message: "\(error)")
        }
    }

    /// This fold, and everything that a store holds behind it.
    @specialized(where A == Global) @specialized(where A == Regional)
    package func continued(
        from store: any LogStore, framesAtOnce: Int = 4096
    ) throws(EngineFailure) -> Replay<A> {
        do {
            var replay = self
            try replay.takeAll(from: store, framesAtOnce: framesAtOnce)
            return replay
        } catch let failure as StoreFailure {
            throw EngineFailure(code: .stopped, message: failure.description)
        } catch let failure as CodecFailure {
            throw EngineFailure(code: .stopped, message: failure.message)
        } catch {
            throw EngineFailure(code: .stopped, message: "\(error)")
        }
    }
}

/// Why a command got no decision, or why its outcome is not known.
package struct EngineFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// Too many commands wait: nothing was done; try again shortly.
        case busy
        /// The log could not take it: nothing was done; the message says why.
        case failed
        /// It may or may not be in the log: ask, or repeat it under the same idempotency key.
        case outcomeUnknown = "outcome-unknown"
        /// The engine has stopped or not started: nothing was done.
        case stopped
        /// A follower is on another chain: nothing was done; restart with a new epoch.
        case forked
    }

    package var code: Code
    package var message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(message) [\(code.rawValue)]" }
}
