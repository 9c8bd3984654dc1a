import ArgumentParser
import Foundation

/// What a backup in another directory has when everything is killed under load.
struct BackupBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Seconds that a restored backup lacks, its chain and its state, after kill -9 under load.",
        discussion: """
            Each round: clients write through HTTP as fast as they are answered; `drover backup` runs beside and is killed \
            with -9 at random moments, and started again; then it and the server are killed at once. What the store \
            restores to must be a beginning of the log that was killed, chain and state hash alike, and lack at most the \
            last second: counted from the decision of the first event that is missing to the kill. Fails when it is not \
            so, and when fewer commands a second than --least were written.
            """)

    static let mostSeconds = 1.0

    @OptionGroup var options: BenchmarkOptions

    @Option(help: ArgumentHelp("How long each round writes.", valueName: "seconds"))
    var seconds = 10.0

    @Option(help: "How many clients ask at once.")
    var clients = 8

    @Option(help: "How often the backup is killed and started again in a round.")
    var kills = 4

    @Option(help: "Commands a second that make a round count.")
    var least = 2000.0

    @Option(help: "What the moments are drawn from (default: the clock).")
    var seed: UInt64?

    func validate() throws {
        guard seconds > 0, clients > 0, kills >= 0 else { throw ValidationError("a round needs seconds and clients") }
    }

    func run() async throws {
        let seed = seed ?? UInt64(Date().timeIntervalSince1970 * 1000)
        var random = SplitMix(seed: seed)
        let workplace = try Workplace(below: options.directory)
        var rounds: [BackupRound.Outcome] = []
        for repetition in 1...max(1, options.repetitions) {
            progress("round \(repetition), seed \(seed)")
            let directory = try workplace.directory("round")
            let moments = (0..<kills).map { _ in Double.random(in: 0..<seconds, using: &random) }.sorted()
            let round = BackupRound(directory: directory, seconds: seconds, clients: clients, moments: moments)
            rounds.append(try await round.run())
            try workplace.remove("round")
        }
        var report = Report("A backup killed under load", repetitions: options.repetitions)
        report.measurements = [
            Measurement(name: "commands written", unit: "commands/s", values: rounds.map(\.rate)),
            Measurement(name: "lost", unit: "s", values: rounds.map(\.lostSeconds)),
            Measurement(name: "lost", unit: "events", values: rounds.map { Double($0.lostEvents) }),
            Measurement(name: "events in the log", unit: "events", values: rounds.map { Double($0.events) }),
        ]
        report.notes = [
            "Seed \(seed). In every round the restored log had the chain and the state hash of the killed one at its end;",
            "the backup was killed \(kills) times on the way, and once with the server.",
        ]
        try report.print(asJSON: options.json)
        if let slow = rounds.first(where: { $0.rate < least }) {
            throw BenchmarkFailure(
                "only \(number(slow.rate)) commands/s were written: the machine is busy, or --clients few")
        }
        if let worst = rounds.map(\.lostSeconds).max(), worst > Self.mostSeconds {
            throw BenchmarkFailure("\(number(worst)) s were lost: at most \(number(Self.mostSeconds)) may be")
        }
    }
}

/// Numbers from a seed (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
private struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
