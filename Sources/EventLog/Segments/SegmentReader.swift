import Codec
package import Domain
package import Ports

/// A segment's bytes read back: nothing is given that its checksums and its chain do not prove.
package struct SegmentReader {
    package let footer: SegmentFooter
    private let bytes: [UInt8]

    /// Checks the file as a whole: its form, its checksum, and that it is the segment that its name says. Fails with
    /// `damaged`, naming the segment.
    package init(_ bytes: [UInt8], name: SegmentName) throws(StoreFailure) {
        let magic = SegmentFooter.magic
        guard bytes.count >= magic.count + SegmentFooter.bytes, bytes.starts(with: magic) else {
            throw Self.damage(name, "it is no segment of a format that this version knows, or was cut off")
        }
        let footerStart = bytes.count - SegmentFooter.bytes
        guard
            bytes.span.littleEndianHalfWord(at: bytes.count - 4)
                == crc32c(bytes.span.extracting(0..<bytes.count - 4)),
            let footer = SegmentFooter(bytes.span.extracting(footerStart..<bytes.count)),
            footer.packedBytes == UInt64(footerStart - magic.count)
        else { throw Self.damage(name, "its checksum does not match its bytes") }
        guard footer.name == name else {
            throw Self.damage(name, "it holds \(footer.name): put it back under its own name")
        }
        (self.bytes, self.footer) = (bytes, footer)
    }

    /// Gives the batches that follow a position, in order; returns the position at the end.
    ///
    /// Fails with `damaged` where one does not follow what is before it, after those that do.
    package func batches(
        after position: LogPosition, _ body: (StoredBatch) throws -> Void
    ) throws -> LogPosition {
        guard footer.name.first == position.sequence.next, footer.name.log == position.log,
            footer.before == position.chain
        else {
            throw Self.damage(
                footer.name,
                "it does not follow sequence \(position.sequence) of log \(position.log): a segment is "
                    + "missing, out of order, or of another history")
        }
        let unpacker = try SegmentUnpacker(bytes, SegmentFooter.magic.count..<bytes.count - SegmentFooter.bytes)
        var parser = SegmentParser(after: position)
        while !unpacker.isOver {
            if let problem = unpacker.next(into: &parser.waiting) { throw Self.damage(footer.name, problem) }
            while let batch = try next(&parser) { try body(batch) }
            parser.forgetTaken()
        }
        guard parser.waiting.isEmpty, parser.end == footer.name.end, parser.batches == footer.batches,
            parser.contentBytes == footer.contentBytes
        else { throw Self.damage(footer.name, "it does not hold the batches that its footer counts") }
        return parser.end
    }

    private func next(_ parser: inout SegmentParser) throws(StoreFailure) -> StoredBatch? {
        do throws(StoreFailure) { return try parser.next() } catch {
            throw error.code == "damaged" ? Self.damage(footer.name, error.message) : error
        }
    }

    private static func damage(_ name: SegmentName, _ what: String) -> StoreFailure {
        StoreFailure(
            code: "damaged", message: "the segment \(name) is damaged: \(what)", outcome: .damaged)
    }
}

/// Batches out of a segment's content, of which pieces come one after the other.
private struct SegmentParser {
    /// What has come and is not taken yet, behind what is.
    var waiting: [UInt8] = []
    private var taken = 0
    private(set) var end: LogPosition
    private(set) var batches: UInt32 = 0
    private(set) var contentBytes: UInt64 = 0

    init(after position: LogPosition) { end = position }

    /// The next batch; nil until more content has come.
    mutating func next() throws(StoreFailure) -> StoredBatch? {
        guard waiting.count >= taken + 4 else { return nil }
        let count = Int(waiting.span.littleEndianHalfWord(at: taken))
        var (offset, bytes, ends) = (taken + 4, [UInt8](), [Int]())
        for _ in 0..<count {
            guard waiting.count >= offset + 2 else { return nil }
            let size = Int(waiting[offset]) | Int(waiting[offset + 1]) << 8
            guard waiting.count >= offset + 2 + size else { return nil }
            bytes.append(contentsOf: waiting[offset + 2..<offset + 2 + size])
            ends.append(bytes.count)
            offset += 2 + size
        }
        let batch = try StoredBatch(after: end, bytes: bytes, ends: ends)
        (end, batches, contentBytes) = (batch.end, batches + 1, contentBytes + UInt64(offset - taken))
        taken = offset
        return batch
    }

    /// Moving what is left costs as much as it has bytes: once a piece, not once a batch.
    mutating func forgetTaken() {
        waiting.removeFirst(taken)
        taken = 0
    }
}
