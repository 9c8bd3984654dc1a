import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Testing

@Suite struct EngineTests {
    @Test func answersAreDurableAndInOrder() async throws {
        let store = FaultyStore()
        let engine = try makeEngine(store)
        for number in 1...20 {
            let outcome = try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
            guard case .accepted(.queue(.enqueued(let job, false)), let position) = outcome else {
                Issue.record("not enqueued: \(outcome)")
                continue
            }
            #expect(job.rawValue == UInt64(number))
            #expect(try store.head().sequence >= position.sequence)
        }
        let (live, replayed) = try await liveAndReplayed(engine)
        #expect(live == replayed)
        engine.stop()
        try await engine.waitForEnd()
    }

    @Test func twoClaimsAtOnceGetTwoJobs() async throws {
        let engine = try makeEngine(FaultyStore())
        let region = RegionName(unchecked: "one")
        _ = try await engine.submit(.fleet(.regionJoin(region, endpoint: "http://x")), actor: .region(region))
        for number in 1...50 { _ = try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada")) }
        for number in 1...50 {
            let worker = WorkerName(unchecked: "w\(number)")
            _ = try await engine.submit(.fleet(.workerJoin(worker, region)), actor: .worker(worker))
        }
        let jobs = try await withThrowingTaskGroup(of: JobID?.self) { group in
            for number in 1...50 {
                group.addTask {
                    let worker = WorkerName(unchecked: "w\(number)")
                    guard
                        case .accepted(.queue(.claimed(let job, _, _, _, _)), _) = try await engine.submit(
                            .queue(.claim(worker)), actor: .worker(worker))
                    else { return nil }
                    return job
                }
            }
            return try await group.reduce(into: [JobID?]()) { $0.append($1) }
        }
        #expect(Set(jobs.compactMap { $0 }).count == 50)
        engine.stop()
    }

    @Test func aRestartGoesOnFromTheLog() async throws {
        let store = FaultyStore()
        let first = try makeEngine(store)
        _ = try await first.submit(.queue(.enqueue(request(1))), actor: .person("ada"), key: "k")
        first.stop()
        try await first.waitForEnd()
        let second = try makeEngine(store)
        let again = try await second.submit(.queue(.enqueue(request(1))), actor: .person("ada"), key: "k")
        guard case .accepted(.queue(.enqueued(let job, false)), _) = again else {
            Issue.record("the key was forgotten: \(again)")
            return
        }
        #expect(job.rawValue == 1)
        let reused = try await second.submit(.queue(.enqueue(request(2))), actor: .person("ada"), key: "k")
        guard case .refused(let refusal, _) = reused else {
            Issue.record("a key was used twice")
            return
        }
        #expect(refusal.code == .keyReused)
        second.stop()
    }

    @Test func aNewEpochIsInEveryLaterFrame() async throws {
        let store = FaultyStore()
        let first = try makeEngine(store)
        first.stop()
        try await first.waitForEnd()
        let second = try makeEngine(store, newEpoch: "restored")
        _ = try await second.submit(.queue(.enqueue(request(1))), actor: .person("ada"))
        #expect(second.head.epoch == Epoch(rawValue: 2))
        #expect(store.batches.last?.frames.last?.header.epoch == Epoch(rawValue: 2))
        second.stop()
    }

    @Test func waitsEndByChangeByTimeAndByStop() async throws {
        let engine = try makeEngine(FaultyStore())
        let head = engine.head
        async let changed = engine.waitForChange(after: head.sequence, timeoutMilliseconds: 60_000)
        _ = try await engine.submit(.queue(.enqueue(request(1))), actor: .person("ada"))
        #expect(await changed.sequence > head.sequence)
        let now = engine.head.sequence
        #expect(await engine.waitForChange(after: now, timeoutMilliseconds: 20).sequence == now)
        async let stopped = engine.waitForChange(after: now, timeoutMilliseconds: 60_000)
        engine.stop()
        #expect(await stopped.sequence == now)
    }

    /// The real log under the same engine.
    @Test func worksOnLMDB() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/drover-engine-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let log = try EventLog.open(directory: path, mode: .create(identity: nil))
        let engine = try makeEngine(log, clock: SystemClock())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<16 {
                group.addTask {
                    for number in 0..<20 {
                        _ = try await engine.submit(
                            .queue(.enqueue(request(client * 1000 + number))), actor: .person("c\(client)"))
                    }
                }
            }
            try await group.waitForAll()
        }
        let (live, replayed) = try await liveAndReplayed(engine)
        #expect(live == replayed)
        #expect(live.queue.enqueued.rawValue == 320)
        #expect(try log.verify().isSound)
        engine.stop()
        try await engine.waitForEnd()
    }
}
