import ArgumentParser
import Codec
import Domain
import EventLog
import Foundation
import Logging
import Views

/// The log against the disk, and its queue against other people's durable queues.
struct LogBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Durable appends against the disk; claims against PostgreSQL, beanstalkd and Redis; as-of queries.",
        discussion: """
            All on the same disk in turns. In the second half every flush of every contender, ours too, takes 1 ms \
            longer, by one preloaded library: as on a cloud volume. The load generator runs on the same processors.
            """)

    @OptionGroup var options: BenchmarkOptions

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case appends, claims, questions
    }

    @Option(help: ArgumentHelp("Measure this part alone; may be given several times.", valueName: "part"))
    var only: [Part] = []

    @Option(help: ArgumentHelp("Let these systems alone claim, by parts of their names.", valueName: "name"))
    var system: [String] = []

    @Option(help: ArgumentHelp("How long each load lasts.", valueName: "seconds"))
    var seconds = 2.0

    @Option(help: "Workers that claim at once.")
    var workers = 100

    @Option(help: "Jobs that wait in each queue before a load.")
    var jobs = 400_000

    @Option(help: "Events of the log that is asked as of a sequence.")
    var events: UInt64 = 1_000_000

    @Option(help: "What a flush takes longer in the second half, in microseconds.")
    var slowedMicroseconds = 1000

    func run() async throws {
        try SlowFlush.set(0)
        let workplace = try Workplace(below: options.directory)
        var report = Report("The log and its queue", repetitions: options.repetitions)
        let parts = only.isEmpty ? Part.allCases : only
        for slowed in [0, slowedMicroseconds] {
            if parts.contains(.appends) { report.measurements += try await appends(in: workplace, slowed) }
            if parts.contains(.claims) { report.measurements += try await claims(in: workplace, slowed) }
        }
        if parts.contains(.questions) { report.measurements += try await questions(in: workplace) }
        report.notes = [
            "Claims: each system's own way, durable before it is answered, \(jobs) jobs waiting at the start. In process:",
            "EngineService over EventLog. By HTTP: `projector global`. PostgreSQL: pgbench, one prepared UPDATE with FOR",
            "UPDATE SKIP LOCKED. beanstalkd: reserve + delete. Redis: LMOVE.",
        ]
        try report.print(asJSON: options.json)
    }

    private func appends(in workplace: Workplace, _ slowed: Int) async throws -> [Measurement] {
        var cells = [AppendCell(clients: 1, slowed: slowed), AppendCell(clients: 64, slowed: slowed)]
        for repetition in 1...max(1, options.repetitions) {
            for index in cells.indices {
                progress("repetition \(repetition): \(cells[index].name)")
                try await cells[index].measure(in: workplace, seconds: seconds)
            }
        }
        return cells.flatMap(\.measurements)
    }

    private func claims(in workplace: Workplace, _ slowed: Int) async throws -> [Measurement] {
        let contenders = chosen
        var rows = contenders.map { ClaimRow($0, workers: workers, slowed: slowed) }
        for repetition in 1...max(1, options.repetitions) {
            for (index, contender) in contenders.enumerated() {
                progress("repetition \(repetition): claims, \(contender.name)\(suffix(slowed))")
                let directory = try workplace.directory("queue")
                rows[index].add(try await measure(contender, in: directory, slowed))
                try workplace.remove("queue")
            }
        }
        let all = rows.map(\.measurement)
        return contenders.indices.map { own in
            guard let goals = contenders[own].goals else { return all[own] }
            return contenders.indices.filter { contenders[$0].goals == nil }.reduce(all[own]) { row, other in
                row.against(all[other], named: contenders[other].name, goal: goals[contenders[other].name])
            }
        }
    }

    private var chosen: [any Contender] {
        let all: [any Contender] = [
            EngineContender(), HTTPContender(), PostgresContender(), LineContender<BeanstalkTalk>(),
            LineContender<RedisTalk>(),
        ]
        return system.isEmpty ? all : all.filter { one in system.contains { one.name.contains($0) } }
    }

    private func measure(
        _ contender: any Contender, in directory: String, _ slowed: Int
    ) async throws -> ClaimRow.Sample {
        do {
            try await contender.prepare(in: directory, jobs: jobs)
            try await contender.start(slowedMicroseconds: slowed)
            let used = try contender.processorSeconds()
            let result = try await contender.claim(workers: workers, seconds: seconds)
            let spent = try contender.processorSeconds().flatMap { now in used.map { now - $0 } }
            await contender.stop()
            return ClaimRow.Sample(result: result, processorSeconds: spent)
        } catch {
            await contender.stop()
            throw error
        }
    }

    /// The state at half of a long log, asked by anybody's SQL.
    private func questions(in workplace: Workplace) async throws -> [Measurement] {
        progress("making a log of \(events) events")
        let directory = try workplace.directory("log")
        let count = try await MadeLog(events: events).make(in: directory)
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        let views = try Views<GlobalViews>.open(
            path: workplace.path + "/views.sqlite", codec: GlobalCodec(),
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
        defer { views.close() }
        try await views.rebuild(from: log)
        let middle = LogSequence(rawValue: count / 2)
        let questions = [
            ("all jobs by status", "SELECT status, count(*) FROM jobs GROUP BY status"),
            ("one job", "SELECT * FROM jobs WHERE id = \(count / 32)"), ("workers", "SELECT * FROM workers"),
        ]
        var times: [[Double]] = questions.map { _ in [] }
        for _ in 1...max(1, options.repetitions) {
            for (index, question) in questions.enumerated() {
                let start = ContinuousClock.now
                _ = try await views.query(question.1, at: middle)
                times[index].append(elapsed(since: start))
            }
        }
        return questions.indices.map {
            Measurement(
                name: "as of the middle of \(count) events: \(questions[$0].0)", unit: "s", values: times[$0])
        }
    }
}

