internal import Domain

extension Manifest {
    /// Reads a whole manifest, signed or not. Total: any bytes give a manifest that is consistent in itself, or a
    /// failure. The signature is not checked; see `verify`.
    package static func decode(
        _ bytes: [UInt8], limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> Manifest {
        let (unsigned, signature) = try ManifestSignature.split(bytes, limits: limits)
        let reader = try ManifestReader(unsigned, limits: limits)
        guard let totals = reader.totals else { throw invalidManifest("it has no end line, so it is a draft") }
        return Manifest(
            draft: reader.draft, totals: totals, unsignedBytes: Array(unsigned), signature: signature)
    }
}

extension PackDraft {
    /// Reads a manifest's first lines, signed or not; a whole manifest is its own last draft.
    package static func decode(
        _ bytes: [UInt8], limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> PackDraft {
        let (unsigned, _) = try ManifestSignature.split(bytes, limits: limits)
        return try ManifestReader(unsigned, limits: limits).draft
    }
}

/// Takes the unsigned lines one after the other; each must fit all before it.
struct ManifestReader {
    private(set) var draft: PackDraft
    private(set) var totals: PackTotals?
    private var number = 1

    init(_ bytes: ArraySlice<UInt8>, limits: PackLimits) throws(PackFailure) {
        guard bytes.last == CanonicalLine.newline else { throw invalidManifest("it is cut off inside a line") }
        var rest = bytes
        draft = PackDraft(facts: try Self.facts(Self.nextLine(&rest), limits: limits))
        while !rest.isEmpty {
            number += 1
            try take(Self.nextLine(&rest))
        }
    }

    /// The bytes up to the next newline, with it. The last byte is a newline, so there is one.
    private static func nextLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let end = rest.firstIndex(of: CanonicalLine.newline) ?? rest.endIndex - 1
        let line = rest[...end]
        rest = rest[(end + 1)...]
        return line
    }

    private mutating func take(_ line: ArraySlice<UInt8>) throws(PackFailure) {
        guard totals == nil else { throw invalidManifest("line \(number) follows the end line") }
        switch CanonicalLine.kind(line) {
        case "segment": try take(try CanonicalLine.decode(SegmentLine.self, line, number: number))
        case "pieces": try take(try CanonicalLine.decode(PiecesLine.self, line, number: number))
        case "end": try take(try CanonicalLine.decode(EndLine.self, line, number: number))
        case let kind: throw invalidManifest("line \(number) is of unknown kind \(kind.prefix(32))")
        }
    }

    private static func facts(_ line: ArraySlice<UInt8>, limits: PackLimits) throws(PackFailure) -> PackFacts {
        guard CanonicalLine.kind(line) == "pack" else { throw invalidManifest("it does not start with a pack line") }
        let decoded = try CanonicalLine.decode(FactsLine.self, line, number: 1)
        guard decoded.format == Manifest.formatVersion else {
            throw invalidManifest("it has format \(decoded.format), known is \(Manifest.formatVersion)")
        }
        let facts = try decoded.facts()
        try facts.validate(limits: limits)
        return facts
    }

    private mutating func take(_ line: SegmentLine) throws(PackFailure) {
        guard !draft.isWhole else { throw invalidManifest("it has more segments than its raw length") }
        let index = draft.segments.count
        guard line.raw == draft.facts.rawLength(ofSegment: index) else {
            throw invalidManifest("segment \(index) has the wrong raw length")
        }
        guard line.offset == draft.packedLength else { throw invalidManifest("segment \(index) leaves a gap") }
        guard line.packed > 0, line.packed <= PackLimits.maximumPackedBytes(rawBytes: line.raw) else {
            throw invalidManifest("segment \(index) has an impossible packed length")
        }
        // Bounded by the raw length's limit: no overflow.
        draft.packedLength += line.packed
        draft.segments.append(
            PackSegment(rawLength: line.raw, rawDigest: line.digest, packedLength: line.packed, offset: line.offset))
    }

    private mutating func take(_ line: PiecesLine) throws(PackFailure) {
        guard let bytes = bytesFromHex(line.hashes), hexadecimal(bytes) == line.hashes, !bytes.isEmpty,
            bytes.count.isMultiple(of: 32), bytes.count / 32 <= PackLimits.maximumPieceHashesPerLine
        else { throw invalidManifest("line \(number) does not hold piece hashes") }
        for start in stride(from: 0, to: bytes.count, by: 32) {
            draft.pieces.append(contentsOf: Digest(bytes: bytes[start..<(start + 32)]).map { [$0] } ?? [])
        }
        guard UInt64(draft.pieces.count) <= draft.knownPieces else {
            throw invalidManifest("line \(number) has hashes of pieces that are not packed yet")
        }
    }

    private mutating func take(_ line: EndLine) throws(PackFailure) {
        guard draft.isWhole else { throw invalidManifest("segments are missing") }
        guard UInt64(draft.pieces.count) == draft.knownPieces else { throw invalidManifest("piece hashes are missing") }
        guard line.packedLength == draft.packedLength else { throw invalidManifest("the packed length is wrong") }
        guard line.rawDigest == rawDigest(of: draft.segments) else { throw invalidManifest("the raw digest is wrong") }
        let root = MerkleTree.root(pieceLayer: draft.pieces, pieceLength: draft.facts.pieceLength)
        guard line.root == root else { throw invalidManifest("the root does not follow from the pieces") }
        guard line.buildCommand.utf8.count <= PackLimits.maximumTextBytes else {
            throw invalidManifest("the build command is too long")
        }
        let provenance = PackProvenance(
            worker: line.worker, region: line.region, builtAt: line.builtAt, recipe: line.recipe,
            buildCommand: line.buildCommand)
        totals = PackTotals(
            rawDigest: line.rawDigest, packedLength: line.packedLength, root: line.root, provenance: provenance)
    }
}

/// A whole file's raw digest: SHA-256 over its segments' digests.
func rawDigest(of segments: [PackSegment]) -> Digest {
    ContentHasher.digest(segments.flatMap(\.rawDigest.bytes))
}

extension PackFacts {
    /// Throws when a reader of this version would refuse the pack.
    func validate(limits: PackLimits) throws(PackFailure) {
        guard rawLength <= limits.maximumRawBytes else {
            throw PackFailure(.tooLarge, "a file of \(rawLength) bytes is above the limit of \(limits.maximumRawBytes)")
        }
        guard (PackLimits.minimumSegmentBytes...PackLimits.maximumSegmentBytes).contains(segmentLength) else {
            throw invalidManifest("its segment length \(segmentLength) is out of range")
        }
        guard pieceLength == PieceLength.forRawLength(rawLength) else {
            throw invalidManifest("its piece length \(pieceLength) does not follow from its raw length")
        }
        guard PackLimits.zstdLevels.contains(zstdLevel), !zstdVersion.isEmpty, zstdVersion.utf8.count <= 32 else {
            throw invalidManifest("its zstd parameters are out of range")
        }
        guard commit.utf8.count == 40 || commit.utf8.count == 64, let bytes = bytesFromHex(commit),
            hexadecimal(bytes) == commit
        else { throw invalidManifest("its commit is not a full commit id") }
        guard repository.utf8.count <= PackLimits.maximumTextBytes, attempt.rawValue > 0, build.rawValue > 0 else {
            throw invalidManifest("its repository, build or attempt is out of range")
        }
        try run.validate()
    }
}
