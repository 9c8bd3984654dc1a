import ArgumentParser
import Domain
import Foundation

/// Durable commands a second, beside the same bytes written raw and by bare LMDB.
struct CommandsBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commands",
        abstract: "Durable commands/s, in process and over HTTP, against append+fdatasync and bare LMDB.",
        discussion: """
            After each load the batches that the engine committed for it are written again, the same bytes in the same \
            portions: appended to a file with an fdatasync each, and put into a bare LMDB database with a commit each. \
            A ratio of 1 to one of them would mean that nothing but that writing costs time.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: ArgumentHelp("How long each load lasts.", valueName: "seconds"))
    var seconds = 2.0

    @Option(help: "How many clients ask at once; may be given several times.")
    var clients: [Int] = [1, 100]

    func run() async throws {
        var report = Report("Durable commands a second", repetitions: options.repetitions)
        let workplace = try Workplace(below: options.directory)
        var cells = Cell.all(clients: clients)
        for repetition in 1...max(1, options.repetitions) {
            for index in cells.indices {
                progress("repetition \(repetition): \(cells[index].name)")
                try await cells[index].measure(in: workplace, seconds: seconds)
            }
        }
        report.measurements = cells.flatMap(\.measurements)
        report.notes = [
            "The load generator runs on the same processors. In process: EngineService over EventLog alone, keys and",
            "durable answers included. Over HTTP: `projector global` with its views and projectors, one keep-alive",
            "connection a client.",
        ]
        try report.print(asJSON: options.json)
    }
}

/// One way to ask, with what its repetitions gave.
private struct Cell {
    let mix: CommandMix
    let clients: Int
    let isHTTP: Bool
    private var rates: [Double] = []
    private var rawRates: [Double] = []
    private var bareRates: [Double] = []
    private var latencies: (middle: [Double], high: [Double]) = ([], [])
    private var commandsPerBatch: [Double] = []
    private var serverMicroseconds: [Double] = []

    static func all(clients: [Int]) -> [Cell] {
        [false, true].flatMap { isHTTP in
            CommandMix.allCases.flatMap { mix in
                clients.map { Cell(mix: mix, clients: $0, isHTTP: isHTTP) }
            }
        }
    }

    private init(mix: CommandMix, clients: Int, isHTTP: Bool) {
        (self.mix, self.clients, self.isHTTP) = (mix, clients, isHTTP)
    }

    var name: String {
        "\(isHTTP ? "HTTP" : "in process"), \(mix.rawValue), \(clients) client\(clients == 1 ? "" : "s")"
    }

    mutating func measure(in workplace: Workplace, seconds: Double) async throws {
        let directory = try workplace.directory("run")
        let result: LoadResult
        let batches: [FrameBatch]
        if isHTTP {
            let load = HTTPLoad(clients: clients, mix: mix, seconds: seconds, projector: product("projector"))
            let done = try await load.run(in: directory)
            (result, batches) = (done.result, done.batches)
            serverMicroseconds.append(done.serverSeconds / Double(result.commands) * 1e6)
        } else {
            (result, batches) = try await EngineLoad(clients: clients, mix: mix, seconds: seconds).run(in: directory)
        }
        let bytes = try BatchBytes(batches)
        let raw = try bytes.appendAndFlush(to: directory + "/raw").reduce(0, +)
        let bare = try bytes.putIntoLMDB(in: workplace.directory("run/bare"))
        let commands = Double(result.commands)
        rates.append(result.rate)
        rawRates.append(commands / raw)
        bareRates.append(commands / bare)
        latencies.middle.append(percentile(0.5, of: result.latencies))
        latencies.high.append(percentile(0.99, of: result.latencies))
        commandsPerBatch.append(commands / Double(batches.count))
        try workplace.remove("run")
    }

    var measurements: [Measurement] {
        let raw = Measurement(name: "  append+fdatasync of the same bytes", unit: "commands/s", values: rawRates)
        let bare = Measurement(name: "  bare LMDB, the same batches", unit: "commands/s", values: bareRates)
        var own = Measurement(name: name, unit: "commands/s", values: rates)
            .against(raw, named: "append+fdatasync").against(bare, named: "bare LMDB")
        own.note =
            "p50 \(number(Spread(latencies.middle).median)) ms, p99 \(number(Spread(latencies.high).median)) ms, "
            + "\(number(Spread(commandsPerBatch).median)) commands a commit"
        if isHTTP { own.note += ", server \(number(Spread(serverMicroseconds).median)) processor-us a command" }
        return [own, raw, bare]
    }
}
