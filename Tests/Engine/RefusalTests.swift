import Codec
import Domain
import Engine
import Ports
import Testing

/// Refused calls are recorded, and cannot fill the log.
@Suite struct RefusalTests {
    private func stale(_ job: UInt64, _ attempt: UInt64) -> GlobalCommand {
        .queue(
            .heartbeat(JobID(rawValue: job), AttemptNumber(rawValue: attempt), counter: 1, stage: .build))
    }

    /// Jobs that ended: nothing is known of how many attempts they had.
    private func engine(jobs: Int, _ store: FaultyStore, _ clock: HandClock) async throws -> EngineService<Global> {
        let engine = try makeEngine(store, clock: clock)
        for number in 1...jobs {
            _ = try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
            _ = try await engine.submit(
                .queue(.cancel(JobID(rawValue: UInt64(number)), reason: "")), actor: .person("ada"))
        }
        return engine
    }

    private func recorded(_ store: FaultyStore) throws -> Int {
        try store.batches.flatMap(\.frames).compactMap { try globalCodec.decode($0)?.event }.compactMap(Global.fact)
            .filter { if case .refused = $0 { true } else { false } }.count
    }

    @Test func aMinuteHasAThousand() async throws {
        let (store, clock) = (FaultyStore(), HandClock())
        let engine = try await engine(jobs: 12, store, clock)
        for job in 1...12 as ClosedRange<UInt64> {
            for attempt in 1...100 as ClosedRange<UInt64> {
                _ = try await engine.submit(stale(job, attempt), actor: .worker(WorkerName(unchecked: "w")))
            }
        }
        #expect(try recorded(store) == 1000)
        clock.advance(wall: 60_000, monotonic: 60_000)
        _ = try await engine.submit(stale(12, 100), actor: .worker(WorkerName(unchecked: "w")))
        #expect(try recorded(store) == 1001)
        engine.stop()
        try await engine.waitForEnd()
    }

    @Test func attemptsThatNeverWereAreNotRecorded() async throws {
        let (store, clock) = (FaultyStore(), HandClock())
        let engine = try await engine(jobs: 1, store, clock)
        for attempt in [0, 101, 1_000_000, .max] as [UInt64] {
            _ = try await engine.submit(stale(1, attempt), actor: .worker(WorkerName(unchecked: "w")))
        }
        #expect(try recorded(store) == 0)
        engine.stop()
        try await engine.waitForEnd()
    }
}
