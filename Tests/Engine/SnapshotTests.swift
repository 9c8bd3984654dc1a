import Codec
import Domain
import Engine
import Foundation
import Ports
import Testing

/// Snapshots of the state: a start from one is a start from the first event, and whatever is wrong with one is passed
/// over.
@Suite struct SnapshotTests {
    private let directory = FileManager.default.temporaryDirectory.path + "/drover-snapshots-\(UUID().uuidString)"
    private var snapshots: StateSnapshots { StateSnapshots(directory: directory) }
    private let hashing = StateHashing(intervalEvents: 10)

    /// A log of a random history, with the snapshots that its engine kept.
    private func history(seed: UInt64, commands: Int = 60, keeps: Bool = true) async throws -> FaultyStore {
        let store = FaultyStore()
        let engine = try makeEngine(store) {
            $0.hashing = hashing
            $0.snapshots = keeps ? snapshots : nil
        }
        var random = Steps(seed: seed)
        for number in 1...commands {
            let key = random.next(3) == 0 ? "k\(random.next(2) == 0 ? number : 1)" : nil
            _ = try await engine.submit(random.command(number), actor: .person("ada"), key: key)
            if number.isMultiple(of: 10) { try await Task.sleep(for: .milliseconds(20)) }
        }
        // However slow the machine is.
        for number in 1...1000 where keeps && snapshots.paths.count < snapshots.maximumKept {
            _ = try await engine.submit(.queue(.enqueue(request(commands + number))), actor: .person("ada"))
            try await Task.sleep(for: .milliseconds(20))
        }
        engine.stop()
        try await engine.waitForEnd()
        try await settle()
        return store
    }

    /// What is under way beside the writer has ended.
    private func settle() async throws {
        for _ in 0..<100 where FileManager.default.fileExists(atPath: directory + "/writing") {
            try await Task.sleep(for: .milliseconds(20))
        }
        try await Task.sleep(for: .milliseconds(20))
    }

    private func start(_ store: any LogStore) throws -> Replay<Global> {
        try Replay<Global>.start(
            store, codec: globalCodec, hashing: hashing, snapshots: snapshots, logger: silentLogger)
    }

    private func clean() { try? FileManager.default.removeItem(atPath: directory) }

    private func expectSame(_ one: Replay<Global>, _ other: Replay<Global>) throws {
        #expect(one.head == other.head && one.lastTime == other.lastTime && one.unknownEvents == other.unknownEvents)
        #expect(one.state == other.state)
        #expect(try StateCodec.encode(one.state) == StateCodec.encode(other.state))
    }

    /// What stands there already and says the same is never away; what says something else gives way.
    @Test func aSnapshotOfTheSameSequenceStaysWhole() async throws {
        defer { clean() }
        _ = try await history(seed: 11)
        let path = try #require(snapshots.paths.first)
        let snapshot = try StateSnapshots.read(path)
        func number() throws -> UInt64? {
            try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? UInt64
        }
        let before = try number()
        try snapshots.write(snapshot)
        #expect(try number() == before)
        try Data("damaged".utf8).write(to: URL(filePath: path))
        try snapshots.write(snapshot)
        #expect(try StateSnapshots.read(path) == snapshot)
        #expect(!FileManager.default.fileExists(atPath: directory + "/writing"))
    }

    @Test func anEngineKeepsTheNewestAndStartsFromIt() async throws {
        defer { clean() }
        let store = try await history(seed: 1)
        let paths = snapshots.paths
        #expect(paths.count == snapshots.maximumKept)
        #expect(paths == paths.sorted(by: >))
        let replay = try start(store)
        #expect(replay.base == (try StateSnapshots.read(paths[0])).position.sequence)
        #expect(replay.base > .zero)
        try expectSame(replay, try Replay<Global>.whole(store, codec: globalCodec))
        // And an engine goes on from there.
        let engine = try makeEngine(store) { $0.snapshots = snapshots }
        _ = try await engine.submit(.queue(.enqueue(request(9000))), actor: .person("ada"))
        let (live, folded) = try await liveAndReplayed(engine)
        #expect(live == folded)
        engine.stop()
        try await engine.waitForEnd()
    }

