import Domain

/// Writes a message's fields, ascending, as SwiftProtobuf does: what is zero or empty is left out.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(Self.usualBytes) }

    /// Most hot events take less.
    private static let usualBytes = 128

    mutating func number(_ field: UInt8, _ value: UInt64) {
        if value != 0 { optionalNumber(field, value) }
    }

    mutating func number(_ field: UInt8, _ value: some NumericIdentifier) { number(field, value.rawValue) }

    /// A number whose absence is not zero.
    mutating func optionalNumber(_ field: UInt8, _ value: UInt64) {
        bytes.append(field << 3)
        varint(value)
    }

    /// A `sint32`.
    mutating func signedNumber(_ field: UInt8, _ value: Int32) {
        number(field, UInt64(UInt32(bitPattern: value &<< 1 ^ value &>> 31)))
    }

    mutating func value<Message: WireEnum>(
        _ field: UInt8, _ value: Message.Value, as: Message.Type
    ) where Message.RawValue == Int {
        number(field, UInt64(Message(value).rawValue))
    }

    mutating func text(_ field: UInt8, _ text: String) {
        guard !text.isEmpty else { return }
        let utf8 = text.utf8
        bytes.append(field << 3 | 2)
        varint(UInt64(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    mutating func text(_ field: UInt8, _ name: some NameIdentifier) { text(field, name.rawValue) }

    mutating func digest(_ field: UInt8, _ digest: Digest) {
        bytes.append(field << 3 | 2)
        bytes.append(32)
        for word in [digest.word0, digest.word1, digest.word2, digest.word3] { append(bigEndian: word) }
    }

    /// A log's identity.
    mutating func identity(_ field: UInt8, _ identity: LogIdentity) {
        bytes.append(field << 3 | 2)
        bytes.append(16)
        append(bigEndian: identity.high)
        append(bigEndian: identity.low)
    }

    /// Also where it is empty.
    mutating func message(_ field: UInt8, _ body: (inout WireWriter) -> Void) {
        bytes.append(field << 3 | 2)
        let place = bytes.count
        bytes.append(0)
        body(&self)
        // Nearly always below 128: one byte for the length.
        var length = bytes.count - place - 1
        var end = place
        while length >= 0x80 {
            bytes[end] = UInt8(truncatingIfNeeded: length) | 0x80
            length >>= 7
            end += 1
            bytes.insert(0, at: end)
        }
        bytes[end] = UInt8(truncatingIfNeeded: length)
    }

    mutating func revision(_ field: UInt8, _ revision: Revision) {
        message(field) { inner in
            inner.number(1, revision.epoch)
            inner.number(2, revision.number)
        }
    }

    mutating func pack(_ field: UInt8, _ pack: UploadedPack) {
        message(field) { inner in
            inner.digest(1, pack.manifest)
            inner.text(2, pack.region)
            inner.number(3, pack.rawBytes)
            inner.number(4, pack.packedBytes)
        }
    }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    private mutating func append(bigEndian word: UInt64) {
        var shift: UInt64 = 64
        while shift > 0 {
            shift -= 8
            bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
    }
}
