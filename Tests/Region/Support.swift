import Blobs
import Client
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Packs
import Ports
import Serving
import Synchronization
import Testing
import Transfer
import Wire

@testable import Region

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
let here = RegionName(unchecked: "one")
let web = AppName(unchecked: "web")
let log = LogIdentity(high: 1, low: 2)

func build(_ number: UInt64) -> BuildID { BuildID(rawValue: number) }
func attempt(_ number: UInt64) -> AttemptNumber { AttemptNumber(rawValue: number) }

func position(_ sequence: UInt64, epoch: UInt64 = 1, log identity: LogIdentity = log) -> LogPosition {
    LogPosition(
        log: identity, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
        chain: sequence == 0 ? .zero : Digest(words: sequence, epoch, 0, 0))
}

/// Looks again until it is so; false after two minutes, which only a fault needs.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now.advanced(by: .seconds(120))
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// A directory of its own, gone with the last reference.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/drover-region-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A pack with its signed manifest.
struct TestPack: Sendable {
    static let keyScratch = Result { try Scratch() }
    let manifest: Manifest
    let bytes: [UInt8]
    let key: [UInt8]

    init(_ number: UInt64, attempt: AttemptNumber = .first, rawBytes: Int = 200_000) throws {
        let scratch = try Self.keyScratch.get().path
        let file = "\(scratch)/\(UUID().uuidString)"
        let raw = (0..<rawBytes).map { _ in UInt8.random(in: .min ... .max) }
        try Data(raw).write(to: URL(filePath: file + ".raw"))
        let request = PackRequest(
            app: web, build: BuildID(rawValue: number), attempt: attempt, commit: String(repeating: "a", count: 40),
            repository: "https://example.org/web.git", run: RunSettings(command: nil),
            provenance: PackProvenance(
                worker: WorkerName(unchecked: "w1"), region: here, builtAt: .zero, recipe: .zero, buildCommand: "make"))
        let unsigned = try PackWriter().pack(artifact: file + ".raw", to: file, request)
        let signer = try ReleaseKey.loadOrCreate(path: scratch + "/release-key")
        manifest = try Manifest.decode(try Manifest.sign(unsigned.bytes, signer: signer))
        bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
        key = signer.publicKey
    }

    var build: BuildID { manifest.facts.build }
    var attempt: AttemptNumber { manifest.facts.attempt }

    func uploaded(to region: RegionName) -> UploadedPack {
        UploadedPack(
            manifest: manifest.digest, region: region, rawBytes: manifest.facts.rawLength,
            packedBytes: manifest.totals.packedLength)
    }

    func uploadedFact(to region: RegionName = here) -> GlobalFact {
        .packUploaded(build, web, attempt, uploaded(to: region))
    }

    func storedFact(in region: RegionName) -> GlobalFact {
        .packStored(build, web, attempt, uploaded(to: region), region: region)
    }
}

/// A global process that answers what a test wants.
final class FakeUpstream: RegionUpstream {
    struct State: Sendable {
        var calls: [String] = []
        var manifests: [Digest: [UInt8]] = [:]
        var key: [UInt8] = []
        var over: Set<UInt64> = []
        /// The feed's answer after a position; nil: it blocks until cancelled.
        var feed: @Sendable (LogPosition?) -> Result<FeedAnswer, ClientFailure>? = { _ in nil }
        var asked: [LogPosition?] = []
        var snapshot: FeedSnapshotAnswer?
        var canJoin = true
        var reports: [[RegionLevel]] = []
        var failing: Set<UInt64> = []
    }

    let state = Mutex(State())

    func know(_ packs: TestPack...) {
        state.withLock { state in
            for pack in packs {
                state.manifests[pack.manifest.digest] = pack.manifest.bytes
                state.key = pack.key
            }
        }
    }

    var calls: [String] { state.withLock { $0.calls } }

    private func note(_ call: String) { state.withLock { $0.calls.append(call) } }

    private static let unreachable = ClientFailure.unreachable("nobody is there")

    func join(endpoint: String) async throws(ClientFailure) {
        guard state.withLock({ $0.canJoin }) else { throw Self.unreachable }
        note("join")
    }

    func feed(after position: LogPosition?, wait: WireDuration) async throws(ClientFailure) -> FeedAnswer {
        while true {
            let answer = state.withLock { state in
                if state.asked.last != position { state.asked.append(position) }
                return state.feed(position)
            }
            if let answer { return try answer.get() }
            if wait.milliseconds == 0, let position {
                return FeedAnswer(facts: [], position: position, sequence: position.sequence)
            }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { throw .cancelled }
        }
    }

    func feedSnapshot() async throws(ClientFailure) -> FeedSnapshotAnswer {
        note("snapshot")
        guard let answer = state.withLock({ $0.snapshot }) else { throw Self.unreachable }
        return answer
    }

    func report(_ levels: [RegionLevel]) async throws(ClientFailure) { state.withLock { $0.reports.append(levels) } }

    func packStored(
        _ build: BuildID, _ attempt: AttemptNumber, manifest: Digest
    ) async throws(ClientFailure) {
        if state.withLock({ $0.failing.contains(build.rawValue) }) { throw Self.unreachable }
        note("stored \(build)/\(attempt)")
    }