    /// From the state at every end of a batch, through a file's bytes, to the end.
    @Test(arguments: 1...8) func everyPrefixGoesOnAsFromZero(seed: Int) async throws {
        let store = try await history(seed: UInt64(seed), commands: 40, keeps: false)
        let whole = try Replay<Global>.whole(store, codec: globalCodec)
        var prefix = Replay<Global>(of: store.identity, codec: globalCodec)
        for batch in store.batches {
            try prefix.take(batch)
            let snapshot = try snapshotOf(prefix)
            let read = try StateSnapshot(snapshot.header + snapshot.state)
            #expect(read == snapshot)
            var replay = try Replay<Global>(from: read, codec: globalCodec)
            for later in store.batches where later.end.sequence > batch.end.sequence { try replay.take(later) }
            try expectSame(replay, whole)
        }
    }

    private func snapshotOf(_ replay: Replay<Global>) throws -> StateSnapshot {
        let bytes = try StateCodec.encode(replay.state)
        return StateSnapshot(
            position: replay.head, fingerprint: Global.reducerFingerprint, lastTime: replay.lastTime,
            unknownEvents: replay.unknownEvents, state: bytes, digest: StateCodec.hash(bytes))
    }

    /// Every byte of the head, and every 7th of the state, with one bit changed; and every length but the right one.
    @Test func noDamagedByteIsBelieved() throws {
        var replay = Replay<Global>(of: LogIdentity(high: 1, low: 2), codec: globalCodec)
        let header = FrameHeader(
            epoch: .first, sequence: LogSequence(rawValue: 1), time: Timestamp(milliseconds: 5),
            command: LogSequence(rawValue: 1), actor: .system)
        let event = try globalCodec.encode(.log(.engineStarted(version: "x", level: 1)))
        try replay.take(
            FrameBatch(
                frames: [
                    Frame(
                        header: header, type: event.type, schemaRevision: event.schemaRevision, payload: event.payload)
                ],
                end: LogPosition(
                    log: LogIdentity(high: 1, low: 2), epoch: .first, sequence: LogSequence(rawValue: 1), chain: .zero))
        )
        let snapshot = try snapshotOf(replay)
        let bytes = snapshot.header + snapshot.state
        #expect(try StateSnapshot(bytes) == snapshot)
        #expect(snapshot.header.count == 148)
        for place in Array(0..<148) + stride(from: 148, to: bytes.count, by: 7) {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            #expect(throws: SnapshotProblem.self, "byte \(place)") { try StateSnapshot(damaged) }
        }
        for length in 0..<bytes.count {
            #expect(throws: SnapshotProblem.self, "length \(length)") { try StateSnapshot(Array(bytes[..<length])) }
        }
        #expect(throws: SnapshotProblem.self) { try StateSnapshot(bytes + [0]) }
    }

