package import Domain
internal import Glibc

/// What a patch says of itself: which file it needs, which one it gives, and where each segment's entry stands.
///
/// `Schemas/formats.md` describes the bytes. A value read from a file is consistent in itself: its checksum is right
/// and the entries fill the file.
package struct PatchHeader: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var length: UInt64
        /// SHA-256 of the entry's bytes.
        package var digest: Digest
    }

    package var base: RawIdentity
    package var target: RawIdentity
    /// One a segment of the target.
    package var entries: [Entry] = []

    static let magic = Array("drover-patch-v1\n".utf8)
    private static let identityBytes = 48
    static let fixedBytes = magic.count + 2 * identityBytes
    private static let entryBytes = 40
    private static let checksumBytes = 32

    init(base: RawIdentity, target: RawIdentity) { (self.base, self.target) = (base, target) }

    /// How long the header of a patch with so many segments is.
    static func length(segments: Int) -> UInt64 { UInt64(fixedBytes + segments * entryBytes + checksumBytes) }

    var length: UInt64 { Self.length(segments: entries.count) }

    /// The whole patch.
    package var patchBytes: UInt64 { entries.reduce(length) { $0 + $1.length } }
}

extension PatchHeader {
    var bytes: [UInt8] {
        var bytes = Self.magic
        for identity in [base, target] {
            bytes += identity.digest.bytes
            Self.append(identity.length, to: &bytes)
            Self.append(identity.segmentLength, to: &bytes)
        }
        for entry in entries {
            Self.append(entry.length, to: &bytes)
            bytes += entry.digest.bytes
        }
        return bytes + ContentHasher.digest(bytes).bytes
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    static func read(_ file: OpenFile) throws(PackFailure) -> PatchHeader {
        let length = try file.regularLength()
        guard length >= Self.length(segments: 1) else { throw damaged(file.path, "is too short for a patch") }
        let start = try file.read(count: fixedBytes, at: 0)
        guard start.starts(with: magic) else { throw damaged(file.path, "is not a patch of a known format") }
        var header = PatchHeader(base: identity(start, at: magic.count), target: identity(start, at: magic.count + 48))
        try header.checkLimits(file.path)
        let count = Int(header.target.segmentCount)
        guard count <= PatchLimits.maximumSegments, length >= Self.length(segments: count) else {
            throw damaged(file.path, "is shorter than its header")
        }
        let rows = try file.read(count: count * entryBytes + checksumBytes, at: UInt64(fixedBytes))
        for index in 0..<count {
            header.entries.append(
                Entry(length: number(rows, at: index * entryBytes), digest: digest(rows, at: index * entryBytes + 8)))
        }
        guard ContentHasher.digest(start + rows.dropLast(checksumBytes)).bytes == Array(rows.suffix(checksumBytes))
        else {
            throw damaged(file.path, "has a header with a wrong checksum")
        }
        try header.checkEntries(file.path, fileLength: length)
        return header
    }

    private func checkLimits(_ path: String) throws(PackFailure) {
        for identity in [base, target] {
            guard identity.length <= PackLimits().maximumRawBytes,
                (PackLimits.minimumSegmentBytes...PackLimits.maximumSegmentBytes).contains(identity.segmentLength)
            else { throw Self.damaged(path, "names files that are out of range") }
        }
        guard target.segmentLength <= PatchLimits.maximumSegmentBytes else {
            throw Self.damaged(path, "has segments above the limit of \(PatchLimits.maximumSegmentBytes) bytes")
        }
    }

    private func checkEntries(_ path: String, fileLength: UInt64) throws(PackFailure) {
        var end = length
        for (index, entry) in entries.enumerated() {
            let limit = PatchEntry.maximumBytes(segment: target.length(ofSegment: index))
            guard entry.length > 0, entry.length <= UInt64(limit) else {
                throw Self.damaged(path, "has an entry of \(entry.length) bytes for segment \(index)")
            }
            end += entry.length
        }
        guard end == fileLength else { throw Self.damaged(path, "has \(fileLength) bytes, its header says \(end)") }
    }

    private static func identity(_ bytes: [UInt8], at offset: Int) -> RawIdentity {
        RawIdentity(
            digest: digest(bytes, at: offset), length: number(bytes, at: offset + 32),
            segmentLength: number(bytes, at: offset + 40))
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        bytes[offset..<(offset + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func digest(_ bytes: [UInt8], at offset: Int) -> Digest {
        Digest(bytes: bytes[offset..<(offset + 32)]) ?? .zero
    }

    private static func damaged(_ path: String, _ what: String) -> PackFailure {
        PackFailure(.damaged, "the patch \(path) \(what); fetch it again, or the whole pack")
    }
}
