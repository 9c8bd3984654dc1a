package import Domain

/// A frame's fixed header, and where its parts lie: read without copying or allocating anything.
///
/// The bytes are described in `Schemas/formats.md`.
package struct FrameLayout: Hashable, Sendable {
    package static let formatVersion: UInt8 = 1
    package static let headerBytes = 52
    package static let checksumBytes = 4
    /// What stands in a redacted payload's place: its SHA-256.
    package static let redactedPayloadBytes = 32

    enum Flag {
        static let derived: UInt8 = 1
        static let redacted: UInt8 = 2
        static let keyed: UInt8 = 4
        static let substituted: UInt8 = 8
        static let known: UInt8 = derived | redacted | keyed | substituted
        /// What a redaction sets: the chain covers a frame without them.
        static let ofRedaction: UInt8 = redacted | substituted
    }

    package let type: UInt16
    package let schemaRevision: UInt16
    package let epoch: Epoch
    package let sequence: LogSequence
    package let time: Timestamp
    package let command: LogSequence
    package let cause: LogSequence
    package let actorKind: EventActor.Kind
    package let isDerived: Bool
    package let hasKey: Bool
    /// The payload was replaced by its SHA-256.
    package let isRedacted: Bool
    /// Behind that hash stands what the redaction left of the payload.
    package let hasSubstitute: Bool

    let actorBytes: Int
    let keyBytes: Int
    /// As it was written, whatever is stored now.
    let payloadBytes: Int
    /// What stands between the key and the checksum.
    private let bodyBytes: Int

    package var actorRange: Range<Int> { Self.headerBytes..<Self.headerBytes &+ actorBytes }
    package var keyRange: Range<Int> { actorRange.upperBound..<actorRange.upperBound &+ keyBytes }
    /// The payload, or what a redaction left of it; empty where that is nothing.
    package var payloadRange: Range<Int> {
        let start = keyRange.upperBound
        return (isRedacted ? start &+ Self.redactedPayloadBytes : start)..<start &+ bodyBytes
    }
    /// The SHA-256 of a redacted frame's payload.
    package var payloadHashRange: Range<Int> {
        keyRange.upperBound..<keyRange.upperBound &+ Self.redactedPayloadBytes
    }

    /// Reads and checks everything but the two texts' encoding. Any bytes give a layout or a failure.
    package init(_ bytes: borrowing Span<UInt8>) throws(FrameFailure) {
        guard bytes.count < maximumFrameBytes else {
            throw FrameFailure(
                .tooLarge, "a frame of \(bytes.count) bytes is damaged: the limit is \(maximumFrameBytes)")
        }
        guard bytes.count >= Self.headerBytes + Self.checksumBytes else {
            throw FrameFailure(.length, "\(bytes.count) bytes are too few for a frame: the log is damaged here")
        }
        let end = bytes.count &- Self.checksumBytes
        guard bytes.littleEndianHalfWord(at: end) == crc32c(bytes.extracting(0..<end)) else {
            throw FrameFailure(.checksum, "a frame's checksum does not match its bytes: the log is damaged here")
        }
        let first = bytes.littleEndianWord(at: 0)
        let last = bytes.littleEndianHalfWord(at: 48)
        let flags = UInt8(truncatingIfNeeded: first >> 8)
        guard UInt8(truncatingIfNeeded: first) == Self.formatVersion, flags & ~Flag.known == 0, last >> 24 == 0,
            let kind = EventActor.Kind(rawValue: UInt8(truncatingIfNeeded: first >> 48))
        else {
            throw FrameFailure(
                .unknownFormat,
                "a frame of format \(first & 255) with flags \(flags) and actor \((first >> 48) & 255) was written by a "
                    + "newer version: upgrade")
        }
        type = UInt16(truncatingIfNeeded: first >> 16)
        schemaRevision = UInt16(truncatingIfNeeded: first >> 32)
        actorKind = kind
        actorBytes = Int(first >> 56)
        epoch = Epoch(rawValue: bytes.littleEndianWord(at: 8))
        sequence = LogSequence(rawValue: bytes.littleEndianWord(at: 16))
        time = Timestamp(milliseconds: Int64(bitPattern: bytes.littleEndianWord(at: 24)))
        command = LogSequence(rawValue: bytes.littleEndianWord(at: 32))
        cause = LogSequence(rawValue: bytes.littleEndianWord(at: 40))
        payloadBytes = Int(last & 0xFFFF)
        keyBytes = Int((last >> 16) & 0xFF)
        isDerived = flags & Flag.derived != 0
        isRedacted = flags & Flag.redacted != 0
        hasSubstitute = flags & Flag.substituted != 0
        hasKey = flags & Flag.keyed != 0
        bodyBytes = end &- Self.headerBytes &- actorBytes &- keyBytes
        let isWhole =
            isRedacted
            ? hasSubstitute ? bodyBytes >= Self.redactedPayloadBytes : bodyBytes == Self.redactedPayloadBytes
            : bodyBytes == payloadBytes
        guard isWhole, hasKey || keyBytes == 0, isRedacted || !hasSubstitute else {
            throw FrameFailure(.length, "a frame's lengths do not add up to its size: the log is damaged here")
        }
    }
}
