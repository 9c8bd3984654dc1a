import Domain

/// The bytes may still be the message, but not as Drover writes it: SwiftProtobuf says what they are.
struct Unusual: Error {}

/// Reads a message's fields from first to last, as SwiftProtobuf writes them: ascending, each at most once, and nothing
/// else. Whatever it takes, SwiftProtobuf takes for the same; whatever is otherwise is `Unusual`.
struct WireFields {
    private var place: Int
    private let end: Int

    /// The whole of a payload.
    init(_ bytes: borrowing Span<UInt8>) { (place, end) = (0, bytes.count) }

    private init(_ range: Range<Int>) { (place, end) = (range.lowerBound, range.upperBound) }

    mutating func number(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> UInt64 {
        takes(field << 3, bytes) ? try varint(bytes) : 0
    }

    mutating func smallNumber(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> UInt32 {
        let number = try number(field, bytes)
        guard number <= UInt32.max else { throw Unusual() }
        return UInt32(truncatingIfNeeded: number)
    }

    /// A `sint32`.
    mutating func signedNumber(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> Int32 {
        let number = try smallNumber(field, bytes)
        return Int32(bitPattern: number >> 1) ^ -Int32(bitPattern: number & 1)
    }

    mutating func flag(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> Bool {
        let number = try number(field, bytes)
        guard number <= 1 else { throw Unusual() }
        return number == 1
    }

    mutating func value<Message: WireEnum>(
        _ field: UInt8, _ bytes: borrowing Span<UInt8>, of: Message.Type
    ) throws(Unusual) -> Message.Value where Message.RawValue == Int {
        let number = try number(field, bytes)
        guard number < 0x80, let value = Message(rawValue: Int(number))?.value else { throw Unusual() }
        return value
    }

    mutating func text(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> String {
        guard takes(field << 3 | 2, bytes) else { return "" }
        return try Self.text(bytes.extracting(try range(bytes)))
    }

    mutating func name<Name: NameIdentifier>(
        _ field: UInt8, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> Name {
        guard takes(field << 3 | 2, bytes) else { throw Unusual() }
        let name = bytes.extracting(try range(bytes))
        guard isPlainName(name) else { throw Unusual() }
        return Name(unchecked: try Self.text(name))
    }

    mutating func digest(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> Digest {
        guard takes(field << 3 | 2, bytes) else { throw Unusual() }
        let digest = bytes.extracting(try range(bytes))
        guard digest.count == 32 else { throw Unusual() }
        return Digest(
            words: digest.littleEndianWord(at: 0).byteSwapped, digest.littleEndianWord(at: 8).byteSwapped,
            digest.littleEndianWord(at: 16).byteSwapped, digest.littleEndianWord(at: 24).byteSwapped)
    }

    /// A log's identity: 16 bytes.
    mutating func identity(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> LogIdentity {
        guard takes(field << 3 | 2, bytes) else { throw Unusual() }
        let identity = bytes.extracting(try range(bytes))
        guard identity.count == 16 else { throw Unusual() }
        return LogIdentity(
            high: identity.littleEndianWord(at: 0).byteSwapped, low: identity.littleEndianWord(at: 8).byteSwapped)
    }

    mutating func revision(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> Revision {
        var inner = try message(field, bytes)
        let revision = Revision(
            epoch: Epoch(rawValue: try inner.number(1, bytes)), number: try inner.number(2, bytes))
        try inner.finish()
        return revision
    }

    mutating func pack(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> UploadedPack {
        var inner = try message(field, bytes)
        let pack = UploadedPack(
            manifest: try inner.digest(1, bytes), region: try inner.name(2, bytes),
            rawBytes: try inner.number(3, bytes), packedBytes: try inner.number(4, bytes))
        try inner.finish()
        return pack
    }

    /// A number whose absence is not zero.
    mutating func optionalNumber(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> UInt64? {
        takes(field << 3, bytes) ? try varint(bytes) : nil
    }

    mutating func commit(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> CommitID {
        guard takes(field << 3 | 2, bytes), let commit = CommitID(bytes.extracting(try range(bytes))) else {
            throw Unusual()
        }
        return commit
    }

    mutating func optionalMessage(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> WireFields? {
        takes(field << 3 | 2, bytes) ? WireFields(try range(bytes)) : nil
    }

    /// The fields of a message that must be there.
    mutating func message(_ field: UInt8, _ bytes: borrowing Span<UInt8>) throws(Unusual) -> WireFields {
        guard takes(field << 3 | 2, bytes) else { throw Unusual() }
        return WireFields(try range(bytes))
    }

    /// There must be nothing more.
    func finish() throws(Unusual) {
        guard place == end else { throw Unusual() }
    }

    /// Whether this tag is next; then it is passed.
    private mutating func takes(_ tag: UInt8, _ bytes: borrowing Span<UInt8>) -> Bool {
        guard place < end, bytes[place] == tag else { return false }
        place += 1
        return true
    }

    /// Below 2^63: at most nine bytes.
    private mutating func varint(_ bytes: borrowing Span<UInt8>) throws(Unusual) -> UInt64 {
        var (value, shift) = (UInt64(0), UInt64(0))
        while place < end, shift < 63 {
            let byte = bytes[place]
            place += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Unusual()
    }

    /// Where a field of its own length lies.
    private mutating func range(_ bytes: borrowing Span<UInt8>) throws(Unusual) -> Range<Int> {
        let length = try varint(bytes)
        guard length <= UInt64(end - place) else { throw Unusual() }
        let start = place
        place += Int(length)
        return start..<place
    }

    private static func text(_ bytes: Span<UInt8>) throws(Unusual) -> String {
        do {
            return String(copying: try UTF8Span(validating: bytes))
        } catch {
            throw Unusual()
        }
    }
}
