import ArgumentParser
import Domain
import Foundation
import Packs

struct PackPatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch",
        abstract: "Make, apply and look at patches by hand: what makes one file of another.",
        discussion: """
            A patch between two builds is a small part of a pack. It is a file: `create` packs it like any other, and \
            `serve` and `fetch` move it.
            """,
        subcommands: [PatchCreateCommand.self, PatchApplyCommand.self, PatchInspectCommand.self])
}

struct PatchCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Write what makes TARGET of BASE.",
        discussion: """
            BASE and TARGET are files, or packs (APP/NUMBER.pack with the manifest beside it), which are unpacked beside \
            the patch for as long as it takes.
            """)

    @Argument(help: "The file, or pack, that is there already.") var base: String
    @Argument(help: "The file, or pack, to make of it.") var target: String
    @Option(help: ArgumentHelp("The patch to write.", valueName: "file")) var output: String
    @Option(help: "fast, or thorough: smaller, at many times the processor time.") var level = PatchSettings.Level.fast
    @Option(help: ArgumentHelp("The most memory to use, in MiB.", valueName: "mib"))
    var memory = PatchSettings().memoryBytes >> 20
    @Option(help: "Segments worked on at once.") var threads = ProcessInfo.processInfo.activeProcessorCount
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
        guard (1...(1 << 20)).contains(memory) else { throw ValidationError("--memory is 1 to 1048576 MiB") }
        guard output != base, output != target else { throw ValidationError("--output must be a file of its own") }
    }

    func run() async throws {
        try await reportingPackFailures {
            let line = ProgressLine()
            defer { line.end() }
            let base = try RawSource(base, beside: "\(output).base", line)
            let target = try RawSource(target, beside: "\(output).target", line)
            var settings = PatchSettings()
            (settings.level, settings.threads, settings.memoryBytes) = (level, threads, memory << 20)
            let header = try PatchWriter(settings: settings).write(base: base.side, target: target.side, to: output) {
                guard Terminal.showsProgress else { return }
                let bar = ProgressLine.bar($0.rawBytes, of: $0.totalRawBytes)
                line.show("patching \(bar) \(readable(bytes: $0.rawBytes)) in \(readable(bytes: $0.patchBytes))")
            }
            line.end()
            try tell(header)
        }
    }

    private struct Report: Encodable {
        var patch: String
        var baseBytes: UInt64
        var baseRawDigest: Digest
        var targetBytes: UInt64
        var targetRawDigest: Digest
        var patchBytes: UInt64

        enum CodingKeys: String, CodingKey {
            case patch
            case baseBytes = "base_bytes"
            case baseRawDigest = "base_raw_digest"
            case targetBytes = "target_bytes"
            case targetRawDigest = "target_raw_digest"
            case patchBytes = "patch_bytes"
        }
    }

    private func tell(_ header: PatchHeader) throws {
        let report = Report(
            patch: output, baseBytes: header.base.length, baseRawDigest: header.base.digest,
            targetBytes: header.target.length, targetRawDigest: header.target.digest, patchBytes: header.patchBytes)
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say("\(output): \(header.sizes)")
        Terminal.complain("apply it: drover pack patch apply \(output) --base \(base) --output FILE")
    }
}

extension PatchHeader {
    /// As in `206.9 MB in 1.1 MB, 0.53 %`.
    fileprivate var sizes: String {
        let share = Double(patchBytes) / Double(max(1, target.length)) * 100
        return "\(readable(bytes: target.length)) in \(readable(bytes: patchBytes)), \(String(format: "%.2f", share)) %"
    }
}

extension PatchSettings.Level: ExpressibleByArgument {}

/// A raw file, or a pack unpacked for a while.
private final class RawSource {
    let side: PatchWriter.Side
    private let temporary: String?

    init(_ path: String, beside temporary: String, _ line: ProgressLine) throws {
        guard path.hasSuffix(".pack") else {
            self.temporary = nil
            let identity = try RawIdentity.measure(path: path) {
                guard Terminal.showsProgress else { return }
                line.show("reading \(path) \(readable(bytes: $0))")
            }
            side = PatchWriter.Side(path: path, identity: identity)
            return
        }
        let manifest = try readManifest("\(path.dropLast(5)).manifest")
        try PackReader(path: path, manifest: manifest).unpack(to: temporary) {
            guard Terminal.showsProgress else { return }
            line.show("unpacking \(path) \(ProgressLine.bar($0, of: manifest.facts.rawLength))")
        }
        side = PatchWriter.Side(path: temporary, identity: RawIdentity(manifest))
        self.temporary = temporary
    }

    deinit {
        if let temporary { try? FileManager.default.removeItem(atPath: temporary) }
    }
}

private func readManifest(_ path: String, trust: String? = nil) throws -> Manifest {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw CommandStop(.refused, "drover: there is no manifest at \(path)")
    }
    guard let trust else { return try Manifest.decode([UInt8](data)) }
    return try Manifest.verify([UInt8](data), trustedKeys: [try trustedKey(trust)])
}

