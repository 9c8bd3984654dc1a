import Codec
import Domain
import Engine
import EventLog
import Ports

/// A log that the engine's core writes in this very thread: no client, no task, so that what is measured is deciding,
/// encoding, reducing and committing.
///
/// A hundred workers take jobs, each heard three times. The first `builds` of them become builds that are kept; the others
/// fail, since rows of retired builds stay, and a log of their kind would measure the builds' number and not its own length.
struct GrowingLog {
    static let workers = 100

    private let log: EventLog
    private let keptBuilds: Int
    private var core: EngineCore<Global>
    private var batch = EngineCore<Global>.PendingBatch()
    private var milliseconds: Int64 = 0
    private var names = (0..<workers).map { CommandNames(client: $0) }

    /// Log time at its start, and what passes from batch to batch.
    private static let start: Int64 = 1_700_000_000_000
    private static let batchMilliseconds: Int64 = 10

    init(in directory: String, keptBuilds: Int) throws {
        log = try EventLog.open(directory: directory, mode: .create(identity: nil))
        self.keptBuilds = keptBuilds
        let reading = ClockReading(wallMilliseconds: Self.start, monotonicMilliseconds: 0)
        core = EngineCore(
            state: Global.initialState, head: try log.head(), codec: GlobalCodec(),
            clock: LogClock(after: Timestamp(milliseconds: Self.start), reading: reading))
        core.record(.engineStarted(version: "bench", level: 1), into: &batch)
        decide(.fleet(.regionJoin(LoadWords.region, endpoint: "http://10.0.0.2:7071")), .region(LoadWords.region))
        for name in names { decide(.fleet(.workerJoin(name.worker, LoadWords.region)), .worker(name.worker)) }
        try commit()
    }

    var events: UInt64 { core.head.sequence.rawValue }

    /// Works until the log has so many events or a few more.
    mutating func grow(to events: UInt64) throws {
        while self.events < events { try oneRound() }
    }

    /// A job for every worker, from its enqueue to its end.
    private mutating func oneRound() throws {
        let first = core.state.queue.enqueued.rawValue + 1
        let succeeds = core.state.queue.builds.count < keptBuilds
        try each { log, worker, _ in
            let (commit, key) = log.names[worker].next()
            let request = JobRequest(app: LoadWords.app, repository: LoadWords.repository, commit: commit)
            log.decide(.queue(.enqueue(request)), .person("bench"), key: key)
        }
        try each { log, worker, actor in
            log.decide(.queue(.claim(log.names[worker].worker)), actor, key: log.names[worker].next().key)
        }
        for (counter, stage) in [AttemptStage.build, .pack, .upload].enumerated() {
            try each { log, worker, actor in
                let job = JobID(rawValue: first + UInt64(worker))
                log.decide(.queue(.heartbeat(job, .first, counter: UInt64(counter + 1), stage: stage)), actor)
            }
        }
        try each { log, worker, actor in
            let (job, key) = (JobID(rawValue: first + UInt64(worker)), log.names[worker].next().key)
            log.decide(.queue(log.report(job, succeeds: succeeds)), actor, key: key)
        }
        guard succeeds else { return }
        try each { log, worker, _ in
            let (job, key) = (JobID(rawValue: first + UInt64(worker)), log.names[worker].next().key)
            let stored = GlobalCommand.packStored(
                job, .first, region: LoadWords.region, manifest: Digest(words: job.rawValue, 2, 3, 4))
            log.decide(stored, .region(LoadWords.region), key: key)
        }
    }

    private func report(_ job: JobID, succeeds: Bool) -> QueueCommand {
        guard succeeds else { return .reportFailed(job, .first, .exit, detail: "exit 2") }
        let pack = UploadedPack(
            manifest: Digest(words: job.rawValue, 2, 3, 4), region: LoadWords.region, rawBytes: 200 << 20,
            packedBytes: 60 << 20)
        return .reportUploaded(job, .first, pack)
    }

    /// One command a worker, and a commit.
    private mutating func each(_ body: (inout GrowingLog, Int, EventActor) -> Void) throws {
        for worker in 0..<Self.workers { body(&self, worker, .worker(names[worker].worker)) }
        try commit()
    }

    private mutating func decide(_ command: GlobalCommand, _ actor: EventActor, key: String? = nil) {
        core.decide(Submission(command: command, actor: actor, key: key), into: &batch)
    }

    private mutating func commit() throws {
        for outcome in core.committed(batch, at: try log.append(batch.frames)) {
            if case .refused(let refusal, _) = outcome { throw BenchmarkFailure("refused: \(refusal.message)") }
        }
        batch = EngineCore<Global>.PendingBatch()
        milliseconds += Self.batchMilliseconds
        let reading = ClockReading(
            wallMilliseconds: Self.start + milliseconds, monotonicMilliseconds: milliseconds)
        core.tick(reading, into: &batch)
    }
}
