import Domain
import Foundation
import Testing

@testable import Packs

/// Our trees and metainfo, and those that libtorrent's own creator makes of the same files.
@Suite(.serialized) struct LibtorrentTests {
    private let workshop: Workshop
    private let script: String

    init() throws {
        workshop = try Workshop()
        script = try workshop.write(Array(Self.creator.utf8), "creator.py")
        try Libtorrent.require()
    }

    private static let pieceLengths = [16 << 10, 64 << 10, 256 << 10]

    /// Every border of a leaf and of a piece, and one byte beside it.
    private static var borders: [Int] {
        let edges = [16 << 10, 32 << 10, 48 << 10, 64 << 10, 128 << 10, 192 << 10, 256 << 10, 512 << 10, 1 << 20]
        return [0, 1] + Set(edges.flatMap { [$0 - 1, $0, $0 + 1] }).sorted()
    }

    @Test func agreesAtEveryBorder() throws {
        for size in Self.borders { try compare(size: size, pieceLengths: Self.pieceLengths, seed: UInt64(size)) }
    }

    @Test func agreesOnRandomSizes() throws {
        let seed = propertySeed("agreesOnRandomSizes")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<12 {
            let size = Int.random(in: 2...3_000_000, using: &generator)
            try compare(size: size, pieceLengths: Self.pieceLengths, seed: seed)
        }
    }

    /// The longest piece that a manifest may have, and its borders.
    @Test(arguments: [16 << 20 - 1, 16 << 20, 16 << 20 + 1, 40 << 20 + 12345]) func agreesOnTheLongestPieces(
        size: Int
    ) throws {
        try compare(size: size, pieceLengths: [Int(PieceLength.maximum)], seed: UInt64(size))
    }

    /// Whole packs, by their manifests.
    @Test(arguments: [0, 1, 16 << 10, 65_000, 65_536, 300_000]) func agreesOnAPack(rawBytes: Int) throws {
        var generator = SeededGenerator(seed: UInt64(rawBytes))
        let pack = try PackedFile(generator.mixture(rawBytes), settings: PackSettings())
        let metainfo = pack.manifest.metainfo()
        try workshop.write(pack.workshop.read("pack"), metainfo.name)
        #expect(try theirs(of: [metainfo]) == [Self.line(metainfo)])
    }

    /// The comparison can fail: one other byte in the last piece, or another piece length.
    @Test func anotherFileIsSeen() throws {
        var bytes = [UInt8](repeating: 7, count: 70_000)
        func ours(_ pieceLength: UInt64) -> Metainfo {
            var hasher = MerkleHasher(pieceLength: pieceLength)
            hasher.update(bytes)
            return Metainfo(
                name: "file", length: UInt64(bytes.count), pieceLength: pieceLength, summary: hasher.finalize())
        }
        try workshop.write(bytes, "file")
        #expect(try theirs(of: [ours(65_536)]) == [Self.line(ours(65_536))])
        #expect(try theirs(of: [ours(65_536)]) != [Self.line(ours(32_768))])
        bytes[69_999] = 8
        #expect(try theirs(of: [ours(65_536)]) != [Self.line(ours(65_536))])
    }

    private func compare(size: Int, pieceLengths: [Int], seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed ^ UInt64(size))
        let block = generator.noise(min(size, 1_000_003))
        var bytes = block
        while bytes.count < size { bytes += block.prefix(size - bytes.count) }
        try workshop.write(bytes, "file")
        let ours = pieceLengths.map { pieceLength in
            var hasher = MerkleHasher(pieceLength: UInt64(pieceLength))
            hasher.update(bytes)
            return Metainfo(
                name: "file", length: UInt64(size), pieceLength: UInt64(pieceLength), summary: hasher.finalize())
        }
        let theirs = try theirs(of: ours)
        try #require(theirs.count == ours.count)
        for (their, our) in zip(theirs, ours) {
            // A layer's digits are no message.
            let isSame = their == Self.line(our)
            #expect(isSame, "size \(size), piece \(our.pieceLength), seed \(seed)")
        }
    }

    /// What libtorrent says, in the form of `line`: the infohash of its own torrent of the file, the one that it reads
    /// from ours, and its own root and layer.
    private func theirs(of ours: [Metainfo]) throws -> [String] {
        var arguments = [script, workshop.file(ours[0].name)]
        for metainfo in ours {
            let torrent = try workshop.write(metainfo.bytes, "\(metainfo.pieceLength).torrent")
            arguments += [String(metainfo.pieceLength), torrent]
        }
        let (status, output) = try run(Libtorrent.python, arguments)
        try #require(status == 0)
        return String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// libtorrent knows no torrent of an empty file alone: it is asked for the root of one beside another file.
    private static func line(_ metainfo: Metainfo) -> String {
        guard metainfo.length > 0 else { return "none none none none" }
        let layer = metainfo.length > metainfo.pieceLength ? metainfo.summary.pieceLayer.map(\.hex).joined() : "none"
        return "\(metainfo.infohash.hex) \(metainfo.infohash.hex) \(metainfo.summary.root.hex) \(layer)"
    }

    private static let creator = """
        import libtorrent as lt, os, sys, warnings
        warnings.simplefilter("ignore")
        path = sys.argv[1]
        folder, name = os.path.split(path)
        empty = os.path.getsize(path) == 0
        if empty:
            folder = path + ".folder"
            os.makedirs(folder + "/both", exist_ok=True)
            open(folder + "/both/" + name, "wb").close()
            with open(folder + "/both/other", "wb") as other: other.write(b"x")
            path = folder + "/both"
        for piece, ours in zip(sys.argv[2::2], sys.argv[3::2]):
            files = lt.file_storage()
            lt.add_files(files, path)
            torrent = lt.create_torrent(files, int(piece), lt.create_torrent.v2_only)
            torrent.set_priv(True)
            lt.set_piece_hashes(torrent, folder)
            entry = torrent.generate()
            root = entry[b"info"][b"file tree"][os.fsencode(name)][b""].get(b"pieces root")
            layer = entry[b"piece layers"].get(root)
            hashes = [lt.torrent_info(each).info_hashes().v2.to_bytes() for each in ([] if empty else [entry, ours])]
            print(*[each.hex() if each else "none" for each in (hashes or [None, None]) + [root, layer]])
        """
}

/// Debian's python3-libtorrent, which these tests must have.
enum Libtorrent {
    static let python = "/usr/bin/python3"

    static func require() throws {
        let isThere = try? run(python, ["-c", "import libtorrent"]).status == 0
        try #require(
            isThere == true,
            "\(python) has no libtorrent: run tools/packages test (or apt-get install python3-libtorrent)")
    }
}
