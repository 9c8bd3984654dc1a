import ArgumentParser
import Codec
import Domain
import Engine
import EventLog
import LMDB
import Logging
import Views

/// Events a second out of a log, step by step from LMDB's own scan to the state and the views.
struct ReplayBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Events/s of reading, checking, decoding and reducing a log, and of its views.",
        discussion:
            "Every row includes what the rows above it do, except the views', which read, check and decode only.")

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "How long a log to make.")
    var events: UInt64 = 1_000_000

    @Flag(help: "Make a log of weeks, whose jobs are heard 40 times and mostly fail, as `start` does.")
    var weeks = false

    @Option(help: "The directory of a log that is there already, instead of one to make.")
    var log: String?

    @Option(help: "One row alone (to profile it): \(Step.allCases.map(\.rawValue).joined(separator: ", ")).")
    var only: Step?

    private static let buildsOfWeeks: UInt64 = 5000

    func run() async throws {
        let workplace = try Workplace(below: options.directory)
        let directory = try log ?? workplace.directory("log")
        let count = try await madeEvents(directory)
        let steps = only.map { [$0] } ?? Step.allCases
        var report = Report(
            "Replay of \(count) events \(weeks ? "of weeks" : "made by the engine")", repetitions: options.repetitions)
        var rates: [Step: [Double]] = [:]
        var busyRates: [Step: [Double]] = [:]
        for repetition in 1...max(1, options.repetitions) {
            for step in steps {
                progress("repetition \(repetition): \(step.words)")
                let (start, busy) = (ContinuousClock.now, processorSeconds())
                let state = try step.perform(directory, views: "\(workplace.path)/views.sqlite", events: count)
                rates[step, default: []].append(Double(count) / elapsed(since: start))
                busyRates[step, default: []].append(Double(count) / (processorSeconds() - busy))
                // Whoever replays keeps it: giving it back is no part of that.
                withExtendedLifetime(state) {}
            }
        }
        let scan = Measurement(name: Step.scan.words, unit: "events/s", values: rates[.scan] ?? [])
        report.measurements = steps.map { step in
            let own = Measurement(name: step.words, unit: "events/s", values: rates[step] ?? [])
            return step == .scan || only != nil ? own : own.against(scan, named: "the bare scan")
        }
        // What neighbours on the machine take away shows in the first number alone.
        report.measurements += steps.map { step in
            Measurement(name: step.words, unit: "events/s of processor", values: busyRates[step] ?? [])
        }
        try report.print(asJSON: options.json)
    }

    private func madeEvents(_ directory: String) async throws -> UInt64 {
        guard log == nil else {
            return try EventLog.open(directory: directory, mode: .readOnly).head().sequence.rawValue
        }
        progress("making a log of \(events) events")
        if weeks {
            return try LongLog(events: events, builds: Self.buildsOfWeeks).make(in: directory) { _ in }.sequence
                .rawValue
        }
        return try await MadeLog(events: events).make(in: directory)
    }
}

/// How far a log's bytes are followed.
enum Step: String, CaseIterable, ExpressibleByArgument {
    case scan, read, decode, reduce, views

    fileprivate var words: String {
        switch self {
        case .scan: "bare LMDB scan"
        case .read: "+ checks, frames"
        case .decode: "+ payloads decoded"
        case .reduce: "+ reduced (Replay)"
        case .views: "views rebuilt (SQLite)"
        }
    }

    /// Returns the state where it makes one.
    fileprivate func perform(_ directory: String, views path: String, events: UInt64) throws -> GlobalState? {
        var state: GlobalState?
        let found: UInt64
        switch self {
        case .scan: found = try Self.scan(directory)
        case .read: found = try Self.read(directory) { _, _, _ in }
        case .decode: found = try Self.read(directory, Self.decode)
        case .reduce:
            let log = try EventLog.open(directory: directory, mode: .readOnly)
            let replay = try Replay<Global>.whole(log, codec: GlobalCodec())
            (found, state) = (replay.head.sequence.rawValue, replay.state)
        case .views: found = try Self.rebuild(directory, path)
        }
        guard found == events else { throw BenchmarkFailure("\(words) found \(found) of \(events) events") }
        return state
    }

    /// Touches every value's first and last byte.
    private static func scan(_ directory: String) throws -> UInt64 {
        let environment = try Environment.open(
            directory: directory,
            options: Environment.Options(databases: ["events", "batches", "meta"], access: .readOnly))
        defer { environment.close() }
        var (count, sum) = (UInt64(0), UInt64(0))
        try environment.read { transaction in
            try transaction.scan(Environment.Database(0), from: [UInt8]().span) { _, value in
                count += 1
                sum &+= UInt64(value[0]) &+ UInt64(value[value.count - 1])
                return true
            }
        }
        return sum == 0 ? 0 : count
    }

    private static func read(
        _ directory: String, _ body: (_ type: UInt16, _ schemaRevision: UInt16, _ payload: Span<UInt8>) -> Void
    ) throws -> UInt64 {
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        var (after, count) = (LogSequence.zero, UInt64(0))
        while true {
            let before = after
            try log.lend(after: before, maximumFrames: 4096) { _, type, schemaRevision, payload, end in
                body(type, schemaRevision, payload)
                count += 1
                if let end { after = end.sequence }
            }
            if after == before { return count }
        }
    }

    private static func decode(type: UInt16, schemaRevision: UInt16, payload: Span<UInt8>) {
        let event = try? GlobalCodec().decode(type: type, schemaRevision: schemaRevision, payload: payload)
        precondition(event != nil, "an event is of no known type")
    }

    private static func rebuild(_ directory: String, _ path: String) throws -> UInt64 {
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        let views = try Views<GlobalViews>.open(path: path, codec: GlobalCodec(), logger: logger)
        defer { views.close() }
        return try views.rebuild(from: log).sequence.rawValue
    }
}
