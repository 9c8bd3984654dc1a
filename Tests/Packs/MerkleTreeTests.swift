import Crypto
import Domain
import Foundation
import Testing

@testable import Packs

struct MerkleTreeTests {
    private static let leaf = 16 << 10

    /// BEP 52 as a recursion over leaf hashes, sharing nothing with the room's own code.
    private func naive(_ bytes: [UInt8], pieceLength: Int) -> (root: [UInt8], layer: [[UInt8]]) {
        var leaves = stride(from: 0, to: bytes.count, by: Self.leaf).map { start in
            Array(SHA256.hash(data: bytes[start..<min(start + Self.leaf, bytes.count)]))
        }
        if leaves.isEmpty { return ([UInt8](repeating: 0, count: 32), []) }
        let isOnePiece = bytes.count <= pieceLength
        let perPiece = pieceLength / Self.leaf
        var width = 1
        while width < (isOnePiece ? leaves.count : max(leaves.count, perPiece)) { width *= 2 }
        let pieces = (leaves.count + perPiece - 1) / perPiece
        while leaves.count < width { leaves.append([UInt8](repeating: 0, count: 32)) }
        func tree(_ part: ArraySlice<[UInt8]>) -> [UInt8] {
            guard part.count > 1 else { return part[part.startIndex] }
            let middle = part.startIndex + part.count / 2
            return Array(SHA256.hash(data: tree(part[..<middle]) + tree(part[middle...])))
        }
        let root = tree(leaves[...])
        let layer =
            isOnePiece ? [root] : (0..<pieces).map { tree(leaves[($0 * perPiece)..<($0 * perPiece + perPiece)]) }
        return (root, layer)
    }

    private static let pieceLengths = [16 << 10, 64 << 10, 256 << 10]
    private static var sizes: [Int] {
        let edges = [0, leaf, 2 * leaf, 3 * leaf, 64 << 10, 128 << 10, 192 << 10, 256 << 10, 512 << 10, 1 << 20]
        return Set(edges.flatMap { [$0 - 1, $0, $0 + 1] }.filter { $0 >= 0 }).sorted()
    }

    @Test(arguments: sizes) func agreesWithANaiveTreeAtEveryBorder(size: Int) {
        var generator = SeededGenerator(seed: UInt64(size))
        let bytes = generator.noise(size)
        for pieceLength in Self.pieceLengths {
            let expected = naive(bytes, pieceLength: pieceLength)
            var hasher = MerkleHasher(pieceLength: UInt64(pieceLength))
            hasher.update(bytes)
            let summary = hasher.finalize()
            #expect(summary.root.bytes == expected.root, "size \(size), piece \(pieceLength)")
            #expect(summary.pieceLayer.map(\.bytes) == expected.layer, "size \(size), piece \(pieceLength)")
        }
    }

    @Test func chunksAndPiecesMakeNoDifference() {
        let seed = propertySeed("chunksAndPiecesMakeNoDifference")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let bytes = generator.noise(Int.random(in: 0...700_000, using: &generator))
            let pieceLength = UInt64(Self.pieceLengths.randomElement(using: &generator) ?? Self.leaf)
            let expected = naive(bytes, pieceLength: Int(pieceLength))
            var (hasher, rest) = (MerkleHasher(pieceLength: pieceLength), bytes[...])
            while !rest.isEmpty {
                let part = rest.prefix(Int.random(in: 1...100_000, using: &generator))
                hasher.update(Array(part))
                rest = rest.dropFirst(part.count)
            }
            #expect(hasher.finalize().root.bytes == expected.root, "seed \(seed)")
            for (index, hash) in expected.layer.enumerated() {
                let piece = Array(bytes.dropFirst(index * Int(pieceLength)).prefix(Int(pieceLength)))
                let own = MerkleTree.pieceHash(piece, pieceLength: pieceLength, isOnlyPiece: expected.layer.count == 1)
                #expect(own.bytes == hash, "seed \(seed), piece \(index)")
            }
        }
    }

    @Test func bytesBeyondAPieceHaveNoHash() {
        let piece = [UInt8](repeating: 1, count: 64 << 10)
        let hash = MerkleTree.pieceHash(piece, pieceLength: 64 << 10, isOnlyPiece: false)
        #expect(hash != .zero)
        #expect(MerkleTree.pieceHash([0] + piece, pieceLength: 64 << 10, isOnlyPiece: false) == .zero)
        #expect(MerkleTree.pieceHash(piece + piece, pieceLength: 64 << 10, isOnlyPiece: false) == .zero)
    }

    @Test func pieceLengthIsTheSmallestThatGivesAThousandPieces() {
        #expect(PieceLength.forRawLength(0) == 64 << 10)
        #expect(PieceLength.forRawLength(64 << 20) == 64 << 10)
        #expect(PieceLength.forRawLength(64 << 20 + 1) == 128 << 10)
        #expect(PieceLength.forRawLength(10_000_000_000) == 16 << 20)
        #expect(PieceLength.forRawLength(16 << 30) == 16 << 20)
        #expect(PieceLength.forRawLength(1 << 40) == 16 << 20)
    }
}
