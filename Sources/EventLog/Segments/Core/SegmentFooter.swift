import Codec
package import Domain

/// The last bytes of a segment: what it holds, and the checksum over all of it (`Schemas/formats.md`).
package struct SegmentFooter: Hashable, Sendable {
    package static let bytes = 128
    static let magic = Array("DRVSEG1\n".utf8)
    static let checksumOffset = bytes - 4

    package var name: SegmentName
    /// The chain's hash before the first batch.
    package var before: Digest
    /// What the zstd frame unpacks to.
    package var contentBytes: UInt64
    /// What the zstd frame takes.
    package var packedBytes: UInt64
    package var batches: UInt32

    /// Without the checksum, which covers the whole file.
    var unsealed: [UInt8] {
        var bytes = bigEndianBytes(name.log.high) + bigEndianBytes(name.log.low)
        bytes.append(littleEndian: name.first.rawValue)
        bytes.append(littleEndian: name.last.rawValue)
        bytes.append(littleEndian: name.end.epoch.rawValue)
        bytes += before.bytes
        bytes += name.end.chain.bytes
        bytes.append(littleEndian: contentBytes)
        bytes.append(littleEndian: packedBytes)
        bytes.append(littleEndian: batches)
        return bytes
    }

    init(name: SegmentName, before: Digest, contentBytes: UInt64, packedBytes: UInt64, batches: UInt32) {
        (self.name, self.before, self.batches) = (name, before, batches)
        (self.contentBytes, self.packedBytes) = (contentBytes, packedBytes)
    }

    /// Reads what stands before the checksum; nil unless there are exactly a footer's bytes and they make sense.
    package init?(_ bytes: borrowing Span<UInt8>) {
        guard bytes.count == Self.bytes else { return nil }
        func digest(_ offset: Int, _ bytes: borrowing Span<UInt8>) -> Digest {
            Digest(
                words: bytes.littleEndianWord(at: offset).byteSwapped,
                bytes.littleEndianWord(at: offset + 8).byteSwapped,
                bytes.littleEndianWord(at: offset + 16).byteSwapped,
                bytes.littleEndianWord(at: offset + 24).byteSwapped)
        }
        let log = LogIdentity(
            high: bytes.littleEndianWord(at: 0).byteSwapped, low: bytes.littleEndianWord(at: 8).byteSwapped)
        let first = LogSequence(rawValue: bytes.littleEndianWord(at: 16))
        let end = LogPosition(
            log: log, epoch: Epoch(rawValue: bytes.littleEndianWord(at: 32)),
            sequence: LogSequence(rawValue: bytes.littleEndianWord(at: 24)), chain: digest(72, bytes))
        (name, before) = (SegmentName(first: first, end: end), digest(40, bytes))
        (contentBytes, packedBytes) = (bytes.littleEndianWord(at: 104), bytes.littleEndianWord(at: 112))
        batches = bytes.littleEndianHalfWord(at: 120)
        guard first > .zero, first <= end.sequence, batches > 0 else { return nil }
    }
}
