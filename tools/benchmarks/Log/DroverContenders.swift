import Client
import Domain
import Engine
import EventLog
import Foundation
import Glibc
import NIOCore

/// Drover's engine in this process.
final class EngineContender: Contender {
    let name = "Drover in process"
    let goals: [String: String]? = [PostgresContender.systemName: "10", RedisTalk.name: "then 1"]
    private var log: EventLog?
    private var engine: EngineService<Global>?

    func prepare(in directory: String, jobs: Int) async throws { log = try await makeQueue(in: directory, jobs: jobs) }

    func start(slowedMicroseconds: Int) async throws {
        guard let log else { throw BenchmarkFailure("there is no queue") }
        engine = try EngineLoad.engine(over: log)
        try SlowFlush.set(slowedMicroseconds)
    }

    func claim(workers: Int, seconds: Double) async throws -> LoadResult {
        guard let engine else { throw BenchmarkFailure("the engine does not run") }
        let start = ContinuousClock.now
        let deadline = start.advanced(by: .seconds(seconds))
        let round = Int(engine.head.sequence.rawValue)
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
            for worker in 0..<workers {
                group.addTask {
                    var (names, latencies) = (CommandNames(client: worker, from: round), [Double]())
                    var last = ContinuousClock.now
                    while last < deadline {
                        _ = try await engine.claim(&names)
                        let now = ContinuousClock.now
                        latencies.append(last.duration(to: now) / .milliseconds(1))
                        last = now
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return LoadResult(latencies: latencies, seconds: elapsed(since: start))
    }

    func processorSeconds() throws -> Double? {
        var usage = rusage()
        guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else {
            throw BenchmarkFailure("getrusage fails")
        }
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }

    func stop() async {
        try? SlowFlush.set(0)
        engine?.stop()
        try? await engine?.waitForEnd()
        engine = nil
    }
}

/// A log of jobs that wait, each of a commit of its own, enqueued by many clients at once. Nothing hashes its state
/// afterwards, in the time of others.
private func makeQueue(in directory: String, jobs: Int) async throws -> EventLog {
    let log = try EventLog.open(directory: directory, mode: .create(identity: nil))
    let engine = try EngineLoad.engine(over: log, hashing: StateHashing(intervalEvents: .max))
    try await EngineLoad.join(engine, workers: 100)
    try await withThrowingDiscardingTaskGroup { group in
        for client in 0..<200 {
            group.addTask {
                var names = CommandNames(client: client)
                for _ in 0..<jobs / 200 { try await engine.enqueue(&names) }
            }
        }
    }
    engine.stop()
    try await engine.waitForEnd()
    return log
}

/// The whole `projector global`, by HTTP.
final class HTTPContender: Contender {
    let name = "Drover by HTTP"
    let goals: [String: String]? = [PostgresContender.systemName: "3", BeanstalkTalk.name: "then 1"]
    private var directory = ""
    private var process: RoleProcess?
    private var address = URLComponents()
    private var rounds = 0

    func prepare(in directory: String, jobs: Int) async throws {
        self.directory = directory
        let path = directory + "/global/log"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        _ = try await makeQueue(in: path, jobs: jobs)
    }

    func start(slowedMicroseconds: Int) async throws {
        let process = RoleProcess(
            name: "global", executable: product("projector"), directory: directory,
            arguments: ["global", "--data", directory + "/global", "--listen", "127.0.0.1:0"],
            environment: try SlowFlush.environment(slowedMicroseconds))
        self.process = process
        let url = try await process.start()
        guard let address = URLComponents(string: url) else { throw BenchmarkFailure("\(url) is no address") }
        self.address = address
        // Until the views have caught up, so that only what claims cost is measured.
        let client = GlobalClient(endpoint: url, actor: .person("bench"))
        let start = ContinuousClock.now
        while (try? await client.query("SELECT count(*) FROM workers")) == nil {
            guard elapsed(since: start) < 120 else { throw BenchmarkFailure("the views do not catch up") }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    func claim(workers: Int, seconds: Double) async throws -> LoadResult {
        guard let host = address.host, let port = address.port else { throw BenchmarkFailure("no server") }
        rounds += 1
        let talks = (0..<workers).map { ClaimTalk(client: $0, round: rounds, host: "\(host):\(port)") }
        return try await Caller.all(talks, host: host, port: port, seconds: seconds)
    }

    func processorSeconds() throws -> Double? { try process?.processorSeconds() }

    func stop() async {
        await process?.stop()
        process = nil
    }
}

/// A worker that claims and never builds.
private struct ClaimTalk: Dialogue {
    private let requests: HTTPRequests
    private var names: CommandNames

    init(client: Int, round: Int, host: String) {
        (requests, names) = (HTTPRequests(host: host), CommandNames(client: client, from: round << 24))
    }

    mutating func request() -> String? { requests.claim(&names) }

    mutating func take(_ bytes: inout ByteBuffer) throws -> Bool { try HTTPAnswer(done: &bytes) != nil }
}
