import Client
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Glibc
import Ports
import Processes

/// One log from its first event to the restore of its backup.
struct BackupRound {
    struct Outcome {
        var rate: Double
        var events: UInt64
        var lostEvents: UInt64
        var lostSeconds: Double
    }

    let directory: String
    let seconds: Double
    let clients: Int
    /// When the backup is killed, in seconds from the load's start.
    let moments: [Double]

    private var data: String { directory + "/global" }
    private var store: String { directory + "/store" }
    private var log: String { data + "/log" }
    private static let processes = DetachedProcesses()

    func run() async throws -> Outcome {
        let server = RoleProcess(
            name: "global", executable: product("projector"), directory: directory,
            arguments: ["global", "--data", data, "--listen", "127.0.0.1:0"])
        let url = try await server.start()
        let client = GlobalClient(endpoint: url, actor: .person("bench"))
        _ = try await client.joinRegion(LoadWords.region, endpoint: "http://10.0.0.2:7071")
        for number in 0..<clients {
            _ = try await client.joinWorker(CommandNames(client: number).worker, region: LoadWords.region)
        }
        let first = try EventLog.open(directory: log, mode: .readOnly).head().sequence
        let load = Task { try await write(to: url) }
        let start = ContinuousClock.now
        var backup = try await startBackup()
        for moment in moments {
            try await Task.sleep(until: start.advanced(by: .seconds(moment)))
            Self.processes.signal(backup, SIGKILL)
            _ = await Self.processes.waitForEnd(backup)
            backup = try await startBackup()
        }
        try await Task.sleep(until: start.advanced(by: .seconds(seconds)))
        let written = elapsed(since: start)
        // The backup first, so that it cannot use the time that the server takes to die.
        Self.processes.signal(backup, SIGKILL)
        let killed = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        await server.kill()
        _ = await Self.processes.waitForEnd(backup)
        // Its connections were cut.
        _ = await load.result
        return try await compare(since: first, written, killed)
    }

    private func write(to url: String) async throws {
        guard let address = URLComponents(string: url), let host = address.host, let port = address.port else {
            throw BenchmarkFailure("\(url) is no address")
        }
        let talks = (0..<clients).map { Questions(client: $0, mix: .mixed, host: "\(host):\(port)") }
        _ = try await Caller.all(talks, host: host, port: port)
    }

    private func startBackup() async throws -> ProcessIdentity {
        try await Self.processes.startDependent(
            ProcessSpecification(
                executable: product("drover"), arguments: ["backup", data, "--to", store],
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"], directory: directory,
                outputPath: directory + "/backup.log"), deathSignal: SIGKILL)
    }

    private func compare(since first: LogSequence, _ written: Double, _ killed: Timestamp) async throws -> Outcome {
        let place = directory + "/elsewhere"
        _ = try await output(of: product("drover"), ["restore", store, "--output", place], in: directory)
        _ = try await output(of: product("drover"), ["verify", place], in: directory)
        let restored = try EventLog.open(directory: place + "/log", mode: .readOnly)
        let whole = try EventLog.open(directory: log, mode: .readOnly)
        let (end, head) = (try restored.head(), try whole.head())
        guard try whole.position(at: end.sequence) == end else {
            throw BenchmarkFailure(
                "the restored log ends at \(end.sequence) with another chain than the killed one had")
        }
        let found = try StateCodec.stateHash(Replay<Global>.whole(restored, codec: GlobalCodec()).state)
        guard try stateHash(of: whole, upTo: end) == found else {
            throw BenchmarkFailure("the restored log amounts to another state at \(end.sequence) than the killed one")
        }
        var (commands, lost) = (0, Timestamp?.none)
        for batch in try whole.batches(after: first) {
            // A command's first event bears its own sequence.
            commands += batch.frames.count { $0.header.command == $0.header.sequence }
            if batch.end.sequence > end.sequence { lost = lost ?? batch.frames.first?.header.time }
        }
        return Outcome(
            rate: Double(commands) / written, events: head.sequence.rawValue,
            lostEvents: head.sequence.rawValue - end.sequence.rawValue,
            lostSeconds: lost.map { max(0, Double(killed.millisecondsSince($0)) / 1000) } ?? 0)
    }

    private func stateHash(of log: EventLog, upTo end: LogPosition) throws -> Digest {
        var replay = Replay<Global>(of: log.identity, codec: GlobalCodec())
        while replay.head.sequence < end.sequence {
            for batch in try log.read(after: replay.head.sequence, maximumFrames: 4096)
            where batch.end.sequence <= end.sequence { try replay.take(batch) }
        }
        return try StateCodec.stateHash(replay.state)
    }
}
