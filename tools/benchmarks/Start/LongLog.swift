import Codec
import Domain
import Engine
import EventLog
import Ports

/// A log of weeks, made by the engine's own decisions on a clock of its own: days of jobs that are enqueued, claimed,
/// heard for ten minutes, and fail, but for the builds that are kept.
struct LongLog {
    static let jobsADay = 5000
    static let heartbeats = 40
    static let workers = 100
    static let commandsAtOnce = 1000

    let events: UInt64
    /// Jobs that succeed, spread over all of it.
    let builds: UInt64

    private var eventsOfJob: UInt64 { UInt64(Self.heartbeats) + 4 }

    /// Makes it in the directory; returns its end.
    func make(in directory: String, each progress: (UInt64) -> Void) throws -> LogPosition {
        let log = try EventLog.open(directory: directory, mode: .create(identity: nil))
        let millisecondsOfJob: Int64 = 24 * 3600 * 1000 / Int64(Self.jobsADay)
        var maker = try Maker(log: log)
        try maker.join(workers: Self.workers)
        let jobs = max(1, events / eventsOfJob)
        let kept = max(1, jobs / max(1, builds))
        var number: UInt64 = 0
        while maker.end.sequence.rawValue < events {
            number += 1
            try maker.job(number, succeeds: number.isMultiple(of: kept), milliseconds: millisecondsOfJob)
            if number.isMultiple(of: 5000) { progress(maker.end.sequence.rawValue) }
        }
        return try maker.flush()
    }

    /// One engine's core, and what it has decided since the last commit.
    private struct Maker {
        private let log: EventLog
        private var core: EngineCore<Global>
        private var batch = EngineCore<Global>.PendingBatch()
        private var reading = ClockReading(wallMilliseconds: 1_700_000_000_000, monotonicMilliseconds: 0)
        private(set) var end: LogPosition

        init(log: EventLog) throws {
            self.log = log
            end = try log.head()
            core = EngineCore(
                state: Global.initialState, head: end, codec: GlobalCodec(),
                clock: LogClock(after: .zero, reading: reading))
            core.record(.engineStarted(version: "bench", level: 1), into: &batch)
        }

        mutating func join(workers: Int) throws {
            try accept(
                .fleet(.regionJoin(LoadWords.region, endpoint: "http://10.0.0.2:7071")), .region(LoadWords.region))
            for client in 0..<workers {
                let worker = CommandNames(client: client).worker
                try accept(.fleet(.workerJoin(worker, LoadWords.region)), .worker(worker))
            }
        }

        mutating func job(_ number: UInt64, succeeds: Bool, milliseconds: Int64) throws {
            var names = CommandNames(client: Int(number) % LongLog.workers)
            let worker = EventActor.worker(names.worker)
            let text = String(number, radix: 16)
            guard let commit = CommitID(rawValue: String(repeating: "0", count: 40 - text.count) + text) else {
                throw BenchmarkFailure("no commit \(text)")
            }
            let request = JobRequest(app: LoadWords.app, repository: LoadWords.repository, commit: commit)
            try accept(.queue(.enqueue(request)), .person("bench"), key: "e\(number)")
            let (job, attempt) = (JobID(rawValue: number), AttemptNumber(rawValue: 1))
            try accept(.queue(.claim(names.worker)), worker, key: names.next().key + "c\(number)")
            for counter in 1...UInt64(LongLog.heartbeats) {
                try pass(milliseconds / Int64(LongLog.heartbeats))
                try accept(.queue(.heartbeat(job, attempt, counter: counter, stage: .build)), worker)
            }
            guard succeeds else {
                return try accept(.queue(.reportFailed(job, attempt, .exit, detail: "exit 2")), worker)
            }
            let digest = Digest(words: number, 2, 3, 4)
            let pack = UploadedPack(
                manifest: digest, region: LoadWords.region, rawBytes: 200 << 20, packedBytes: 60 << 20)
            try accept(.queue(.reportUploaded(job, attempt, pack)), worker)
            try accept(
                .packStored(job, attempt, region: LoadWords.region, manifest: digest), .region(LoadWords.region))
        }

        private mutating func pass(_ milliseconds: Int64) throws {
            reading.wallMilliseconds += milliseconds
            reading.monotonicMilliseconds += milliseconds
            core.tick(reading, into: &batch)
        }

        private mutating func accept(_ command: GlobalCommand, _ actor: EventActor, key: String? = nil) throws {
            core.decide(Submission(command: command, actor: actor, key: key), into: &batch)
            if case .refused(let refusal)? = batch.decided.last {
                throw BenchmarkFailure("refused: \(refusal.message)")
            }
            if batch.decided.count >= LongLog.commandsAtOnce { try flush() }
        }

        /// Makes durable what was decided.
        @discardableResult
        mutating func flush() throws -> LogPosition {
            guard !batch.frames.isEmpty else { return end }
            end = try log.append(batch.frames)
            _ = core.committed(batch, at: end)
            batch = EngineCore<Global>.PendingBatch()
            return end
        }
    }
}
