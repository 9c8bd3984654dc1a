import Domain
import Foundation
import Testing

@testable import Packs

struct MetainfoTests {
    @Test func bencodingHasOneFormOnly() {
        let value = Bencoding.dictionary([
            [0xff]: .number(0), Array("ab".utf8): .list([.number(.max), .text("é")]), Array("a".utf8): .bytes([]),
            []: .dictionary([:]), Array("B".utf8): .list([]),
        ])
        let expected =
            Array("d0:de1:Ble1:a0:2:abli18446744073709551615e2:é".utf8) + Array("e1:".utf8) + [0xff]
            + Array("i0ee".utf8)
        #expect(value.encoded == expected)
    }

    /// The bytes stay: a torrent that somebody keeps must name what an other server makes of the same manifest.
    @Test func theBytesStay() {
        let (first, second) = (ContentHasher.digest([1]), ContentHasher.digest([2]))
        let root = MerkleTree.root(pieceLayer: [first, second], pieceLength: 65536)
        var metainfo = Metainfo(
            name: "web-7.zst", length: 70000, pieceLength: 65536,
            summary: MerkleTree.Summary(root: root, pieceLayer: [first, second]),
            webSeeds: ["http://a/v1/packs/web/7", "http://b/"])
        func text(_ text: String) -> [UInt8] { Array(text.utf8) }
        let info =
            text("d9:file treed9:web-7.zstd0:d6:lengthi70000e11:pieces root32:") + root.bytes
            + text("eee12:meta versioni2e4:name9:web-7.zst12:piece lengthi65536e7:privatei1ee")
        let layers = text("12:piece layersd32:") + root.bytes + text("64:") + first.bytes + second.bytes + text("e")
        let seeds = text("8:url-listl23:http://a/v1/packs/web/79:http://b/e")
        #expect(metainfo.bytes == text("d4:info") + info + layers + seeds + text("e"))
        #expect(metainfo.infohash == ContentHasher.digest(info))
        metainfo.webSeeds = []
        #expect(metainfo.bytes == text("d4:info") + info + layers + text("e"))
        #expect(metainfo.infohash == ContentHasher.digest(info))
    }

    @Test func onePieceHasNoLayerAndNoBytesHaveNoRoot() {
        func tail(_ length: UInt64) -> String {
            let digest = ContentHasher.digest([1])
            let metainfo = Metainfo(
                name: "x", length: length, pieceLength: 65536,
                summary: MerkleTree.Summary(root: digest, pieceLayer: [digest]))
            return String(decoding: metainfo.bytes, as: UTF8.self)
        }
        #expect(tail(65536).hasSuffix("12:piece layersdee") && tail(65536).contains("11:pieces root32:"))
        #expect(tail(0).hasSuffix("12:piece layersdee") && !tail(0).contains("pieces root"))
    }

    @Test func aManifestNamesItsFileAndItsBytes() throws {
        var generator = SeededGenerator(seed: 3)
        let manifest = try PackedFile(generator.noise(200_000), settings: PackSettings()).manifest
        let metainfo = manifest.metainfo(webSeeds: ["http://h/x"])
        #expect(metainfo.name == "web-42.zst" && metainfo.webSeeds == ["http://h/x"])
        #expect(metainfo.length == manifest.totals.packedLength && metainfo.pieceLength == manifest.pieceLength)
        #expect(metainfo.summary.root == manifest.totals.root && metainfo.summary.pieceLayer == manifest.pieces)
        #expect(metainfo.infohash == manifest.metainfo().infohash)
    }
}