struct PatchApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make the target of a patch from its base.",
        discussion: """
            The file appears when all of it is verified: against --manifest, segment by segment, else against what the \
            patch says of its target. Exit 1 when the patch or the base is not as it should be; then fetch the whole pack.
            """)

    @Argument(help: "A patch.") var patch: String
    @Option(help: ArgumentHelp("The raw file that the patch was made against.", valueName: "file")) var base: String
    @Option(help: ArgumentHelp("The file to make.", valueName: "file")) var output: String
    @Option(help: ArgumentHelp("The target's manifest.", valueName: "file")) var manifest: String?
    @Option(help: ArgumentHelp("The release key that must have signed it: hexadecimal, or a file.", valueName: "key"))
    var trust: String?
    @Option(help: "Segments worked on at once.") var threads = ProcessInfo.processInfo.activeProcessorCount
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
        guard trust == nil || manifest != nil else { throw ValidationError("--trust is about a --manifest") }
        guard base != output else { throw ValidationError("--output must not be the base") }
    }

    private struct Report: Encodable {
        var file: String
        var rawBytes: UInt64
        var rawDigest: Digest

        enum CodingKeys: String, CodingKey {
            case file
            case rawBytes = "raw_bytes"
            case rawDigest = "raw_digest"
        }
    }

    func run() async throws {
        try await reportingPackFailures {
            let manifest = try manifest.map { try readManifest($0, trust: trust) }
            let reader = try PatchReader(path: patch)
            let target = reader.header.target
            let line = ProgressLine()
            defer { line.end() }
            try reader.apply(base: base, to: output, manifest: manifest, threads: threads) { done in
                guard Terminal.showsProgress else { return }
                line.show("applying \(ProgressLine.bar(done, of: target.length)) \(readable(bytes: done))")
            }
            line.end()
            guard !json else {
                return try Terminal.say(
                    json: Report(file: output, rawBytes: target.length, rawDigest: target.digest))
            }
            Terminal.say("\(output): \(readable(bytes: target.length)), \(target.digest)")
        }
    }
}

struct PatchInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say what a patch is against, what it gives, and what each segment takes.",
        discussion: "Every entry is compared with its digest. Exit 1 when one differs.")

    @Argument(help: "A patch.") var patch: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
        struct Identity: Encodable {
            var rawBytes: UInt64
            var rawDigest: Digest
            var segmentBytes: UInt64

            enum CodingKeys: String, CodingKey {
                case rawBytes = "raw_bytes"
                case rawDigest = "raw_digest"
                case segmentBytes = "segment_bytes"
            }

            init(_ identity: RawIdentity) {
                (rawBytes, rawDigest, segmentBytes) = (identity.length, identity.digest, identity.segmentLength)
            }
        }

        struct Segment: Encodable {
            var patchBytes: UInt64
            var rawBytes: UInt64
            var windowBytes: Int
            var windowRanges: Int
            var steps: Int
            var freshBytes: Int

            enum CodingKeys: String, CodingKey {
                case steps
                case patchBytes = "patch_bytes"
                case rawBytes = "raw_bytes"
                case windowBytes = "window_bytes"
                case windowRanges = "window_ranges"
                case freshBytes = "fresh_bytes"
            }
        }

        var base: Identity
        var target: Identity
        var patchBytes: UInt64
        var segments: [Segment]

        enum CodingKeys: String, CodingKey {
            case base, target, segments
            case patchBytes = "patch_bytes"
        }
    }

    func run() async throws {
        try await reportingPackFailures {
            let reader = try PatchReader(path: patch)
            let header = reader.header
            let line = ProgressLine()
            defer { line.end() }
            let segments = try header.entries.indices.map { index in
                if Terminal.showsProgress {
                    line.show("comparing \(ProgressLine.bar(UInt64(index), of: UInt64(header.entries.count)))")
                }
                let summary = try reader.summary(ofEntry: index)
                return Report.Segment(
                    patchBytes: header.entries[index].length, rawBytes: UInt64(summary.rawBytes),
                    windowBytes: summary.windowBytes, windowRanges: summary.windowRanges, steps: summary.steps,
                    freshBytes: summary.freshBytes)
            }
            line.end()
            try tell(
                Report(
                    base: .init(header.base), target: .init(header.target), patchBytes: header.patchBytes,
                    segments: segments), header)
        }
    }

    private func tell(_ report: Report, _ header: PatchHeader) throws {
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say("base       \(readable(bytes: report.base.rawBytes)), \(report.base.rawDigest)")
        Terminal.say("target     \(readable(bytes: report.target.rawBytes)), \(report.target.rawDigest)")
        Terminal.say("patch      \(header.sizes); all entries as the header says")
        var table = Table(["segment", "patch", "raw", "window", "ranges", "steps", "fresh"])
        for (index, segment) in report.segments.enumerated() {
            table.add([
                "\(index)", readable(bytes: segment.patchBytes), readable(bytes: segment.rawBytes),
                readable(bytes: UInt64(segment.windowBytes)), "\(segment.windowRanges)", "\(segment.steps)",
                readable(bytes: UInt64(segment.freshBytes)),
            ])
        }
        table.show(emptyNote: "no segments")
    }
}
