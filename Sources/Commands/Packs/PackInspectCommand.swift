import ArgumentParser
import Domain
import Foundation
import Packs
import Swarm

struct PackInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say what a manifest says of its pack, and whether the pack is so.",
        discussion: """
            PATH is a manifest, or a pack with its manifest beside it (`create` makes both). With the pack there every \
            piece is compared; --trust checks the signature against a key. Exit 1 when anything is not as it should be.
            """)

    @Argument(help: "A manifest or a pack.") var path: String
    @Option(help: ArgumentHelp("The release key that must have signed it: hexadecimal, or a file.", valueName: "key"))
    var trust: String?
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
        struct Segment: Encodable {
            var offset: UInt64
            var packedBytes: UInt64
            var rawBytes: UInt64
            var rawDigest: Digest

            enum CodingKeys: String, CodingKey {
                case offset
                case packedBytes = "packed_bytes"
                case rawBytes = "raw_bytes"
                case rawDigest = "raw_digest"
            }
        }

        var pack: String
        var attempt: AttemptNumber
        var commit: String
        var rawBytes: UInt64
        var packedBytes: UInt64
        var rawDigest: Digest
        var root: Digest
        var manifestDigest: Digest
        var pieceBytes: UInt64
        var pieces: Int
        var zstd: String
        var segments: [Segment]
        /// What names it to BitTorrent clients.
        var infohash: Digest
        var signedBy: String?
        /// Whether the pack beside it was compared and is what the manifest says; null when it is not there.
        var sound: Bool?

        enum CodingKeys: String, CodingKey {
            case pack, attempt, commit, root, pieces, zstd, segments, infohash, sound
            case rawBytes = "raw_bytes"
            case packedBytes = "packed_bytes"
            case rawDigest = "raw_digest"
            case manifestDigest = "manifest_digest"
            case pieceBytes = "piece_bytes"
            case signedBy = "signed_by"
        }
    }

    func run() async throws {
        let files = ManifestFile(path)
        try await reportingPackFailures {
            let manifest = try files.read(trust: trust)
            let pack = files.pack.flatMap { FileManager.default.fileExists(atPath: $0) ? $0 : nil }
            if let pack { try verify(pack, manifest) }
            try tell(manifest, isSound: pack == nil ? nil : true)
        }
    }

    private func verify(_ pack: String, _ manifest: Manifest) throws {
        let line = ProgressLine()
        defer { line.end() }
        try PackReader(path: pack, manifest: manifest).verifyPacked { done in
            guard Terminal.showsProgress else { return }
            line.show("comparing \(ProgressLine.bar(done, of: manifest.totals.packedLength))")
        }
    }

    private func tell(_ manifest: Manifest, isSound: Bool?) throws {
        let (facts, totals) = (manifest.facts, manifest.totals)
        let report = Report(
            pack: manifest.name.description, attempt: facts.attempt, commit: facts.commit, rawBytes: facts.rawLength,
            packedBytes: totals.packedLength, rawDigest: totals.rawDigest, root: totals.root,
            manifestDigest: manifest.digest, pieceBytes: facts.pieceLength, pieces: manifest.pieces.count,
            zstd: "\(facts.zstdVersion) level \(facts.zstdLevel)",
            segments: manifest.segments.map {
                Report.Segment(
                    offset: $0.offset, packedBytes: $0.packedLength, rawBytes: $0.rawLength,
                    rawDigest: $0.rawDigest)
            },
            infohash: manifest.metainfo().infohash, signedBy: manifest.signature?.keyID, sound: isSound)
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say("pack       \(report.pack), commit \(facts.commit.prefix(12))")
        Terminal.say("raw        \(readable(bytes: facts.rawLength)), \(totals.rawDigest)")
        Terminal.say("packed     \(readable(bytes: totals.packedLength)), root \(totals.root), \(report.zstd)")
        Terminal.say("pieces     \(report.pieces) of \(readable(bytes: facts.pieceLength))")
        Terminal.say("infohash   \(report.infohash)")
        Terminal.say("signed by  \(report.signedBy ?? "nobody")")
        Terminal.say("bytes      \(isSound == true ? "all as the manifest says" : "not here, not compared")")
        var table = Table(["segment", "offset", "packed", "raw", "raw digest"])
        for (index, segment) in manifest.segments.enumerated() {
            table.add([
                "\(index)", "\(segment.offset)", readable(bytes: segment.packedLength),
                readable(bytes: segment.rawLength), String(segment.rawDigest.hex.prefix(16)),
            ])
        }
        table.show(emptyNote: "no segments")
    }
}

/// A manifest, and where the pack beside it stands if the name says so.
struct ManifestFile {
    let path: String
    let pack: String?

    /// `path`: a manifest, or a pack with its manifest beside it.
    init(_ path: String) {
        guard let ending = [".pack", ".manifest"].first(where: path.hasSuffix) else {
            (self.path, pack) = (path, nil)
            return
        }
        let base = path.dropLast(ending.count)
        (self.path, pack) = ("\(base).manifest", "\(base).pack")
    }

    /// With `trust`, its signature is verified.
    func read(trust: String?) throws -> Manifest {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandStop(.refused, "drover: there is no manifest at \(path)")
        }
        guard let trust else { return try Manifest.decode([UInt8](data)) }
        return try Manifest.verify([UInt8](data), trustedKeys: [try trustedKey(trust)])
    }
}

/// A release key's public half: 64 hexadecimal digits, or a file that holds them.
func trustedKey(_ text: String) throws -> [UInt8] {
    let told = FileManager.default.fileExists(atPath: text) ? try String(contentsOfFile: text, encoding: .utf8) : text
    guard let key = bytesFromHex(told.trimmingCharacters(in: .whitespacesAndNewlines)), key.count == 32 else {
        throw CommandStop(
            .refused, "drover: \(text) is no release key: give 64 hexadecimal digits, or a file with them")
    }
    return key
}
