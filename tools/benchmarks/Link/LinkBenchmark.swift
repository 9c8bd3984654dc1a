import ArgumentParser
import Foundation
import Ports
import Processes

/// One machine fetches from one other, as fast as they can.
struct LinkBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link",
        abstract: "One fetch on loopback, verified and written, against a bare program on the same sockets.",
        discussion: """
            `drover pack serve` and `fetch` against the least that does the same with SwiftNIO: ranges of a file over \
            four connections, hashed by SHA-256 and written in place, without pieces to choose, maps, neighbours or \
            restarts. In the clear and with mutual TLS, in turns. Files are in memory unless --directory says \
            otherwise. Processor time is of both ends, until the pack is whole and verified.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "The file's size; four times of it must fit.")
    var megabytes: UInt64 = 2000

    func run() async throws {
        let workplace = try Workplace(below: options.directory == "." ? "/dev/shm" : options.directory)
        let file = "\(workplace.path)/file"
        progress("making \(megabytes) MB of random bytes")
        try await shell(
            "/bin/sh", ["-ec", "head -c \(megabytes * 1_000_000) /dev/urandom > \(file)"], in: workplace.path)
        try await DroverContender(isEncrypted: true, directory: workplace.path).prepare(file, in: workplace.path)
        try workplace.remove("file")
        let runners = [
            LinkRunner.drover(isEncrypted: false), .bare(isEncrypted: false), .drover(isEncrypted: true),
            .bare(isEncrypted: true),
        ]
        var report = Report("one fetch of \(megabytes) MB on loopback", repetitions: options.repetitions)
        var rounds = runners.map { _ in [LinkRound]() }
        for repetition in 1...max(1, options.repetitions) {
            for (place, runner) in runners.enumerated() {
                progress("repetition \(repetition): \(runner.name)")
                rounds[place].append(try await runner.run(workplace))
            }
        }
        for place in stride(from: 0, to: runners.count, by: 2) {
            let (ours, bare) = (runners[place].name, runners[place + 1].name)
            report.measurements += [
                measurement(ours, "MB/s", rounds[place], rate)
                    .against(measurement(bare, "MB/s", rounds[place + 1], rate), named: "the bare program"),
                measurement(bare, "MB/s", rounds[place + 1], rate),
                measurement("\(ours): processors, both ends", "s/GB", rounds[place], cost)
                    .against(measurement("", "", rounds[place + 1], cost), named: "the bare program"),
                measurement("\(ours): most memory of who fetches", "MB", rounds[place]) { $0.peakBytes / 1e6 },
            ]
        }
        try report.print(asJSON: options.json)
    }

    private func rate(_ round: LinkRound) -> Double { Double(megabytes) / round.seconds }

    private func cost(_ round: LinkRound) -> Double { round.processorSeconds / (Double(megabytes) / 1000) }

    private func measurement(
        _ name: String, _ unit: String, _ rounds: [LinkRound], _ value: (LinkRound) -> Double
    ) -> Measurement {
        Measurement(name: name, unit: unit, values: rounds.map(value))
    }
}

/// What one fetch took.
struct LinkRound {
    var seconds: Double
    /// Of both ends.
    var processorSeconds: Double
    /// Resident, of who fetches.
    var peakBytes: Double
}

enum LinkRunner {
    case drover(isEncrypted: Bool)
    case bare(isEncrypted: Bool)

    private static let port = 9100

    var name: String {
        switch self {
        case .drover(let isEncrypted): isEncrypted ? "Drover, mutual TLS" : "Drover, in the clear"
        case .bare(let isEncrypted): isEncrypted ? "the bare program, TLS" : "the bare program, in the clear"
        }
    }

    func run(_ workplace: Workplace) async throws -> LinkRound {
        let directory = try workplace.directory("round")
        defer { try? workplace.remove("round") }
        switch self {
        case .drover(let isEncrypted):
            let drover = DroverContender(isEncrypted: isEncrypted, directory: workplace.path)
            guard let seed = drover.seed(at: "127.0.0.1", in: workplace.path).first else { throw CancellationError() }
            return try await measure(
                seed, drover.peer(at: "127.0.0.2", seed: "127.0.0.1", others: [], in: directory), "output.pack",
                directory)
        case .bare(let isEncrypted):
            let address = ["--port", "\(Self.port)"] + (isEncrypted ? ["--certificates", workplace.path] : [])
            let (bench, pack) = (product("bench"), "\(workplace.path)/packs/file/1.pack")
            return try await measure(
                [bench, "bare-serve", pack] + address, [bench, "bare-fetch", pack, "\(directory)/output"] + address,
                "output", directory)
        }
    }

    private func measure(
        _ server: [String], _ client: [String], _ output: String, _ directory: String
    ) async throws -> LinkRound {
        let processes = DetachedProcesses()
        func start(_ name: String, _ command: [String]) async throws -> ProcessIdentity {
            try await processes.startDependent(
                ProcessSpecification(
                    executable: command[0], arguments: Array(command.dropFirst()),
                    environment: ["PATH": "/usr/bin:/bin", "HOME": directory], directory: directory,
                    outputPath: "\(directory)/\(name).log"), deathSignal: SIGKILL)
        }
        let serving = try await start("server", server)
        try await Task.sleep(for: .seconds(1))
        let (before, begin) = (try usedProcessorSeconds(serving.pid), ContinuousClock.now)
        let fetching = try await start("client", client)
        let path = "\(directory)/\(output)"
        _ = try await eventually("\(name) has the file", withinSeconds: 600, everyMilliseconds: 5) {
            FileManager.default.fileExists(atPath: path) ? true : nil
        }
        let round = LinkRound(
            seconds: elapsed(since: begin),
            processorSeconds: try usedProcessorSeconds(serving.pid) - before + usedProcessorSeconds(fetching.pid),
            peakBytes: try peakBytes(fetching.pid))
        for process in [serving, fetching] {
            processes.signal(process, SIGKILL)
            _ = await processes.waitForEnd(process)
        }
        return round
    }

    private func peakBytes(_ pid: Int32) throws -> Double {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) * 1024
    }
}
