import ArgumentParser
import Dispatch
import Fleet
import Foundation
import Swarm
import Synchronization

/// `tools/simulate-fleet`: how long a pack takes to all machines of some regions.
@main
struct SimulateFleet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-fleet",
        abstract: "How long a pack takes to tens of thousands of machines, with the real picker, ledger and tracker.",
        discussion: """
            Same seed, same result. Rates are in Gbit/s. Completion is told as a ratio to each machine's bound: the pack over \
            the smallest of its own link, its share of all uploads and the mirror's link. Exit 1 when a machine never had it.
            """)

    @OptionGroup(title: "The fleet") var fleet: FleetOptions
    @OptionGroup(title: "From the button on") var press: PressOptions
    @Option(help: "Regions simulated at once (default: one a processor).") var jobs: Int?
    @Option(help: "Print how far the first region is every so many simulated seconds.") var timeline: Double?
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
        let shapes = try fleet.shapes()
        let began = FleetReport.processorSeconds()
        let reports = Mutex([RegionReport?](repeating: nil, count: shapes.count))
        let progress = Progress(machines: fleet.peers, isShown: !json && timeline == nil && isatty(2) == 1)
        let next = Mutex(0)
        let lanes = min(shapes.count, max(1, jobs ?? ProcessInfo.processInfo.activeProcessorCount))
        DispatchQueue.concurrentPerform(iterations: lanes) { _ in
            while let index = next.withLock({ next -> Int? in
                guard next < shapes.count else { return nil }
                defer { next += 1 }
                return next
            }) {
                let report = shapes[index].run(sampleSeconds: timeline ?? 0.1) { sample in
                    progress.show(sample, of: index)
                    if timeline != nil, index == 0, !json { print(sample.line) }
                }
                reports.withLock { $0[index] = report }
            }
        }
        progress.end()
        let report = FleetReport(
            reports.withLock { $0.compactMap(\.self) }, shapes, fleet.wideCopy, press,
            processorSeconds: FleetReport.processorSeconds() - began)
        if json { try report.printJSON() } else { report.printText() }
        if report.unfinished > 0 { throw ExitCode(1) }
    }
}

/// One line on a terminal, written over.
private struct Progress: Sendable {
    private let finished: ProgressState
    private let machines: Int
    private let isShown: Bool

    init(machines: Int, isShown: Bool) {
        (self.machines, self.isShown) = (machines, isShown)
        finished = ProgressState()
    }

    func show(_ sample: RegionSample, of region: Int) {
        guard isShown else { return }
        let total = finished.regions.withLock { regions in
            regions[region] = sample.finished
            return regions.values.reduce(0, +)
        }
        let text = "\rregion \(region + 1): \(String(format: "%.1f", sample.seconds)) s simulated; "
        FileHandle.standardError.write(Data((text + "\(total) of \(machines) machines have the pack ").utf8))
    }

    func end() {
        if isShown { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }
}

private final class ProgressState: Sendable {
    let regions = Mutex([Int: Int]())
}

extension RegionSample {
    /// For a timeline.
    fileprivate var line: String {
        String(
            format:
                "%7.2f s  %8d done  %6.1f pieces each  %4.1f asked for  mirror %5d  uplinks %3.0f %%  sending %3.0f %%",
            seconds, finished, verified, asked, Int(mirrorPieces), used * 100, sending * 100)
    }
}