/// What a flush that is slowed adds to a row's name.
func suffix(_ slowed: Int) -> String { slowed == 0 ? "" : ", flushes +\(number(Double(slowed) / 1000)) ms" }

/// One system's claims.
private struct ClaimRow {
    struct Sample {
        var result: LoadResult
        /// Of a server without its clients, of this process with them.
        var processorSeconds: Double?
    }

    private let name: String
    private var rates: [Double] = []
    private var middles: [Double] = []
    private var highs: [Double] = []
    private var microseconds: [Double] = []

    init(_ contender: any Contender, workers: Int, slowed: Int) {
        name = "\(workers) workers claim, \(contender.name)\(suffix(slowed))"
    }

    mutating func add(_ sample: Sample) {
        rates.append(sample.result.rate)
        middles.append(percentile(0.5, of: sample.result.latencies))
        highs.append(percentile(0.99, of: sample.result.latencies))
        if let spent = sample.processorSeconds {
            microseconds.append(spent / Double(max(1, sample.result.commands)) * 1e6)
        }
    }

    var measurement: Measurement {
        Measurement(
            name: name, unit: "claims/s", values: rates,
            note: "p50 \(number(Spread(middles).median)) ms, p99 \(number(Spread(highs).median)) ms a request"
                + (microseconds.isEmpty ? "" : ", \(number(Spread(microseconds).median)) processor-us a claim"))
    }
}

/// Durable commands of some clients, beside the same bytes by the bare means.
private struct AppendCell {
    let clients: Int
    let slowed: Int
    private var middles: [Double] = []
    private var rawMiddles: [Double] = []
    private var rates: [Double] = []
    private var bareRates: [Double] = []
    private var batchSizes: [Double] = []

    init(clients: Int, slowed: Int) { (self.clients, self.slowed) = (clients, slowed) }

    var name: String { "\(clients) client\(clients == 1 ? "" : "s") append in process\(suffix(slowed))" }

    mutating func measure(in workplace: Workplace, seconds: Double) async throws {
        let directory = try workplace.directory("append")
        try SlowFlush.set(slowed)
        defer { try? SlowFlush.set(0) }
        let (result, batches) = try await EngineLoad(clients: clients, mix: .enqueue, seconds: seconds)
            .run(in: directory)
        let bytes = try BatchBytes(batches)
        middles.append(percentile(0.5, of: result.latencies))
        rates.append(result.rate)
        batchSizes.append(Double(result.commands) / Double(batches.count))
        if clients == 1 {
            rawMiddles.append(percentile(0.5, of: try bytes.appendAndFlush(to: directory + "/raw").sorted()) * 1000)
        } else {
            bareRates.append(Double(result.commands) / (try bytes.putIntoLMDB(in: workplace.directory("append/bare"))))
        }
        try workplace.remove("append")
    }

    var measurements: [Measurement] {
        if clients == 1 {
            let raw = Measurement(name: "  append + fdatasync of the same bytes", unit: "ms, p50", values: rawMiddles)
            return [
                Measurement(name: name, unit: "ms, p50", values: middles).against(
                    raw, named: "append+fdatasync", goal: "at most 2.2"), raw,
            ]
        }
        let bare = Measurement(name: "  bare LMDB, the same batches", unit: "commands/s", values: bareRates)
        return [
            Measurement(
                name: name, unit: "commands/s", values: rates,
                note: "\(number(Spread(batchSizes).median)) commands a commit"
            ).against(bare, named: "bare LMDB", goal: "at least 0.8"), bare,
        ]
    }
}
