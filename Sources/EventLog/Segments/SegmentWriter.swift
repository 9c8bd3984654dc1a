import Codec
package import Domain
package import Ports

/// A part of a log in an immutable file.
package struct Segment: Hashable, Sendable {
    package let name: SegmentName
    package let bytes: [UInt8]
    package let contentBytes: UInt64
}

/// Packs whole batches, one behind the other, into a segment, in memory: its frames take 64 MiB at most.
package struct SegmentWriter: ~Copyable {
    package static let maximumContentBytes = 64 << 20
    static let pieceBytes = 1 << 20

    private let before: LogPosition
    private let limit: Int
    private let packer: SegmentPacker
    private var waiting: [UInt8] = []
    private var contentBytes = 0
    private var batches: UInt32 = 0
    /// Where the last batch ends.
    package private(set) var end: LogPosition

    /// A segment that begins behind a position, which is the end of a batch or the log's start.
    package init(
        after position: LogPosition, maximumContentBytes: Int = Self.maximumContentBytes
    ) throws(StoreFailure) {
        (before, end, limit) = (position, position, maximumContentBytes)
        packer = try SegmentPacker(behind: SegmentFooter.magic)
    }

    package var isEmpty: Bool { batches == 0 }

    /// Takes the next batch; false, with nothing taken, when it does not fit any more. The first one always does.
    package mutating func add(_ batch: StoredBatch) throws(StoreFailure) -> Bool {
        precondition(batch.first == end.sequence.next && batch.end.log == end.log, "batches of a segment follow")
        let size = 4 + 2 * batch.ends.count + batch.bytes.count
        guard isEmpty || contentBytes + size <= limit else { return false }
        waiting.append(littleEndian: UInt32(truncatingIfNeeded: batch.ends.count))
        for index in batch.ends.indices {
            let range = batch.range(index)
            waiting.append(littleEndian: UInt16(truncatingIfNeeded: range.count))
            waiting.append(contentsOf: batch.bytes[range])
        }
        (contentBytes, batches, end) = (contentBytes + size, batches + 1, batch.end)
        while waiting.count >= Self.pieceBytes {
            try packer.add(Array(waiting.prefix(Self.pieceBytes)), isLast: false)
            waiting.removeFirst(Self.pieceBytes)
        }
        return true
    }

    /// The segment of everything that was added. At least one batch was.
    package consuming func finish() throws(StoreFailure) -> Segment {
        precondition(!isEmpty, "a segment holds a batch")
        try packer.add(waiting, isLast: true)
        let name = SegmentName(first: before.sequence.next, end: end)
        let footer = SegmentFooter(
            name: name, before: before.chain, contentBytes: UInt64(contentBytes),
            packedBytes: UInt64(packer.packed.count - SegmentFooter.magic.count), batches: batches)
        var bytes = packer.packed + footer.unsealed
        bytes.append(littleEndian: crc32c(bytes.span))
        return Segment(name: name, bytes: bytes, contentBytes: UInt64(contentBytes))
    }
}

extension EventLog {
    private static let segmentFramesAtOnce = 8192

    /// The segment of what follows a position up to another (both ends of batches), as far as it fits in one. `isSealed`
    /// when a batch of the log stood behind and did not fit: the segment that begins there will be this one for ever.
    package func segment(
        after position: LogPosition, upTo last: LogSequence,
        maximumContentBytes: Int = SegmentWriter.maximumContentBytes
    ) throws(StoreFailure) -> (segment: Segment, isSealed: Bool) {
        var writer = try SegmentWriter(after: position, maximumContentBytes: maximumContentBytes)
        while writer.end.sequence < last {
            let room = Int(clamping: last.rawValue - writer.end.sequence.rawValue)
            let batches = try readStored(after: writer.end, maximumFrames: min(room, Self.segmentFramesAtOnce))
            for batch in batches where batch.end.sequence <= last {
                guard try writer.add(batch) else { return (try writer.finish(), true) }
            }
            guard let end = batches.last?.end, end.sequence <= last else {
                throw StoreFailure(
                    code: "forked", message: "no batch of the log in \(directory) ends at sequence \(last)",
                    outcome: .unchanged)
            }
        }
        return (try writer.finish(), false)
    }
}
