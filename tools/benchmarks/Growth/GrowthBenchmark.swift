import ArgumentParser
import Codec
import Domain
import Engine
import EventLog
import Foundation

/// What an event costs in a log of ten thousand, and in one a thousand times as long.
struct GrowthBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "The cost of an event as the log grows: written, and replayed.",
        discussion: """
            One log grows, its state in memory alone. At each size: what the events since the last size cost to decide, \
            encode, reduce and commit, a hundred a batch; what a whole replay costs an event; and what it holds in memory. \
            Costs are processor time, so that neighbours on the machine do not show.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "How long the log grows.")
    var events: UInt64 = 10_000_000

    @Option(help: "Builds that succeed and are kept; all other jobs fail.")
    var builds = 5000

    @Option(help: ArgumentHelp("Where to draw the costs, as SVG.", valueName: "file"))
    var plot: String?

    func run() async throws {
        let workplace = try Workplace(below: options.directory)
        let directory = try workplace.directory("log")
        var report = Report("The cost of an event in a growing log, \(builds) builds kept", repetitions: 1)
        var points: [GrowthPoint] = []
        var log = try GrowingLog(in: directory, keptBuilds: builds)
        for size in GrowthPoint.sizes(upTo: events) {
            progress("growing to \(size) events")
            points.append(try GrowthPoint(growing: &log, to: size, directory: directory))
        }
        report.measurements = points.flatMap(\.measurements)
        if let first = points.first, let last = points.last {
            report.notes = [
                "Between \(first.events) and \(last.events) events a written one's cost grew by a factor of "
                    + "\(number(last.writtenNanoseconds / first.writtenNanoseconds)), a replayed one's by "
                    + "\(number(last.replayedNanoseconds / first.replayedNanoseconds))."
            ]
        }
        if let plot { try Data(GrowthPlot(points: points).svg.utf8).write(to: URL(filePath: plot)) }
        try report.print(asJSON: options.json)
    }
}

/// One size of the log.
struct GrowthPoint {
    let events: UInt64
    /// Of processor an event, since the size before.
    let writtenNanoseconds: Double
    /// Of processor an event, over the whole log.
    let replayedNanoseconds: Double
    /// Anonymous memory while both the writer's state and the replayed one are held, and what the second one added.
    let anonymousBytes: Double
    let stateBytes: Double

    /// 1, 3 and 10 of each power of ten, from ten thousand on.
    static func sizes(upTo last: UInt64) -> [UInt64] {
        var sizes: [UInt64] = []
        var size: UInt64 = 10_000
        while size < last {
            sizes += [size, size * 3].filter { $0 < last }
            size *= 10
        }
        return sizes + [last]
    }

    init(growing log: inout GrowingLog, to size: UInt64, directory: String) throws {
        let before = log.events
        var start = processorSeconds()
        try log.grow(to: size)
        events = log.events
        writtenNanoseconds = (processorSeconds() - start) / Double(events - before) * 1e9
        let memory = anonymousMemory()
        start = processorSeconds()
        let reader = try EventLog.open(directory: directory, mode: .readOnly)
        let replay = try Replay<Global>.whole(reader, codec: GlobalCodec())
        guard replay.head.sequence.rawValue == events else {
            throw BenchmarkFailure("the replay ended at \(replay.head.sequence), not at \(events)")
        }
        replayedNanoseconds = (processorSeconds() - start) / Double(events) * 1e9
        anonymousBytes = anonymousMemory()
        stateBytes = anonymousBytes - memory
        withExtendedLifetime(replay) {}
    }

    var measurements: [Measurement] {
        [
            Measurement(name: "\(events): an event written", unit: "ns", values: [writtenNanoseconds]),
            Measurement(name: "  replayed", unit: "ns", values: [replayedNanoseconds]),
            Measurement(name: "  the replayed state", unit: "MiB anonymous", values: [stateBytes / 1_048_576]),
        ]
    }
}

/// `RssAnon` of this process, in bytes.
func anonymousMemory() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
    return (line.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) * 1024
}
