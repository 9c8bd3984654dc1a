import Codec
import Domain

/// One row of `batches`: what a commit brought, and the chain's hash after it. Its key is the last sequence.
struct BatchRow: Hashable {
    static let bytes = 56
    private static let checksumOffset = 52

    let first: UInt64
    let last: UInt64
    let epoch: UInt64
    let chain: Digest

    var count: Int { Int(clamping: last &- first &+ 1) }

    var key: [UInt8] { bigEndianBytes(last) }

    /// The value's bytes; the checksum at their end covers the key too.
    var value: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: first)
        bytes.append(littleEndian: epoch)
        bytes.append(contentsOf: chain.bytes)
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: count))
        bytes.append(littleEndian: Self.checksum(key: key.span, value: bytes.span))
        return bytes
    }

    init(first: UInt64, last: UInt64, epoch: UInt64, chain: Digest) {
        (self.first, self.last, self.epoch, self.chain) = (first, last, epoch, chain)
    }

    /// Nil when the bytes are not a row that belongs under this key.
    init?(key: borrowing Span<UInt8>, value: borrowing Span<UInt8>) {
        guard let last = bigEndianNumber(key), value.count == Self.bytes,
            value.littleEndianHalfWord(at: Self.checksumOffset)
                == Self.checksum(key: key, value: value.extracting(0..<Self.checksumOffset))
        else { return nil }
        self.last = last
        first = value.littleEndianWord(at: 0)
        epoch = value.littleEndianWord(at: 8)
        chain = Digest(
            words: value.littleEndianWord(at: 16).byteSwapped, value.littleEndianWord(at: 24).byteSwapped,
            value.littleEndianWord(at: 32).byteSwapped, value.littleEndianWord(at: 40).byteSwapped)
        guard first >= 1, first <= last, value.littleEndianHalfWord(at: 48) == last - first + 1 else { return nil }
    }

    func position(in log: LogIdentity) -> LogPosition {
        LogPosition(log: log, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: last), chain: chain)
    }

    private static func checksum(key: borrowing Span<UInt8>, value: borrowing Span<UInt8>) -> UInt32 {
        var checksum = CRC32C()
        checksum.feed(key)
        checksum.feed(value)
        return checksum.value
    }
}

/// A sequence as a key: big-endian, so that LMDB's byte order is the order of numbers.
func bigEndianBytes(_ number: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
}

/// Nil unless there are eight bytes.
func bigEndianNumber(_ key: borrowing Span<UInt8>) -> UInt64? {
    key.count == 8 ? key.littleEndianWord(at: 0).byteSwapped : nil
}
