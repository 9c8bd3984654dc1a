package import Domain

/// A pack as BitTorrent v2 names it (BEP 52, https://www.bittorrent.org/beps/bep_0052.html): what a `.torrent` file
/// holds. A stock client fetches the packed bytes with it from the web seeds (BEP 19) and proves each piece.
///
/// It is private (BEP 27): a build is nothing to tell a public table of. All of `info` follows from the packed bytes,
/// the app and the build's number, so everybody who makes it from one manifest makes the same infohash.
package struct Metainfo: Hashable, Sendable {
    /// The file that a client makes, `fileName`. The ending is zstd's, which unpacks it.
    package let name: String
    package let length: UInt64
    /// A power of two of at least `MerkleTree.leafBytes`.
    package let pieceLength: UInt64
    package let summary: MerkleTree.Summary
    /// URLs of the packed bytes. One that ends in a slash is a folder with the file of this name in it; libtorrent 2.0
    /// takes every one for a folder, because it adds a pad to the last piece and so counts two files.
    package var webSeeds: [String]

    init(
        name: String, length: UInt64, pieceLength: UInt64, summary: MerkleTree.Summary, webSeeds: [String] = []
    ) {
        (self.name, self.length, self.pieceLength) = (name, length, pieceLength)
        (self.summary, self.webSeeds) = (summary, webSeeds)
    }

    package static func fileName(of app: AppName, _ build: BuildID) -> String { "\(app)-\(build).zst" }

    /// SHA-256 of `info`: what names the torrent in v2, whatever its web seeds.
    package var infohash: Digest { ContentHasher.digest(info.encoded) }

    /// The file's bytes.
    package var bytes: [UInt8] {
        var entries = ["info": info, "piece layers": .dictionary(pieceLayers)]
        if !webSeeds.isEmpty { entries["url-list"] = .list(webSeeds.map(Bencoding.text)) }
        return Bencoding.dictionary(text: entries).encoded
    }

    var info: Bencoding {
        var file: [String: Bencoding] = ["length": .number(length)]
        if length > 0 { file["pieces root"] = .bytes(summary.root.bytes) }
        return .dictionary(text: [
            "file tree": .dictionary(text: [name: .dictionary(text: ["": .dictionary(text: file)])]),
            "meta version": .number(2), "name": .text(name), "piece length": .number(pieceLength),
            "private": .number(1),
        ])
    }

    /// Only a file of more than one piece has its layer here.
    private var pieceLayers: [[UInt8]: Bencoding] {
        guard length > pieceLength else { return [:] }
        return [summary.root.bytes: .bytes(summary.pieceLayer.flatMap(\.bytes))]
    }
}

extension Manifest {
    /// What BitTorrent clients are told of this pack. `webSeeds`: absolute URLs, http or https.
    package func metainfo(webSeeds: [String] = []) -> Metainfo {
        Metainfo(
            name: Metainfo.fileName(of: facts.app, facts.build), length: totals.packedLength, pieceLength: pieceLength,
            summary: MerkleTree.Summary(root: totals.root, pieceLayer: pieces), webSeeds: webSeeds)
    }
}
