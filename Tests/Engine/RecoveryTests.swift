import Codec
import Domain
import Engine
import Ports
import Testing

/// What the writer owes the log after a commit that failed, and how it looks at the clock.
@Suite struct RecoveryTests {
    private func logFacts(_ store: FaultyStore) throws -> [LogEvent] {
        try store.batches.flatMap(\.frames).compactMap { try globalCodec.decode($0)?.event }.compactMap(Global.fact)
    }

    private func submit(_ engine: EngineService<Global>) async -> EngineFailure.Code? {
        do throws(EngineFailure) {
            _ = try await engine.submit(.queue(.enqueue(request(1))), actor: .person("ada"))
            return nil
        } catch { return error.code }
    }

    /// Whatever the disk shows after an unknown commit, "failed" is said only once something durable stands there.
    @Test func failedIsSaidBehindADurableEvent() async throws {
        let store = FaultyStore(faults: [2: .unknown(landed: false)])
        let engine = try makeEngine(store)
        #expect(await submit(engine) == .failed)
        #expect(try logFacts(store).last == .engineStalled(milliseconds: 0))
        #expect(await submit(engine) == nil)
        engine.stop()
        try await engine.waitForEnd()
    }

    @Test func withoutThatEventTheOutcomeIsUnknown() async throws {
        let engine = try makeEngine(FaultyStore(faults: [2: .unknown(landed: false), 3: .full]))
        #expect(await submit(engine) == .outcomeUnknown)
        await #expect(throws: EngineFailure.self) { try await engine.waitForEnd() }
    }

    /// A full disk changes nothing, so nothing has to stand there, and nothing could.
    @Test func aFullDiskNeedsNoEvent() async throws {
        let store = FaultyStore(faults: [2: .full])
        let engine = try makeEngine(store)
        #expect(await submit(engine) == .failed)
        #expect(store.batches.count == 1)
        #expect(await submit(engine) == nil)
        engine.stop()
        try await engine.waitForEnd()
    }

    /// The stall went with the batch that was to record it: the next one must say it, or leases end too soon.
    @Test(arguments: [Fault.full, .unknown(landed: false), .unknown(landed: true)])
    func aStallOutlivesTheBatchThatWasLost(fault: Fault) async throws {
        let store = FaultyStore(faults: [2: fault])
        let clock = HandClock()
        let engine = try makeEngine(store, clock: clock)
        clock.advance(wall: 100_000, monotonic: 90_000)
        _ = await submit(engine)
        _ = await submit(engine)
        let facts = try logFacts(store)
        #expect(facts.filter { if case .engineStalled(90_000) = $0 { true } else { false } }.count == 1, "\(facts)")
        #expect(facts.filter { if case .clockJumped(10_000) = $0 { true } else { false } }.count == 1, "\(facts)")
        let floor = try await engine.read { state, _ in state.queue.leaseFloor }
        #expect(floor.milliseconds >= 1_090_000)
        engine.stop()
        try await engine.waitForEnd()
    }

    /// An idle writer looks at the clock often enough for the shortest lease.
    @Test func anIdleWriterOfAShortLeaseDoesNotStall() async throws {
        let store = FaultyStore()
        let clock = CountingClock()
        let engine = try makeEngine(store, clock: clock) {
            $0.settings = { (old) throws(Refusal) in
                var new = old
                (new.leaseSeconds, new.heartbeatSeconds) = (1, 1)
                return new
            }
        }
        let before = clock.reads
        try await Task.sleep(for: .milliseconds(1000))
        #expect(clock.reads - before >= 4, "a tick may be a quarter of the lease, and machines are slow")
        engine.stop()
        try await engine.waitForEnd()
    }

    @Test func aLongReasonForANewEpochIsNoTrap() {
        #expect(throws: EngineFailure.self) {
            try makeEngine(FaultyStore(), newEpoch: String(repeating: "x", count: 501))
        }
        #expect(throws: Never.self) {
            try makeEngine(FaultyStore(), newEpoch: String(repeating: "x", count: 500)).stop()
        }
    }

    /// One commit takes only so many frames; what is left is decided next, in its order.
    @Test func aBatchHasItsLimit() async throws {
        let store = FaultyStore()
        let engine = try makeEngine(store) { $0.maximumBatchFrames = 5 }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...200 {
                group.addTask {
                    _ = try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
                }
            }
            try await group.waitForAll()
        }
        #expect(store.batches.allSatisfy { $0.frames.count <= 5 })
        #expect(try await engine.read { state, _ in state.queue.enqueued.rawValue } == 200)
        engine.stop()
        try await engine.waitForEnd()
    }
}
