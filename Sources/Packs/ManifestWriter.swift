internal import Domain

/// Writes a manifest line by line as a pack grows; what is written is never changed.
struct ManifestWriter {
    private(set) var draft: PackDraft
    private(set) var bytes: [UInt8]

    init(_ facts: PackFacts, limits: PackLimits) throws(PackFailure) {
        try facts.validate(limits: limits)
        draft = PackDraft(facts: facts)
        bytes = CanonicalLine.encode(FactsLine(facts))
    }

    /// Adds a segment whose packed bytes are stored, and the hashes of the pieces that are whole with it.
    mutating func append(_ segment: PackSegment, pieces: ArraySlice<Digest>) {
        bytes += CanonicalLine.encode(
            SegmentLine(
                digest: segment.rawDigest, offset: segment.offset, packed: segment.packedLength,
                raw: segment.rawLength))
        draft.segments.append(segment)
        draft.packedLength += segment.packedLength
        append(pieces: pieces)
    }

    private mutating func append(pieces: ArraySlice<Digest>) {
        var rest = pieces
        while !rest.isEmpty {
            let part = rest.prefix(PackLimits.maximumPieceHashesPerLine)
            bytes += CanonicalLine.encode(PiecesLine(hashes: part.map(\.hex).joined()))
            rest = rest.dropFirst(part.count)
        }
        draft.pieces += pieces
    }

    /// The unsigned manifest. `summary` covers all packed bytes.
    mutating func finish(
        _ summary: MerkleTree.Summary, _ provenance: PackProvenance, limits: PackLimits
    ) throws(PackFailure) -> Manifest {
        append(pieces: summary.pieceLayer[draft.pieces.count...])
        bytes += CanonicalLine.encode(
            EndLine(
                buildCommand: provenance.buildCommand, builtAt: provenance.builtAt, packedLength: draft.packedLength,
                rawDigest: rawDigest(of: draft.segments), recipe: provenance.recipe, region: provenance.region,
                root: summary.root, worker: provenance.worker))
        return try Manifest.decode(bytes, limits: limits)
    }
}
