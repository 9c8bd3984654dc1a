import Codec
package import Domain

/// What a log amounts to at the end of one of its batches, as kept in a file (`Schemas/formats.md`, "Snapshots"): a
/// start goes on from there instead of from the first event. The log stays the truth: a snapshot can always be thrown
/// away.
package struct StateSnapshot: Hashable, Sendable {
    package var position: LogPosition
    /// Of the reducers that made the state.
    package var fingerprint: UInt64
    /// The time of the last frame.
    package var lastTime: Timestamp
    /// Informative events of unknown types so far.
    package var unknownEvents: UInt64
    /// The state's canonical bytes.
    package var state: [UInt8]
    /// Their SHA-256.
    package var digest: Digest

    private static let magic = Array("drover state v1\n".utf8)
    static let headerBytes = 148

    package init(
        position: LogPosition, fingerprint: UInt64, lastTime: Timestamp, unknownEvents: UInt64, state: [UInt8],
        digest: Digest
    ) {
        (self.position, self.fingerprint, self.lastTime) = (position, fingerprint, lastTime)
        (self.unknownEvents, self.state, self.digest) = (unknownEvents, state, digest)
    }

    /// The file's bytes before the state's own.
    package var header: [UInt8] {
        var bytes = Self.magic
        for word in [position.log.high, position.log.low] { bytes.append(littleEndian: word.byteSwapped) }
        bytes.append(littleEndian: position.epoch.rawValue)
        bytes.append(littleEndian: position.sequence.rawValue)
        bytes.append(contentsOf: position.chain.bytes)
        bytes.append(littleEndian: fingerprint)
        bytes.append(littleEndian: UInt64(bitPattern: lastTime.milliseconds))
        bytes.append(littleEndian: unknownEvents)
        bytes.append(littleEndian: UInt64(state.count))
        bytes.append(contentsOf: digest.bytes)
        bytes.append(littleEndian: crc32c(bytes.span))
        return bytes
    }

    /// Where a file's head says that its log was. Fails where the head is not as it was written.
    static func position(header bytes: [UInt8]) throws(SnapshotProblem) -> LogPosition {
        guard bytes.count >= headerBytes, bytes.starts(with: magic.dropLast(2)) else {
            throw SnapshotProblem("it is no snapshot of a state, or cut short")
        }
        guard bytes.starts(with: magic) else { throw SnapshotProblem("a newer version of Drover wrote it") }
        let header = bytes.span.extracting(first: headerBytes)
        guard header.littleEndianHalfWord(at: 144) == crc32c(header.extracting(first: 144)) else {
            throw SnapshotProblem("its head does not match its checksum")
        }
        return LogPosition(
            log: LogIdentity(
                high: header.littleEndianWord(at: 16).byteSwapped, low: header.littleEndianWord(at: 24).byteSwapped),
            epoch: Epoch(rawValue: header.littleEndianWord(at: 32)),
            sequence: LogSequence(rawValue: header.littleEndianWord(at: 40)), chain: digest(header, at: 48))
    }

    /// Reads a file's bytes. Nothing of a file that differs in one bit from what was written is believed.
    package init(_ bytes: [UInt8]) throws(SnapshotProblem) {
        position = try Self.position(header: bytes)
        let header = bytes.span.extracting(first: Self.headerBytes)
        let count = header.littleEndianWord(at: 104)
        guard count == UInt64(bytes.count - Self.headerBytes) else {
            throw SnapshotProblem("it has \(bytes.count - Self.headerBytes) bytes of state instead of \(count)")
        }
        fingerprint = header.littleEndianWord(at: 80)
        lastTime = Timestamp(milliseconds: Int64(bitPattern: header.littleEndianWord(at: 88)))
        unknownEvents = header.littleEndianWord(at: 96)
        digest = Self.digest(header, at: 112)
        state = Array(bytes[Self.headerBytes...])
        guard StateCodec.hash(state) == digest else { throw SnapshotProblem("its state does not match its hash") }
    }

    private static func digest(_ bytes: borrowing Span<UInt8>, at offset: Int) -> Digest {
        Digest(
            words: bytes.littleEndianWord(at: offset).byteSwapped, bytes.littleEndianWord(at: offset + 8).byteSwapped,
            bytes.littleEndianWord(at: offset + 16).byteSwapped, bytes.littleEndianWord(at: offset + 24).byteSwapped)
    }
}

/// Why a snapshot is of no use here: half a sentence.
package struct SnapshotProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
