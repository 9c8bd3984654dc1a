import Codec
import Domain
import Engine
import Ports
import Testing

/// Hashes of the state in the log, and replays that come to another state.
@Suite struct StateHashTests {
    private let hashing = StateHashing(intervalEvents: 10)

    /// A log of a few hashes.
    private func hashedLog() async throws -> FaultyStore {
        let store = FaultyStore()
        let engine = try makeEngine(store) { $0.hashing = hashing }
        for number in 1...60 {
            _ = try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
            if number.isMultiple(of: 10) { try await Task.sleep(for: .milliseconds(50)) }
        }
        engine.stop()
        try await engine.waitForEnd()
        return store
    }

    private func hashes(_ batches: [FrameBatch]) throws -> [LogEvent] {
        try batches.flatMap(\.frames).compactMap { try globalCodec.decode($0)?.event }.compactMap(Global.fact).filter {
            if case .stateHashed = $0 { true } else { false }
        }
    }

    private func replay(_ batches: [FrameBatch], _ hashing: StateHashing) throws {
        var replay = Replay<Global>(of: LogIdentity(high: 1, low: 2), codec: globalCodec, hashing: hashing)
        for batch in batches { try replay.take(batch) }
        try replay.prove()
    }

    /// The same log with every hash changed.
    private func altered(
        _ batches: [FrameBatch], _ change: (LogSequence, UInt64, Digest) -> LogEvent
    ) throws -> [FrameBatch] {
        try batches.map { batch in
            var batch = batch
            for (place, frame) in batch.frames.enumerated() {
                guard
                    case .log(.stateHashed(let at, let fingerprint, let digest))? = try globalCodec.decode(frame)?.event
                else { continue }
                batch.frames[place].payload = try globalCodec.encode(.log(change(at, fingerprint, digest))).payload
            }
            return batch
        }
    }

    @Test func hashesAreWrittenAndHold() async throws {
        let store = try await hashedLog()
        let ends = Set(store.batches.map(\.end.sequence))
        let found = try hashes(store.batches)
        #expect(found.count >= 2)
        for case .stateHashed(let at, let fingerprint, _) in found {
            #expect(ends.contains(at))
            #expect(fingerprint == Global.reducerFingerprint)
        }
        try replay(store.batches, hashing)
        _ = try Replay<Global>.whole(store, codec: globalCodec, hashing: hashing)
    }

    @Test func anotherStateIsDamage() async throws {
        let batches = try await hashedLog().batches
        let wrong = try altered(batches) { at, fingerprint, _ in
            .stateHashed(at: at, fingerprint: fingerprint, digest: .zero)
        }
        #expect { try replay(wrong, hashing) } throws: { ($0 as? CodecFailure)?.message.contains("hashed") == true }
    }

    @Test func otherReducersAreNotCompared() async throws {
        let batches = try await hashedLog().batches
        let others = try altered(batches) { at, fingerprint, _ in
            .stateHashed(at: at, fingerprint: fingerprint + 1, digest: .zero)
        }
        try replay(others, hashing)
    }

    /// A text that a redaction took out was in a state that was hashed: the record behind explains it, nothing else does.
    @Test func aRedactionExplainsWhatItTookOut() throws {
        let cancelled: [GlobalEvent] = [
            .queue(.enqueued(JobID(rawValue: 1), request(1))),
            .queue(.cancelRequested(JobID(rawValue: 1), reason: "secret")),
        ]
        var replay = Replay<Global>(of: LogIdentity(high: 1, low: 2), codec: globalCodec, hashing: hashing)
        for batch in try batches(cancelled, from: 9) { try replay.take(batch) }
        let digest = try StateCodec.stateHash(replay.state)
        let hashed = GlobalEvent.log(
            .stateHashed(at: LogSequence(rawValue: 10), fingerprint: Global.reducerFingerprint, digest: digest))
        var all = cancelled + [hashed]
        try self.replay(try batches(all, from: 9), hashing)
        all[1] = try #require(all[1].withoutFreeText("[redacted 10]"))
        #expect(throws: CodecFailure.self) { try self.replay(try batches(all, from: 9), hashing) }
        for (at, explains) in [(10, true), (9, true), (11, false)] as [(UInt64, Bool)] {
            let record = GlobalEvent.log(
                .payloadRedacted(
                    at: LogSequence(rawValue: at), payload: .zero, substitute: .zero, reason: "it was a secret"))
            let recorded = try batches(all + [record], from: 9)
            if explains {
                try self.replay(recorded, hashing)
            } else {
                #expect(throws: CodecFailure.self) { try self.replay(recorded, hashing) }
            }
        }
    }

    private func batches(_ events: [GlobalEvent], from first: UInt64) throws -> [FrameBatch] {
        try events.enumerated().map { index, event in
            let sequence = LogSequence(rawValue: first + UInt64(index))
            let encoded = try globalCodec.encode(event)
            let header = FrameHeader(
                epoch: .first, sequence: sequence, time: .zero, command: sequence, actor: .person("ada"))
            let frame = Frame(
                header: header, type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
            let end = LogPosition(
                log: LogIdentity(high: 1, low: 2), epoch: .first, sequence: sequence, chain: .zero)
            return FrameBatch(frames: [frame], end: end)
        }
    }

    /// A start compares the newest hashes only.
    @Test func aStartLooksAtTheNewest() {
        let head = LogPosition(
            log: LogIdentity(high: 1, low: 2), epoch: .first, sequence: LogSequence(rawValue: 100), chain: .zero)
        let latest = hashing.latest(before: head)
        #expect(hashing.isDue(after: LogSequence(rawValue: 69), at: LogSequence(rawValue: 71)))
        #expect(!latest.isDue(after: LogSequence(rawValue: 69), at: LogSequence(rawValue: 71)))
        #expect(latest.isDue(after: LogSequence(rawValue: 89), at: LogSequence(rawValue: 91)))
        #expect(!latest.isDue(after: LogSequence(rawValue: 91), at: LogSequence(rawValue: 92)))
    }

    @Test func theLastProofOfABackupIsFound() async throws {
        let store = FaultyStore()
        let engine = try makeEngine(store)
        #expect(engine.lastBackupProof() == nil)
        for number: UInt64 in 1...2 {
            engine.backupProved(at: LogSequence(rawValue: number), state: .zero, milliseconds: 5)
            _ = try await engine.submit(.queue(.enqueue(request(Int(number)))), actor: .person("ada"))
        }
        #expect(engine.lastBackupProof()?.sequence == LogSequence(rawValue: 2))
        engine.stop()
        try await engine.waitForEnd()
        // Behind more events than are looked at in one go.
        let tail = store.batches[0].frames[0]
        for _ in 0..<3 {
            let head = try store.head().sequence.rawValue
            _ = try store.append(
                (1...15_000).map { (place: UInt64) in
                    var frame = tail
                    frame.header.sequence = LogSequence(rawValue: head + place)
                    return frame
                })
        }
        let restarted = try makeEngine(store)
        #expect(restarted.lastBackupProof()?.sequence == LogSequence(rawValue: 2))
        restarted.stop()
        try await restarted.waitForEnd()
    }
}
