import Codec
import Domain
import Engine
import EventLog
import Logging
import Ports

/// Clients in this very process, straight at the engine over a log on the disk.
struct EngineLoad {
    let clients: Int
    let mix: CommandMix
    let seconds: Double

    /// Runs on a new log in the directory; says what got done, and which batches the engine committed for it.
    func run(in directory: String) async throws -> (LoadResult, [FrameBatch]) {
        let log = try EventLog.open(directory: directory, mode: .create(identity: nil))
        let engine = try Self.engine(over: log)
        try await Self.join(engine, workers: clients)
        let before = engine.head.sequence
        let start = ContinuousClock.now
        let deadline = start.advanced(by: .seconds(seconds))
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
            for client in 0..<clients {
                group.addTask { try await self.client(client, engine, until: deadline) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let result = LoadResult(latencies: latencies, seconds: elapsed(since: start))
        engine.stop()
        try await engine.waitForEnd()
        return (result, try log.batches(after: before))
    }

    static func engine(
        over log: EventLog, hashing: StateHashing = StateHashing()
    ) throws -> EngineService<Global> {
        var configuration = EngineConfiguration(version: "bench") { settings in
            var settings = settings
            settings.maximumOpenJobs = 10_000_000
            return settings
        }
        configuration.hashing = hashing
        return try EngineService<Global>(
            store: log, codec: GlobalCodec(), clock: SystemClock(), configuration: configuration,
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    }

    /// A region, and as many workers in it.
    static func join(_ engine: EngineService<Global>, workers: Int) async throws {
        let region = LoadWords.region
        try await engine.accept(.fleet(.regionJoin(region, endpoint: "http://10.0.0.2:7071")), .region(region))
        for client in 0..<workers {
            let worker = CommandNames(client: client).worker
            try await engine.accept(.fleet(.workerJoin(worker, region)), .worker(worker))
        }
    }

    private func client(
        _ number: Int, _ engine: EngineService<Global>, until deadline: ContinuousClock.Instant
    ) async throws -> [Double] {
        var (names, latencies) = (CommandNames(client: number), [Double]())
        var last = ContinuousClock.now
        func took() {
            let now = ContinuousClock.now
            latencies.append(last.duration(to: now) / .milliseconds(1))
            last = now
        }
        while last < deadline {
            try await engine.enqueue(&names)
            took()
            guard mix == .mixed else { continue }
            let (job, attempt) = try await engine.claim(&names)
            took()
            try await engine.accept(
                .queue(.heartbeat(job, attempt, counter: 1, stage: .build)), .worker(names.worker))
            took()
        }
        return latencies
    }
}

extension EngineService<Global> {
    /// Submits a command that must be accepted.
    @discardableResult
    func accept(_ command: GlobalCommand, _ actor: EventActor, key: String? = nil) async throws -> GlobalAnswer {
        switch try await submit(command, actor: actor, key: key) {
        case .accepted(let answer, _): return answer
        case .refused(let refusal, _): throw BenchmarkFailure("refused: \(refusal.message)")
        }
    }

    @discardableResult
    func enqueue(_ names: inout CommandNames) async throws -> JobID {
        let (commit, key) = names.next()
        let request = JobRequest(app: LoadWords.app, repository: LoadWords.repository, commit: commit)
        guard
            case .queue(.enqueued(let job, _)) = try await accept(
                .queue(.enqueue(request)), .person("bench"), key: key)
        else { throw BenchmarkFailure("an enqueue was answered in another's words") }
        return job
    }

    func claim(_ names: inout CommandNames) async throws -> (JobID, AttemptNumber) {
        let key = names.nextKey()
        guard
            case .queue(.claimed(let job, let attempt, _, _, _)) = try await accept(
                .queue(.claim(names.worker)), .worker(names.worker), key: key)
        else { throw BenchmarkFailure("there was nothing to claim") }
        return (job, attempt)
    }
}

extension LogStore {
    /// Every batch after a sequence.
    func batches(after sequence: LogSequence) throws -> [FrameBatch] {
        var (all, after) = ([FrameBatch](), sequence)
        while true {
            let next = try read(after: after, maximumFrames: 4096)
            guard let last = next.last else { return all }
            all += next
            after = last.end.sequence
        }
    }
}