    func packLost(_ build: BuildID, detail: String) async throws(ClientFailure) { note("lost \(build)") }

    func packRemoved(_ build: BuildID) async throws(ClientFailure) { note("removed \(build)") }

    func reportStore(_ store: StoreLevel) async throws(ClientFailure) { note("store \(store.percent)") }

    func uploadFailed(_ job: JobID, _ attempt: AttemptNumber, detail: String) async throws(ClientFailure) {
        note("failed \(job)/\(attempt)")
    }

    func isOver(_ job: JobID, _ attempt: AttemptNumber) async throws(ClientFailure) -> Bool {
        state.withLock { $0.over.contains(job.rawValue) }
    }

    func manifest(_ digest: Digest) async throws(ClientFailure) -> [UInt8] {
        let bytes = state.withLock { $0.manifests[digest] }
        guard let bytes else { throw Self.unreachable }
        return bytes
    }

    func releaseKey() async throws(ClientFailure) -> [UInt8] { state.withLock { $0.key } }
}

func forked(to position: LogPosition?) -> ClientFailure {
    var problem = Problem(.forked, "not on this log's chain")
    problem.position = position
    return .problem(problem)
}

/// A region's engine, store and shelf, without a network.
final class TestRegion: Sendable {
    let scratch: Scratch
    let engine: EngineService<Regional>
    let store: DirectoryBlobStore
    let upstream = FakeUpstream()
    let shelf = PackShelf()
    let keys: ReleaseKeyBox

    init(scratch: Scratch? = nil) async throws {
        let scratch = try scratch ?? Scratch()
        self.scratch = scratch
        var settings = EventLog.Settings()
        settings.initialMapBytes = 16 << 20
        let events = try EventLog.open(
            directory: scratch.path + "/log", mode: .create(identity: nil), settings: settings)
        engine = try EngineService<Regional>(
            store: events, codec: RegionalCodec(), clock: SystemClock(),
            configuration: EngineConfiguration(version: "test"), logger: quietLogger)
        store = try await DirectoryBlobStore.open(scratch.path + "/store")
        keys = ReleaseKeyBox(path: scratch.path + "/release-key.pub")
    }

    /// Runs a test on a region and stops its engine.
    static func run(_ body: (TestRegion) async throws -> Void) async throws {
        let region = try await TestRegion()
        do { try await body(region) } catch {
            await region.close()
            throw error
        }
        await region.close()
    }

    func close() async {
        engine.stop()
        try? await engine.waitForEnd()
        store.close()
    }

    var keeper: StoreKeeper {
        StoreKeeper(engine: engine, upstream: upstream, store: store, shelf: shelf, logger: quietLogger)
    }

    var manifests: Manifests { Manifests(store: store, keys: keys, upstream: upstream) }

    func mirror(_ settings: MirrorSettings = MirrorSettings()) -> Mirror {
        Mirror(
            name: here, engine: engine, upstream: upstream, keeper: keeper, manifests: manifests, shelf: shelf,
            clock: SystemClock(), settings: settings, seed: 1, metrics: MetricsRegistry(), logger: quietLogger)
    }

    func follower(_ ready: Announcement = Announcement { _ in }) -> FeedFollower {
        FeedFollower(
            endpoint: "http://127.0.0.1:1", engine: engine, upstream: upstream, keys: keys, keeper: keeper,
            ready: ready, seed: 1, logger: quietLogger)
    }

    var state: RegionState { get async throws { try await engine.read { state, _ in state } } }

    func pack(_ build: BuildID) async throws -> RegionPack? { try await state.packs[build] }

    /// Takes facts with the sequences that follow.
    func take(_ facts: GlobalFact...) async throws {
        let start = try await state.position?.sequence.rawValue ?? 0
        let taken = facts.enumerated().map {
            TakenFact($0.element, at: LogSequence(rawValue: start + UInt64($0.offset) + 1))
        }
        try await submit(.take(from: LogSequence(rawValue: start), taken, position(start + UInt64(facts.count))))
    }

    func submit(_ command: RegionCommand) async throws {
        if case .refused(let refusal, _) = try await engine.submit(command, actor: .system) { throw refusal }
    }

    func put(_ pack: TestPack) async throws {
        try await store.put(
            RegionKey.pack(pack.build, pack.attempt), bytes: UInt64(pack.bytes.count), from: OneChunk(pack.bytes))
    }

    func holds(_ build: BuildID, _ attempt: AttemptNumber = .first) async throws -> Bool {
        try await store.information(RegionKey.pack(build, attempt)) != nil
    }

    /// Changes a stored pack's file in place.
    func damage(_ pack: TestPack) async throws {
        let path = try #require(try await store.localPath(RegionKey.pack(pack.build, pack.attempt)))
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: 1000)
        try file.write(contentsOf: Data([pack.bytes[1000] ^ 1]))
        try file.close()
    }
}

/// Runs something beside a test's body, and ends it after.
func during<Value>(
    _ service: @escaping @Sendable () async throws -> Void, _ body: () async throws -> Value
) async throws -> Value {
    let task = Task { try await service() }
    do {
        let value = try await body()
        task.cancel()
        try? await task.value
        return value
    } catch {
        task.cancel()
        try? await task.value
        throw error
    }
}
