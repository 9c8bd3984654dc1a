/// What an event means to a process that does not know its type.
package enum EventWeight: Sendable {
    /// A process that does not know it must stop following (`upgrade-needed`).
    case essential
    /// It may be kept, counted and passed over.
    case informative
}

/// What every event carries beside its payload.
package struct FrameHeader: Hashable, Sendable {
    package var epoch: Epoch
    package var sequence: LogSequence
    package var time: Timestamp
    /// The sequence of the first event of the command that caused this one: the command's id.
    package var command: LogSequence
    /// The event this command answers to (a projector's effect); zero when there is none.
    package var cause: LogSequence
    package var actor: EventActor
    /// The caller's idempotency key, on the first event of a command only; at most `maximumKeyBytes`.
    package var key: String?
    /// Whether a projector derived the command from the views (it can be derived again).
    package var isDerived: Bool

    package init(
        epoch: Epoch, sequence: LogSequence, time: Timestamp, command: LogSequence, cause: LogSequence = .zero,
        actor: EventActor, key: String? = nil, isDerived: Bool = false
    ) {
        (self.epoch, self.sequence, self.time, self.command) = (epoch, sequence, time, command)
        (self.cause, self.actor, self.key, self.isDerived) = (cause, actor, key, isDerived)
    }
}

package let maximumKeyBytes = 128
/// A frame must stay below this many bytes, header and checksum included: LMDB wastes pages above about 2 KB.
package let maximumFrameBytes = 1900

/// One event as the log stores it: its header, its type and its payload's bytes.
package struct Frame: Hashable, Sendable {
    package var header: FrameHeader
    /// The event's number in `Schemas/events.proto`.
    package var type: UInt16
    /// The revision of the schema that wrote the payload.
    package var schemaRevision: UInt16
    package var payload: [UInt8]
    /// Set where `payload` is not what was written, but what a redaction left of it.
    package var redaction: Redaction?

    package init(
        header: FrameHeader, type: UInt16, schemaRevision: UInt16, payload: [UInt8], redaction: Redaction? = nil
    ) {
        (self.header, self.type, self.schemaRevision, self.payload) = (header, type, schemaRevision, payload)
        self.redaction = redaction
    }
}

/// What proves a redacted payload's place in the chain.
package struct Redaction: Hashable, Sendable {
    /// SHA-256 of the payload as it was written.
    package var digest: Digest
    /// How many bytes it had.
    package var payloadBytes: UInt16

    package init(digest: Digest, payloadBytes: UInt16) {
        (self.digest, self.payloadBytes) = (digest, payloadBytes)
    }
}

/// The frames of one commit, and the proved position at their end.
package struct FrameBatch: Hashable, Sendable {
    package var frames: [Frame]
    package var end: LogPosition

    package init(frames: [Frame], end: LogPosition) {
        self.frames = frames
        self.end = end
    }
}

/// An event with its header, as a reducer sees it.
package struct Envelope<Event: Sendable>: Sendable {
    package var header: FrameHeader
    package var event: Event

    package init(header: FrameHeader, event: Event) {
        self.header = header
        self.event = event
    }

    package var sequence: LogSequence { header.sequence }
    package var time: Timestamp { header.time }
    package var actor: EventActor { header.actor }
}

extension Envelope: Equatable where Event: Equatable {}
