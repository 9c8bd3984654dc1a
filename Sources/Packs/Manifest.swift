package import Domain
internal import Glibc

/// What is known of a pack before packing starts.
package struct PackFacts: Hashable, Sendable {
    package var app: AppName
    package var build: BuildID
    package var attempt: AttemptNumber
    /// 40 or 64 lowercase hexadecimal digits.
    package var commit: String
    package var repository: String
    package var rawLength: UInt64
    package var segmentLength: UInt64
    /// Bytes of a piece of the packed form.
    package var pieceLength: UInt64
    package var zstdVersion: String
    package var zstdLevel: Int32
    package var run: RunSettings

    package init(
        app: AppName, build: BuildID, attempt: AttemptNumber, commit: String, repository: String, rawLength: UInt64,
        segmentLength: UInt64, pieceLength: UInt64, zstdVersion: String, zstdLevel: Int32, run: RunSettings
    ) {
        (self.app, self.build, self.attempt, self.commit) = (app, build, attempt, commit)
        (self.repository, self.rawLength, self.segmentLength) = (repository, rawLength, segmentLength)
        (self.pieceLength, self.zstdVersion, self.zstdLevel, self.run) = (pieceLength, zstdVersion, zstdLevel, run)
    }

    package var segmentCount: UInt64 { PackLimits.segmentCount(rawBytes: rawLength, segmentBytes: segmentLength) }

    /// How many raw bytes the segment with this index holds.
    package func rawLength(ofSegment index: Int) -> UInt64 {
        min(segmentLength, rawLength - min(rawLength, UInt64(index) * segmentLength))
    }
}

/// One segment: `segmentLength` raw bytes (fewer in the last one) as one zstd frame at `offset` of the pack.
package struct PackSegment: Hashable, Sendable {
    package var rawLength: UInt64
    package var rawDigest: Digest
    package var packedLength: UInt64
    package var offset: UInt64

    package init(rawLength: UInt64, rawDigest: Digest, packedLength: UInt64, offset: UInt64) {
        (self.rawLength, self.rawDigest) = (rawLength, rawDigest)
        (self.packedLength, self.offset) = (packedLength, offset)
    }
}

/// Where a build came from.
package struct PackProvenance: Hashable, Sendable {
    package var worker: WorkerName
    package var region: RegionName
    package var builtAt: Timestamp
    package var recipe: Digest
    package var buildCommand: String

    package init(worker: WorkerName, region: RegionName, builtAt: Timestamp, recipe: Digest, buildCommand: String) {
        (self.worker, self.region, self.builtAt) = (worker, region, builtAt)
        (self.recipe, self.buildCommand) = (recipe, buildCommand)
    }
}

/// What is known of a pack when it is whole.
package struct PackTotals: Hashable, Sendable {
    /// SHA-256 over the segments' raw digests, 32 bytes each, in order.
    package var rawDigest: Digest
    package var packedLength: UInt64
    /// BEP 52's root over the packed bytes.
    package var root: Digest
    package var provenance: PackProvenance
}

/// A pack that is still growing: what its manifest says so far. The manifest's bytes start with the draft's.
package struct PackDraft: Hashable, Sendable {
    package var facts: PackFacts
    package var segments: [PackSegment] = []
    /// Hashes of the pieces whose bytes are packed.
    package var pieces: [Digest] = []
    /// Bytes packed so far.
    package var packedLength: UInt64 = 0

    package init(facts: PackFacts) { self.facts = facts }

    package var isWhole: Bool { UInt64(segments.count) == facts.segmentCount }

    /// How many pieces' bytes are packed; the last piece counts when it is whole or nothing follows it.
    package var knownPieces: UInt64 {
        isWhole ? quotientRoundedUp(packedLength, facts.pieceLength) : packedLength / facts.pieceLength
    }
}

/// Everything a peer must know of a pack to fetch, verify and run it.
///
/// Its bytes are lines of canonical JSON; `Schemas/formats.md` describes them. Values of this type are consistent:
/// lengths add up, the root follows from the pieces and the raw digest from the segments.
package struct Manifest: Hashable, Sendable {
    package let facts: PackFacts
    package let segments: [PackSegment]
    /// One hash a piece of the packed bytes.
    package let pieces: [Digest]
    package let totals: PackTotals
    /// All lines but the signature's.
    package let unsignedBytes: [UInt8]
    /// Nil as long as the control plane has not signed. Present is not verified: see `verify`.
    package let signature: ManifestSignature?

    init(draft: PackDraft, totals: PackTotals, unsignedBytes: [UInt8], signature: ManifestSignature?) {
        (facts, segments, pieces) = (draft.facts, draft.segments, draft.pieces)
        (self.totals, self.unsignedBytes, self.signature) = (totals, unsignedBytes, signature)
    }

    package static let formatVersion: UInt64 = 1

    package var run: RunSettings { facts.run }
    package var pieceLength: UInt64 { facts.pieceLength }

    /// All lines, the signature's too where there is one.
    package var bytes: [UInt8] { unsignedBytes + (signature?.line ?? []) }

    /// What names this manifest: SHA-256 over all its bytes, the signature's line included.
    package var digest: Digest { ContentHasher.digest(bytes) }

    /// Where a piece stands in the packed bytes; nil when there is no such piece.
    package func pieceRange(_ index: Int) -> Range<UInt64>? {
        guard pieces.indices.contains(index) else { return nil }
        let start = UInt64(index) * pieceLength
        return start..<min(start + pieceLength, totals.packedLength)
    }

    /// Whether these bytes are the piece with this index.
    package func isPiece(_ bytes: [UInt8], _ index: Int) -> Bool {
        guard let range = pieceRange(index), UInt64(bytes.count) == range.upperBound - range.lowerBound else {
            return false
        }
        let hash = MerkleTree.pieceHash(bytes, pieceLength: pieceLength, isOnlyPiece: pieces.count == 1)
        return hash == pieces[index]
    }
}

extension Manifest {
    /// Writes a manifest's bytes to a path: whole and durable there, or not at all.
    package static func store(_ bytes: [UInt8], at path: String) throws(PackFailure) {
        let temporary = "\(path).new"
        do throws(PackFailure) {
            let file = try OpenFile.open(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(bytes, at: 0)
            try file.synchronize()
            try OpenFile.move(temporary, to: path)
        } catch {
            OpenFile.remove(temporary)
            throw error
        }
        try OpenFile.synchronizeDirectory(of: path)
    }
}