    /// Each of these is written as it should be, and must not be started from.
    @Test(arguments: ["log", "fingerprint", "chain", "epoch", "end", "newer"])
    func whatIsNotOfThisLogIsPassedOver(wrong: String) async throws {
        defer { clean() }
        let store = try await history(seed: 3)
        let (newest, older) = (snapshots.paths[0], snapshots.paths[1])
        var snapshot = try StateSnapshots.read(newest)
        var bytes: [UInt8]?
        switch wrong {
        case "log": snapshot.position.log = LogIdentity(high: 1, low: 3)
        case "fingerprint": snapshot.fingerprint += 1
        case "chain": snapshot.position.chain = Digest(words: 1, 2, 3, 4)
        case "epoch": snapshot.position.epoch = Epoch(rawValue: 2)
        case "end": snapshot.position.sequence = LogSequence(rawValue: 100_000)
        default:
            bytes = snapshot.header + snapshot.state
            bytes?[14] = UInt8(ascii: "2")
        }
        try Data(bytes ?? (snapshot.header + snapshot.state)).write(to: URL(filePath: newest))
        let replay = try start(store)
        #expect(replay.base == (try StateSnapshots.read(older)).position.sequence)
        try expectSame(replay, try Replay<Global>.whole(store, codec: globalCodec))
        let findings = try snapshots.check(Global.self, of: store, codec: globalCodec)
        #expect(findings.count == 2 && findings[0].verdict == .sound)
        guard case .unused = findings[1].verdict else { return #expect(Bool(false), "\(findings[1])") }
    }

    /// A state that a checksum was made for and that is not the log's. Where the log says its hash, a start sees it;
    /// everywhere `verify` does.
    @Test(arguments: [true, false]) func aLyingSnapshotIsFound(isHashed: Bool) async throws {
        defer { clean() }
        let store = try await history(seed: 4)
        var snapshot = try StateSnapshots.read(snapshots.paths[0])
        if !isHashed {
            let batch = try #require(store.batches.last)
            snapshot.position = batch.end
            snapshot.lastTime = try #require(batch.frames.last).header.time
        }
        var state = try StateCodec.decode(GlobalState.self, snapshot.state)
        let number = FrameHeader(
            epoch: .first, sequence: LogSequence(rawValue: 1), time: snapshot.lastTime,
            command: LogSequence(rawValue: 1), actor: .system)
        Global.reduce(&state, Envelope(header: number, event: .log(.engineStarted(version: "lie", level: 1))))
        snapshot.state = try StateCodec.encode(state)
        snapshot.digest = StateCodec.hash(snapshot.state)
        try snapshots.write(snapshot)
        let findings = try snapshots.check(Global.self, of: store, codec: globalCodec)
        #expect(findings.last?.verdict == .wrong)
        if isHashed { try expectSame(try start(store), try Replay<Global>.whole(store, codec: globalCodec)) }
    }

    @Test func aBoundedNumberStaysAndNothingAhead() async throws {
        defer { clean() }
        var snapshot = StateSnapshot(
            position: .start(of: LogIdentity(high: 1, low: 2)), fingerprint: 1, lastTime: .zero, unknownEvents: 0,
            state: [1], digest: StateCodec.hash([1]))
        for sequence: UInt64 in [10, 20, 900, 30, 30] {
            snapshot.position.sequence = LogSequence(rawValue: sequence)
            try snapshots.write(snapshot)
        }
        let kept = try snapshots.paths.map { try StateSnapshots.read($0).position.sequence.rawValue }
        #expect(kept == [30, 20])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 2)
    }

    /// Whoever died while a snapshot was written left some first part of it under its own name.
    @Test func aTornWriteChangesNothing() async throws {
        defer { clean() }
        let store = try await history(seed: 5)
        let whole = try Data(contentsOf: URL(filePath: snapshots.paths[0]))
        for length in [0, 1, 147, 148, 149, whole.count / 2, whole.count] {
            try whole.prefix(length).write(to: URL(filePath: directory + "/writing"))
            #expect(try start(store).base == (try StateSnapshots.read(snapshots.paths[0])).position.sequence)
        }
        try snapshots.write(try StateSnapshots.read(snapshots.paths[0]))
        #expect(!FileManager.default.fileExists(atPath: directory + "/writing"))
    }

    /// A start that had to fold more than an interval leaves a snapshot at once.
    @Test func aLongFoldIsNotDoneTwice() async throws {
        defer { clean() }
        let store = try await history(seed: 6, keeps: false)
        #expect(snapshots.paths.isEmpty)
        let before = try store.head().sequence
        #expect(before > LogSequence(rawValue: 20))
        let engine = try makeEngine(store) {
            $0.hashing = hashing
            $0.snapshots = snapshots
        }
        engine.stop()
        try await engine.waitForEnd()
        for _ in 0..<100 where snapshots.paths.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        try await settle()
        #expect(try start(store).base > before)
        try expectSame(try start(store), try Replay<Global>.whole(store, codec: globalCodec))
    }
}

/// Commands from a seed, over few names, so that most of them meet.
private struct Steps {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(_ bound: UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state % bound
    }

    mutating func command(_ number: Int) -> GlobalCommand {
        let job = JobID(rawValue: next(UInt64(number)) + 1)
        let worker = WorkerName(unchecked: "w\(next(3))")
        let region = RegionName(unchecked: "r\(next(2))")
        switch next(8) {
        case 0: return .fleet(.workerJoin(worker, region))
        case 1: return .fleet(.regionJoin(region, endpoint: "http://127.0.0.1:\(7000 + next(3))"))
        case 2, 3: return .queue(.claim(worker))
        case 4: return .queue(.heartbeat(job, AttemptNumber(rawValue: 1), counter: next(5) + 1, stage: .build))
        case 5: return .queue(.cancel(job, reason: "seed"))
        default: return .queue(.enqueue(request(number)))
        }
    }
}
