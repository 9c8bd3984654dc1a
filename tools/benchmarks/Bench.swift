import ArgumentParser
import Foundation

/// Benchmarks as ratios: each prints what was measured beside a baseline of the same run, machine, hour and load.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures Drover against the physical limits of this machine.",
        subcommands: [
            CommandsBenchmark.self, LogBenchmark.self, ReplayBenchmark.self, GrowthBenchmark.self,
            StartBenchmark.self, BackupBenchmark.self, PeersBenchmark.self,
            SwarmBenchmark.self, LinkBenchmark.self, PatchBenchmark.self, TenGigabytesBenchmark.self, BareServe.self,
            BareFetch.self,
        ])
}

/// What every benchmark takes.
struct BenchmarkOptions: ParsableArguments {
    @Flag(help: "Print JSON instead of a table.")
    var json = false

    @Option(help: ArgumentHelp("Where to write, on the disk that is measured.", valueName: "directory"))
    var directory = "."

    @Option(help: "How often everything is measured, in turns, so that noise hits all alike.")
    var repetitions = 5
}

/// A binary that was built beside this one.
func product(_ name: String) -> String {
    URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/" + name
}
