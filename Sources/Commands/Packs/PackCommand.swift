import ArgumentParser
import Domain
import Foundation
import Packs
import Ports
import Swarm

struct PackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pack",
        abstract: "Make, serve, fetch and look at packs by hand.",
        discussion: """
            What regions and peers do with packs, without a control plane: `create` on one machine, `serve` there, `fetch` \
            on any number of others, which give each other what they have.
            """,
        subcommands: [
            PackCreateCommand.self, PackServeCommand.self, PackFetchCommand.self, PackInspectCommand.self,
            PackTorrentCommand.self, PackPatchCommand.self,
        ])
}

struct PackCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Pack one file: compressed in segments, hashed in pieces, signed.",
        discussion: """
            Makes DIR/APP/NUMBER.pack and DIR/APP/NUMBER.manifest. The manifest is signed with --key, else with a new key \
            kept in DIR (release-key; its public half, which `fetch --trust` takes, in release-key.pub).
            """)

    @Argument(help: "A regular file.") var file: String
    @Option(help: ArgumentHelp("The directory of packs; made if it is not there.", valueName: "dir")) var output: String
    @Option(help: ArgumentHelp("The pack's name (default: the file's, as far as it is one).", valueName: "name"))
    var app: AppName?
    @Option(help: ArgumentHelp("The pack's number (default: the app's next).", valueName: "n")) var number: JobID?
    @Option(help: ArgumentHelp("The commit it was built from: 40 or 64 hexadecimal digits.", valueName: "commit"))
    var commit = String(repeating: "0", count: 40)
    @Option(help: ArgumentHelp("The release key to sign with, instead of DIR's own.", valueName: "file"))
    var key: String?
    @Option(help: "zstd's level, -100 to 19.") var level: Int32 = PackSettings().zstdLevel
    @Option(help: "Segments compressed at once.") var threads = ProcessInfo.processInfo.activeProcessorCount
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        guard PackLimits.zstdLevels.contains(level) else { throw ValidationError("--level is -100 to 19") }
        guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
        guard CommitID(commit.utf8Span.span) != nil else {
            throw ValidationError("--commit is 40 or 64 hexadecimal digits")
        }
    }

    func run() async throws {
        let directory = PackDirectory(path: output)
        let app = try app ?? nameOfFile()
        try await reportingPackFailures {
            try FileManager.default.createDirectory(atPath: "\(output)/\(app)", withIntermediateDirectories: true)
            let signer = try ReleaseKey.loadOrCreate(path: key ?? directory.key)
            let name = PackName(app: app, build: number ?? directory.nextBuild(of: app))
            guard !FileManager.default.fileExists(atPath: directory.manifest(name)) else {
                throw CommandStop(
                    .refused, "drover: \(output) has \(name) already: leave out --number, or choose another")
            }
            let line = ProgressLine()
            defer { line.end() }
            let manifest = try pack(name, to: directory, signer, line)
            line.end()
            try tell(manifest, directory, signer)
        }
    }

    /// The manifest is written last: a pack without one is not a pack yet.
    private func pack(
        _ name: PackName, to directory: PackDirectory, _ signer: ReleaseKey, _ line: ProgressLine
    ) throws -> Manifest {
        var settings = PackSettings()
        (settings.zstdLevel, settings.compressionThreads) = (level, threads)
        let request = PackRequest(
            app: name.app, build: name.build, attempt: AttemptNumber(rawValue: 1), commit: commit, repository: file,
            run: RunSettings(), provenance: Self.provenance)
        let unsigned = try PackWriter(settings: settings).pack(
            artifact: file, to: directory.pack(name), request
        ) { progress in
            guard Terminal.showsProgress else { return }
            let bar = ProgressLine.bar(progress.rawBytes, of: progress.totalRawBytes)
            line.show("packing \(bar) \(readable(bytes: progress.rawBytes))")
        }
        let signed = try Manifest.sign(unsigned.bytes, signer: signer)
        try Manifest.store(signed, at: directory.manifest(name))
        try Data((hexadecimal(signer.publicKey) + "\n").utf8).write(
            to: URL(fileURLWithPath: "\(directory.key).pub"), options: .atomic)
        return try Manifest.decode(signed)
    }

    private static var provenance: PackProvenance {
        PackProvenance(
            worker: WorkerName(unchecked: "by-hand"), region: RegionName(unchecked: "none"),
            builtAt: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)), recipe: .zero,
            buildCommand: "")
    }

    private func nameOfFile() throws -> AppName {
        let name = URL(fileURLWithPath: file).lastPathComponent.lowercased().map { letter in
            letter.isASCII && (letter.isLetter || letter.isNumber) ? letter : "-"
        }
        guard let app = AppName(rawValue: String(name.drop { $0 == "-" }.prefix(64))) else {
            throw CommandStop(.refused, "drover: \(file) gives no name for the pack: name it with --app")
        }
        return app
    }

    private struct Report: Encodable {
        var pack: String
        var manifest: String
        var rawBytes: UInt64
        var packedBytes: UInt64
        var pieces: Int
        var root: Digest
        var key: String

        enum CodingKeys: String, CodingKey {
            case pack, manifest, pieces, root, key
            case rawBytes = "raw_bytes"
            case packedBytes = "packed_bytes"
        }
    }

    private func tell(_ manifest: Manifest, _ directory: PackDirectory, _ signer: ReleaseKey) throws {
        let report = Report(
            pack: directory.pack(manifest.name), manifest: directory.manifest(manifest.name),
            rawBytes: manifest.facts.rawLength, packedBytes: manifest.totals.packedLength,
            pieces: manifest.pieces.count, root: manifest.totals.root, key: hexadecimal(signer.publicKey))
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say(
            "\(report.pack): \(manifest.name), \(readable(bytes: report.rawBytes)) in "
                + "\(readable(bytes: report.packedBytes)), \(report.pieces) pieces")
        Terminal.complain("serve it: drover pack serve \(output) --insecure")
    }
}

extension Manifest {
    var name: PackName { PackName(app: facts.app, build: facts.build) }
}
