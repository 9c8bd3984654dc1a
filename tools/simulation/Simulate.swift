import ArgumentParser
import Commands
import Dispatch
import Domain
import Foundation
import Simulation
import Synchronization

/// `tools/simulate`: runs worlds from seeds, says what they reached, and stops at the first broken rule of each.
@main
struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs the whole system in one deterministic process, with faults, and checks its rules.",
        discussion: """
            Same seed, same run, byte for byte. A broken rule is printed with the command that repeats it; exit 1.
            """)

    @Option(help: "One seed.") var seed: UInt64?
    @Option(help: "Seeds A..B, both included.") var seeds: SeedRange?
    @Option(help: "Events and messages after which faults end (default: as long as the seed has it).")
    var steps: UInt64?
    @Option(help: "Begin with this recorded global log: a data directory, a log's directory or an export.")
    var from: String?
    @Option(help: "Plant a bug that must be found: \(Canary.allCases.map(\.rawValue).joined(separator: ", ")).")
    var canary: Canary?
    @Option(help: "Runs at once (default: one a processor).") var jobs: Int?
    @Option(help: "Keep every seed that breaks a rule as a file in this directory.") var keep: String?
    @Flag(help: "Print everything that happens.") var trace = false
    @Flag(help: "Print one JSON object a run, and one of the sum.") var json = false

    func run() async throws {
        let range = try range()
        var options = SimulationOptions(seed: 0)
        (options.steps, options.canary) = (steps, canary)
        if let from { options.history = try await LogPlace.recorded(at: from) }
        try run(range, options)
    }

    private func run(_ range: (first: UInt64?, last: UInt64), _ options: SimulationOptions) throws {
        let total = Mutex((counts: Counts(), broken: 0, processor: 0.0))
        let (common, start) = (options, Date())
        let lanes = trace ? 1 : max(1, jobs ?? ProcessInfo.processInfo.activeProcessorCount)
        let next = Mutex(range.first)
        DispatchQueue.concurrentPerform(iterations: lanes) { _ in
            while let seed = next.withLock({ next -> UInt64? in
                guard let seed = next, seed <= range.last else { return nil }
                next = seed == .max ? nil : seed + 1
                return seed
            }) {
                var options = common
                options.seed = seed
                let began = Self.threadSeconds()
                let report = Simulation.run(options, trace: trace ? Trace { print($0) } : .silent)
                let seconds = Self.threadSeconds() - began
                total.withLock { total in
                    total.counts.add(report.counts)
                    total.broken += report.finding == nil ? 0 : 1
                    total.processor += seconds
                    say(report, isAlone: range.first == range.last)
                }
            }
        }
        let (counts, broken, processor) = total.withLock { $0 }
        sum(counts, broken, runs: range.last - (range.first ?? 0) + 1, processor, Date().timeIntervalSince(start))
        if broken > 0 { throw ExitCode(1) }
    }

    private func range() throws -> (first: UInt64?, last: UInt64) {
        switch (seed, seeds) {
        case (let seed?, nil): (seed, seed)
        case (nil, let seeds?): (seeds.first, seeds.last)
        case (nil, nil): (1, 100)
        case (_?, _?): throw ValidationError("name --seed or --seeds, not both")
        }
    }

    /// Of this thread's own work: a busy machine does not make a simulator slow.
    private static func threadSeconds() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    // MARK: What is said

    private func repeating(_ seed: UInt64) -> String {
        var words = ["tools/simulate", "--seed", "\(seed)"]
        if let steps { words += ["--steps", "\(steps)"] }
        if let from { words += ["--from", from] }
        if let canary { words += ["--canary", canary.rawValue] }
        return words.joined(separator: " ")
    }

    private func say(_ report: SimulationReport, isAlone: Bool) {
        if json { return say(JSONRun(report)) }
        guard let finding = report.finding else {
            if isAlone {
                print("seed \(report.seed): sound, \(report.counts.total) events and messages, \(report.digest)")
            }
            return
        }
        print("seed \(report.seed): \(finding)")
        print("    repeat: \(repeating(report.seed)) --trace")
        guard let keep, canary == nil else { return }
        let text = "\(repeating(report.seed))\n\(finding)\n"
        let file = URL(filePath: keep).appending(path: "seed-\(report.seed).txt")
        do { try Data(text.utf8).write(to: file) } catch { print("    not kept: \(error)") }
    }

    private func sum(_ counts: Counts, _ broken: Int, runs: UInt64, _ processor: Double, _ seconds: Double) {
        let rate = Int(Double(counts.total) / max(processor, 1e-9))
        if json {
            return say(
                JSONSum(
                    runs: runs, broken: broken, appended: counts.appended, messages: counts.messages,
                    occurrences: counts.occurrences, eventsPerProcessorSecond: rate, seconds: seconds,
                    kinds: counts.kinds))
        }
        for (kind, count) in counts.kinds.sorted(by: { $0.key < $1.key }) {
            print("\(String(count).leftPadded(to: 12))  \(kind)")
        }
        print(
            "\(runs) runs, \(broken) broken; \(counts.appended) events appended, \(counts.messages) messages delivered")
        let (wall, steps) = (max(seconds, 1e-9), Double(counts.occurrences))
        print(
            "events and messages: \(rate) a processor-second, \(Int(Double(counts.total) / wall)) a second; steps of the "
                + "calendar: \(Int(steps / max(processor, 1e-9))), \(Int(steps / wall)); "
                + "\(String(format: "%.1f", seconds)) s in all")
    }

    private func say(_ body: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if let data = try? encoder.encode(body) { print(String(decoding: data, as: UTF8.self)) }
    }
}

private struct JSONRun: Encodable {
    var seed: UInt64
    var rule: String?
    var detail: String?
    var milliseconds: Int64
    var appended: UInt64
    var messages: UInt64
    var digest: String

    init(_ report: SimulationReport) {
        (seed, rule, detail) = (report.seed, report.finding?.rule, report.finding?.detail)
        (milliseconds, digest) = (report.milliseconds, report.digest.hex)
        (appended, messages) = (report.counts.appended, report.counts.messages)
    }
}

private struct JSONSum: Encodable {
    var runs: UInt64
    var broken: Int
    var appended: UInt64
    var messages: UInt64
    /// Steps of the calendar: messages, timers, ends of flushes, waits.
    var occurrences: UInt64
    var eventsPerProcessorSecond: Int
    var seconds: Double
    var kinds: [String: UInt64]
}

/// `A..B`.
struct SeedRange: ExpressibleByArgument {
    var first: UInt64
    var last: UInt64

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: true)
        guard parts.count == 2, let first = plainDecimal(parts[0]), let last = plainDecimal(parts[1]), first <= last
        else { return nil }
        (self.first, self.last) = (first, last)
    }
}

extension Canary: ExpressibleByArgument {}

extension String {
    fileprivate func leftPadded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
