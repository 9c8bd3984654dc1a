import Domain
import Engine
import EventLog

/// A log that the engine itself made: jobs that are enqueued, claimed, heard three times, uploaded, stored and so
/// succeeded, eight events each.
struct MadeLog {
    static let clients = 100

    let events: UInt64

    /// Makes it in the directory; returns the number of its events.
    func make(in directory: String) async throws -> UInt64 {
        let log = try EventLog.open(directory: directory, mode: .create(identity: nil))
        let engine = try EngineLoad.engine(over: log)
        try await EngineLoad.join(engine, workers: Self.clients)
        try await withThrowingDiscardingTaskGroup { group in
            for client in 0..<Self.clients {
                group.addTask {
                    var names = CommandNames(client: client)
                    while engine.head.sequence.rawValue < events { try await Self.job(&names, engine) }
                }
            }
        }
        engine.stop()
        try await engine.waitForEnd()
        return try log.head().sequence.rawValue
    }

    private static func job(_ names: inout CommandNames, _ engine: EngineService<Global>) async throws {
        try await engine.enqueue(&names)
        let (job, attempt) = try await engine.claim(&names)
        let worker = EventActor.worker(names.worker)
        for (counter, stage) in [AttemptStage.build, .pack, .upload].enumerated() {
            try await engine.accept(
                .queue(.heartbeat(job, attempt, counter: UInt64(counter + 1), stage: stage)), worker)
        }
        let digest = Digest(words: job.rawValue, 2, 3, 4)
        let pack = UploadedPack(
            manifest: digest, region: LoadWords.region, rawBytes: 200 << 20, packedBytes: 60 << 20)
        try await engine.accept(.queue(.reportUploaded(job, attempt, pack)), worker, key: names.next().key)
        try await engine.accept(
            .packStored(job, attempt, region: LoadWords.region, manifest: digest), .region(LoadWords.region),
            key: names.next().key)
    }
}
