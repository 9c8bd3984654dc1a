package import Domain

/// An event as a frame carries it.
package struct EncodedEvent: Hashable, Sendable {
    /// The event's number in `Schemas/events.proto`.
    package var type: UInt16
    /// The revision of the type's message that wrote the payload.
    package var schemaRevision: UInt16
    package var payload: [UInt8]

    package init(type: UInt16, schemaRevision: UInt16, payload: [UInt8]) {
        (self.type, self.schemaRevision, self.payload) = (type, schemaRevision, payload)
    }
}

/// One aggregate's events as bytes, and back.
///
/// Encoding is deterministic: an event has the same bytes in every process. Decoding is total and strict: any bytes
/// give an event or a failure, and nothing is guessed or repaired.
package protocol EventCodec<Event>: Sendable {
    associatedtype Event: Sendable

    /// Fails with `too-large` when no frame could hold the payload beside the longest header.
    func encode(_ event: Event) throws(CodecFailure) -> EncodedEvent

    /// Nil for an informative event that this version does not know: keep it, count it, go on. Fails with
    /// `upgrade-needed` for an essential one, and with `malformed` for bytes that no version would have written.
    func decode(
        type: UInt16, schemaRevision: UInt16, payload: borrowing Span<UInt8>
    ) throws(CodecFailure) -> Event?

    /// The type's name, as in `job-claimed`; nil when this version does not know it.
    func typeName(_ type: UInt16) -> String?
}

extension EventCodec {
    package func typeName(_ type: UInt16) -> String? { eventTypeName(type) }

    package func decode(type: UInt16, schemaRevision: UInt16, payload: [UInt8]) throws(CodecFailure) -> Event? {
        try decode(type: type, schemaRevision: schemaRevision, payload: payload.span)
    }

    /// The event of a frame with its header; nil for an informative event that this version does not know.
    package func decode(_ frame: Frame) throws(CodecFailure) -> Envelope<Event>? {
        let event = try decode(type: frame.type, schemaRevision: frame.schemaRevision, payload: frame.payload)
        return event.map { Envelope(header: frame.header, event: $0) }
    }
}

/// The events of a global log.
package struct GlobalCodec: EventCodec {
    package init() {}

    package func encode(_ event: GlobalEvent) throws(CodecFailure) -> EncodedEvent {
        if let encoded = try event.hotEncoded() { return encoded }
        return try encodeAny(event)
    }

    /// By SwiftProtobuf, whatever it is: the measure of what is written for the hot events.
    func encodeAny(_ event: GlobalEvent) throws(CodecFailure) -> EncodedEvent {
        switch event {
        case .log(let event): try event.encoded()
        case .queue(let event): try event.encoded()
        case .replication(let event): try event.encoded()
        case .targets(let event): try event.encoded()
        case .fleet(let event): try event.encoded()
        case .retention(let event): try event.encoded()
        }
    }

    package func decode(
        type: UInt16, schemaRevision: UInt16, payload: borrowing Span<UInt8>
    ) throws(CodecFailure) -> GlobalEvent? {
        if schemaRevision == 1, let event = GlobalEvent(hot: type, payload) { return event }
        return try decodeAny(type: type, schemaRevision: schemaRevision, payload: [UInt8](copying: payload))
    }

    /// By SwiftProtobuf, whatever it is: the measure of what the hot events' own decoder says.
    func decodeAny(type: UInt16, schemaRevision: UInt16, payload: [UInt8]) throws(CodecFailure) -> GlobalEvent? {
        guard let known = try EventType(known: type, revision: schemaRevision) else { return nil }
        switch known.family {
        case .log: return .log(try LogEvent(known, payload))
        case .queue: return .queue(try QueueEvent(known, payload))
        case .replication: return .replication(try ReplicationEvent(known, payload))
        case .targets: return .targets(try TargetsEvent(known, payload))
        case .fleet: return .fleet(try FleetEvent(known, payload))
        case .retention: return .retention(try RetentionEvent(known, payload))
        case .region: throw known.misplaced(in: "a global log")
        }
    }
}

/// The events of a regional log.
package struct RegionalCodec: EventCodec {
    package init() {}

    package func encode(_ event: RegionEvent) throws(CodecFailure) -> EncodedEvent {
        if let encoded = try event.hotEncoded() { return encoded }
        return try encodeAny(event)
    }

    /// By SwiftProtobuf, as the global codec's.
    func encodeAny(_ event: RegionEvent) throws(CodecFailure) -> EncodedEvent { try event.encoded() }

    package func decode(
        type: UInt16, schemaRevision: UInt16, payload: borrowing Span<UInt8>
    ) throws(CodecFailure) -> RegionEvent? {
        if schemaRevision == 1, let event = RegionEvent(hot: type, payload) { return event }
        return try decodeAny(type: type, schemaRevision: schemaRevision, payload: [UInt8](copying: payload))
    }

    /// By SwiftProtobuf, as the global codec's.
    func decodeAny(type: UInt16, schemaRevision: UInt16, payload: [UInt8]) throws(CodecFailure) -> RegionEvent? {
        guard let known = try EventType(known: type, revision: schemaRevision) else { return nil }
        switch known.family {
        case .log: return .log(try LogEvent(known, payload))
        case .region:
            let event = try RegionEvent(known, payload)
            guard event.schemaRevision <= schemaRevision else {
                throw .malformed(known.name ?? "", "has fields of a later revision than \(schemaRevision)")
            }
            return event
        case .queue, .replication, .targets, .fleet, .retention: throw known.misplaced(in: "a regional log")
        }
    }
}
