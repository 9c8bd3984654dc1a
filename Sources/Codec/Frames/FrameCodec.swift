package import Domain

/// Frames as bytes: a fixed little-endian header, actor, key, payload, CRC32C (`Schemas/formats.md`).
package enum FrameCodec {
    private static let emptyHeader = [UInt8](repeating: 0, count: FrameLayout.headerBytes)

    /// The frame's bytes. Fails with `too-large` when a limit is reached.
    package static func encode(_ frame: Frame) throws(FrameFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        try append(frame, to: &bytes)
        return bytes
    }

    /// Appends the frame's bytes to a buffer; leaves it as it was on failure. Says where in the buffer the payload lies.
    @discardableResult
    package static func append(_ frame: Frame, to bytes: inout [UInt8]) throws(FrameFailure) -> Range<Int> {
        let name = frame.header.actor.name.utf8
        let keyBytes = frame.header.key?.utf8.count ?? 0
        try checkLimits(frame, actorBytes: name.count, keyBytes: keyBytes)
        let start = bytes.count
        bytes.append(contentsOf: emptyHeader)
        storeHeader(frame, actorBytes: name.count, keyBytes: keyBytes, in: &bytes, at: start)
        bytes.append(contentsOf: name)
        if let key = frame.header.key { bytes.append(contentsOf: key.utf8) }
        if let redaction = frame.redaction { bytes.append(contentsOf: redaction.digest.bytes) }
        let payloadStart = bytes.count
        bytes.append(contentsOf: frame.payload)
        let checksum = crc32c(bytes.span.extracting(start..<bytes.count))
        bytes.append(littleEndian: checksum)
        return payloadStart..<payloadStart + frame.payload.count
    }

    /// The frame that these bytes are. Any bytes give a frame or a failure.
    package static func decode(_ bytes: borrowing Span<UInt8>) throws(FrameFailure) -> Frame {
        try decode(bytes, FrameLayout(bytes))
    }

    package static func decode(_ bytes: [UInt8]) throws(FrameFailure) -> Frame { try decode(bytes.span) }

    /// The frame of bytes whose layout is known already.
    package static func decode(
        _ bytes: borrowing Span<UInt8>, _ layout: FrameLayout
    ) throws(FrameFailure) -> Frame {
        Frame(
            header: try header(bytes, layout), type: layout.type, schemaRevision: layout.schemaRevision,
            payload: [UInt8](copying: bytes.extracting(layout.payloadRange)),
            redaction: layout.isRedacted ? redaction(bytes, layout) : nil)
    }

    private static func redaction(_ bytes: borrowing Span<UInt8>, _ layout: FrameLayout) -> Redaction {
        let start = layout.payloadHashRange.lowerBound
        let digest = Digest(
            words: bytes.littleEndianWord(at: start).byteSwapped, bytes.littleEndianWord(at: start + 8).byteSwapped,
            bytes.littleEndianWord(at: start + 16).byteSwapped, bytes.littleEndianWord(at: start + 24).byteSwapped)
        return Redaction(digest: digest, payloadBytes: UInt16(truncatingIfNeeded: layout.payloadBytes))
    }

    /// The header of a frame that has its payload, or what a redaction left of it.
    package static func header(
        _ bytes: borrowing Span<UInt8>, _ layout: FrameLayout
    ) throws(FrameFailure) -> FrameHeader {
        guard !layout.isRedacted || layout.hasSubstitute else {
            throw FrameFailure(
                .redacted, "event \(layout.sequence) was redacted: its place is proved, its content is gone")
        }
        let actor = EventActor(kind: layout.actorKind, name: try text(bytes.extracting(layout.actorRange)))
        let key = layout.hasKey ? try text(bytes.extracting(layout.keyRange)) : nil
        return FrameHeader(
            epoch: layout.epoch, sequence: layout.sequence, time: layout.time, command: layout.command,
            cause: layout.cause, actor: actor, key: key, isDerived: layout.isDerived)
    }

    private static func checkLimits(_ frame: Frame, actorBytes: Int, keyBytes: Int) throws(FrameFailure) {
        let total =
            FrameLayout.headerBytes + actorBytes + keyBytes + frame.payload.count + FrameLayout.checksumBytes
            + (frame.redaction == nil ? 0 : FrameLayout.redactedPayloadBytes)
        guard actorBytes <= maximumNameBytes else {
            throw FrameFailure(.tooLarge, "an actor's name has \(actorBytes) bytes: the limit is \(maximumNameBytes)")
        }
        guard keyBytes <= maximumKeyBytes else {
            throw FrameFailure(.tooLarge, "an idempotency key has \(keyBytes) bytes: the limit is \(maximumKeyBytes)")
        }
        guard total < maximumFrameBytes else {
            throw FrameFailure(
                .tooLarge,
                "an event would take \(total) bytes: it must stay below \(maximumFrameBytes); store long parts as blobs"
            )
        }
    }

    private static func storeHeader(
        _ frame: Frame, actorBytes: Int, keyBytes: Int, in bytes: inout [UInt8], at start: Int
    ) {
        let header = frame.header
        var flags: UInt8 = header.isDerived ? FrameLayout.Flag.derived : 0
        if header.key != nil { flags |= FrameLayout.Flag.keyed }
        if frame.redaction != nil { flags |= FrameLayout.Flag.ofRedaction }
        let first =
            UInt64(FrameLayout.formatVersion) | UInt64(flags) << 8 | UInt64(frame.type) << 16
            | UInt64(frame.schemaRevision) << 32 | UInt64(header.actor.kind.rawValue) << 48 | UInt64(actorBytes) << 56
        var target = bytes.mutableSpan
        target.store(first, at: start)
        target.store(header.epoch.rawValue, at: start + 8)
        target.store(header.sequence.rawValue, at: start + 16)
        target.store(UInt64(bitPattern: header.time.milliseconds), at: start + 24)
        target.store(header.command.rawValue, at: start + 32)
        target.store(header.cause.rawValue, at: start + 40)
        let payloadBytes = frame.redaction.map { UInt32($0.payloadBytes) } ?? UInt32(frame.payload.count)
        target.store(payloadBytes | UInt32(keyBytes) << 16, at: start + 48)
    }

    private static func text(_ bytes: Span<UInt8>) throws(FrameFailure) -> String {
        do {
            return String(copying: try UTF8Span(validating: bytes))
        } catch {
            throw FrameFailure(.text, "a frame's actor or key is not UTF-8: it was not written by Drover")
        }
    }
}

extension [UInt8] {
    init(copying bytes: borrowing Span<UInt8>) {
        self.init(capacity: bytes.count) { output in
            for index in bytes.indices { output.append(bytes[index]) }
        }
    }
}

extension MutableSpan<UInt8> {
    fileprivate mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        for index in 0..<Value.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
}
