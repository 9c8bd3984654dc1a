import ArgumentParser
import Foundation

/// Patches between two versions of a large program, beside what other tools make of them.
struct PatchBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch",
        abstract: "Bytes of a patch, and the processor time of making and applying it, beside zstd and others.",
        discussion: """
            Pairs of files: `relink`, LLVM's and clang's static libraries linked whole twice, the second time with one more \
            function of half a kilobyte in the middle, so that addresses shift everywhere; `rebuild`, the same linked \
            again unchanged; `edits`, 2 % of its 4 KiB blocks replaced and 20 insertions; and any that --pair names. Every \
            patch is applied, and what comes of it compared. About 2 GB of disk.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: ArgumentHelp("One more pair; may be given several times.", valueName: "name=old,new"))
    var pair: [FilePair] = []

    @Option(help: "Only these pairs, by name.")
    var only: [String] = []

    @Flag(help: "bsdiff too: minutes a pair, and memory of 17 times the old file.")
    var bsdiff = false

    private var contenders: [PatchContender] {
        let all = [
            PatchContender.zstd(level: 3), .drover(level: "fast"), .zstd(level: 15), .drover(level: "thorough"),
            .xdelta3,
        ]
        return bsdiff ? all + [.bsdiff] : all
    }

    func run() async throws {
        let workplace = try Workplace(below: options.directory)
        var report = Report("Patches: bytes, and processor time", repetitions: options.repetitions)
        let made = try await FilePair.make(in: workplace)
        for pair in made + pair where only.isEmpty || only.contains(pair.name) {
            report.measurements += try measure(pair, workplace)
            report.notes.append("\(pair.name): \(pair.newBytes) bytes, of \(pair.oldBytes).")
        }
        report.notes.append("Percent of the new file's bytes; peak is the larger one of making and applying.")
        try report.print(asJSON: options.json)
    }

    private func measure(_ pair: FilePair, _ workplace: Workplace) throws -> [Measurement] {
        var rounds: [String: [PatchRound]] = [:]
        for repetition in 1...max(1, options.repetitions) {
            for contender in contenders {
                progress("repetition \(repetition): \(pair.name), \(contender.name)")
                rounds[contender.name, default: []].append(try contender.run(pair, in: workplace))
            }
        }
        let whole = Double(pair.newBytes)
        func measurement(_ contender: PatchContender, _ unit: String, _ value: (PatchRound) -> Double) -> Measurement {
            Measurement(
                name: "\(pair.name): \(contender.name)", unit: unit, values: (rounds[contender.name] ?? []).map(value))
        }
        return contenders.map { contender in
            let bytes = measurement(contender, "% of raw") { Double($0.patchBytes) / whole * 100 }
            guard let rival = contender.rival else { return bytes }
            let others = measurement(rival, "% of raw") { Double($0.patchBytes) / whole * 100 }
            return bytes.against(others, named: rival.name, goal: "at most 1.1")
        } + contenders.map { measurement($0, "s of processor, making") { $0.making.processorSeconds } }
            + contenders.map { measurement($0, "s of processor, applying") { $0.applying.processorSeconds } }
            + contenders.map {
                measurement($0, "MB peak") { Double(max($0.making.peakBytes, $0.applying.peakBytes)) / 1e6 }
            }
    }
}

/// What one tool made of one pair.
struct PatchRound {
    var patchBytes: Int
    var making: ProcessCost
    var applying: ProcessCost
}

/// A tool that makes patches, as anybody would call it.
enum PatchContender: Hashable {
    case zstd(level: Int)
    case drover(level: String)
    case xdelta3
    case bsdiff

    var name: String {
        switch self {
        case .zstd(let level): "zstd -\(level) --patch-from"
        case .drover(let level): "drover, \(level)"
        case .xdelta3: "xdelta3 -9"
        case .bsdiff: "bsdiff"
        }
    }

    /// What this one is to be held against.
    var rival: PatchContender? {
        switch self {
        case .drover(level: "fast"): .zstd(level: 3)
        case .drover: .zstd(level: 15)
        case .zstd, .xdelta3, .bsdiff: nil
        }
    }

    func run(_ pair: FilePair, in workplace: Workplace) throws -> PatchRound {
        let (patch, result) = ("\(workplace.path)/patch", "\(workplace.path)/result")
        let (make, apply) = commands(pair, patch: patch, result: result)
        let making = try ProcessCost.of(make)
        let applying = try ProcessCost.of(apply)
        guard FileManager.default.contentsEqual(atPath: result, andPath: pair.new) else {
            throw BenchmarkFailure("\(name) does not give \(pair.new) again")
        }
        let bytes = try fileBytes(patch)
        try workplace.remove("patch")
        try workplace.remove("result")
        return PatchRound(patchBytes: bytes, making: making, applying: applying)
    }

    private func commands(_ pair: FilePair, patch: String, result: String) -> (make: [String], apply: [String]) {
        let (old, new) = (pair.old, pair.new)
        switch self {
        case .zstd(let level):
            let zstd = ["zstd", "-q", "-f", "--long=29", "--patch-from=\(old)"]
            return (zstd + ["-\(level)", new, "-o", patch], zstd + ["-d", patch, "-o", result])
        case .drover(let level):
            let drover = [product("drover"), "pack", "patch"]
            return (
                drover + ["create", old, new, "--output", patch, "--level", level, "--json"],
                drover + ["apply", patch, "--base", old, "--output", result]
            )
        case .xdelta3:
            return (
                ["xdelta3", "-f", "-e", "-9", "-B", "536870912", "-s", old, new, patch],
                ["xdelta3", "-f", "-d", "-B", "536870912", "-s", old, patch, result]
            )
        case .bsdiff: return (["bsdiff", old, new, patch], ["bspatch", old, result, patch])
        }
    }
}
