package import Domain

/// The Merkle tree of BEP 52 (https://www.bittorrent.org/beps/bep_0052.html): SHA-256 over leaves of 16 KiB, the last
/// one not padded; a missing leaf's hash is 32 zero bytes; inner nodes hash their two children.
package enum MerkleTree {
    package static let leafBytes = 16 << 10

    /// What a file's bytes amount to.
    package struct Summary: Hashable, Sendable {
        /// `Digest.zero` for no bytes at all, where BEP 52 has no root.
        package var root: Digest
        /// One hash a piece. A file of at most one piece has its root here, where BEP 52 leaves the layer out.
        package var pieceLayer: [Digest]
    }

    /// The root over a complete piece layer. `pieceLength` is a power of two of at least `leafBytes`.
    package static func root(pieceLayer: [Digest], pieceLength: UInt64) -> Digest {
        guard pieceLayer.count > 1 else { return pieceLayer.first ?? .zero }
        var nodes = pieceLayer.flatMap(\.bytes)
        let padding = emptySubtree(pieceLength: pieceLength).bytes
        for _ in pieceLayer.count..<nextPowerOfTwo(pieceLayer.count) { nodes += padding }
        return reduce(&nodes)
    }

    /// The hash of one piece. `isOnlyPiece`: the file has no other, so its leaves are padded to the next power of two
    /// only; a last piece among several is padded to the whole piece. Bytes beyond a piece have no hash: `.zero`.
    package static func pieceHash(_ piece: [UInt8], pieceLength: UInt64, isOnlyPiece: Bool) -> Digest {
        guard piece.count <= pieceLength else { return .zero }
        var hasher = MerkleHasher(pieceLength: pieceLength)
        hasher.update(piece)
        return hasher.lastPiece(isOnly: isOnlyPiece) ?? .zero
    }

    /// The hash of a piece's subtree whose leaves are all missing.
    static func emptySubtree(pieceLength: UInt64) -> Digest {
        var nodes = [UInt8](repeating: 0, count: Int(pieceLength) / leafBytes * 32)
        return reduce(&nodes)
    }

    /// The root over `nodes`: a power of two of 32-byte hashes, overwritten on the way.
    static func reduce(_ nodes: inout [UInt8]) -> Digest {
        var count = nodes.count / 32
        return unsafe nodes.withUnsafeMutableBytes { bytes in
            while count > 1 {
                count /= 2
                for index in 0..<count {
                    let children = unsafe UnsafeRawBufferPointer(rebasing: bytes[(index * 64)..<(index * 64 + 64)])
                    unsafe hash(children, into: .init(rebasing: bytes[(index * 32)..<(index * 32 + 32)]))
                }
            }
            return unsafe loadDigest(UnsafeRawBufferPointer(bytes), at: 0)
        }
    }

    static func nextPowerOfTwo(_ count: Int) -> Int {
        var power = 1
        while power < count { power *= 2 }
        return power
    }
}

/// Builds a file's piece layer from its bytes in order, in chunks of any size, holding one piece's leaf hashes.
package struct MerkleHasher: Sendable {
    private let leavesPerPiece: Int
    private let pieceLength: UInt64
    /// 32 bytes a whole leaf of the current piece. Invariant: fewer than `leavesPerPiece` between calls.
    private var leaves: [UInt8] = []
    private var leaf = ContentHasher()
    /// Bytes in the current leaf. Invariant: below `MerkleTree.leafBytes` between calls.
    private var leafCount = 0
    /// The hashes of the whole pieces so far.
    package private(set) var pieces: [Digest] = []

    /// `pieceLength` is a power of two of at least `MerkleTree.leafBytes`.
    package init(pieceLength: UInt64) {
        precondition(pieceLength >= MerkleTree.leafBytes && pieceLength & (pieceLength - 1) == 0)
        self.pieceLength = pieceLength
        leavesPerPiece = Int(pieceLength) / MerkleTree.leafBytes
        leaves.reserveCapacity(leavesPerPiece * 32)
    }

    package mutating func update(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            let part = unsafe rest.prefix(MerkleTree.leafBytes - leafCount)
            unsafe leaf.update(UnsafeRawBufferPointer(rebasing: part))
            leafCount += unsafe part.count
            unsafe rest = rest.dropFirst(part.count)
            if leafCount == MerkleTree.leafBytes { endLeaf() }
        }
    }

    private mutating func endLeaf() {
        leaves += leaf.finalize().bytes
        leaf = ContentHasher()
        leafCount = 0
        guard leaves.count == leavesPerPiece * 32 else { return }
        pieces.append(MerkleTree.reduce(&leaves))
        leaves.removeAll(keepingCapacity: true)
    }

    /// The hash of the piece that is not whole yet; of the one whole piece when there is nothing else; nil when there
    /// is none.
    func lastPiece(isOnly: Bool) -> Digest? {
        var nodes = leaves
        if leafCount > 0 { nodes += leaf.finalize().bytes }
        guard !nodes.isEmpty else { return pieces.last }
        let width = isOnly ? MerkleTree.nextPowerOfTwo(nodes.count / 32) : leavesPerPiece
        nodes += [UInt8](repeating: 0, count: width * 32 - nodes.count)
        return MerkleTree.reduce(&nodes)
    }

    /// The whole file's summary.
    package func finalize() -> MerkleTree.Summary {
        var layer = pieces
        if !leaves.isEmpty || leafCount > 0, let last = lastPiece(isOnly: pieces.isEmpty) { layer.append(last) }
        return .init(root: MerkleTree.root(pieceLayer: layer, pieceLength: pieceLength), pieceLayer: layer)
    }
}
