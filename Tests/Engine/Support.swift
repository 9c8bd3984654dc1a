import Codec
import Domain
import Engine
import Foundation
import Logging
import Ports
import Synchronization

/// What a store is told to do with its n-th append.
enum Fault: Sendable {
    /// Nothing is written.
    case full
    /// The outcome is unknown, and the bytes landed or did not.
    case unknown(landed: Bool)
}

/// A log in memory that fails on demand: where a disk's faults can be placed exactly. What survives is what a disk would
/// have kept.
final class FaultyStore: LogStore {
    let identity = LogIdentity(high: 1, low: 2)
    private struct State {
        var batches: [FrameBatch] = []
        var appends = 0
        var faults: [Int: Fault] = [:]
        var needsReopen = false
        var cannotReopen = false
    }

    private let state = Mutex(State())

    init(faults: [Int: Fault] = [:], cannotReopen: Bool = false) {
        state.withLock { state in
            state.faults = faults
            state.cannotReopen = cannotReopen
        }
    }

    var batches: [FrameBatch] { state.withLock { $0.batches } }

    func head() throws(StoreFailure) -> LogPosition {
        state.withLock { $0.batches.last?.end ?? .start(of: identity) }
    }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        let result: Result<LogPosition, StoreFailure> = state.withLock { state in
            if state.needsReopen { return .failure(Self.failure("closed", .unchanged)) }
            state.appends += 1
            switch state.faults[state.appends] {
            case .full: return .failure(Self.failure("disk-full", .unchanged))
            case .unknown(let landed):
                state.needsReopen = true
                if landed { _ = keep(frames, &state) }
                return .failure(Self.failure("io", .unknown))
            case nil: return .success(keep(frames, &state))
            }
        }
        return try result.get()
    }

    private func keep(_ frames: [Frame], _ state: inout State) -> LogPosition {
        let before = state.batches.last?.end ?? .start(of: identity)
        let first = frames[0].header
        precondition(first.sequence == before.sequence.next, "a gap: the engine gave a wrong sequence")
        let last = frames[frames.count - 1].header
        let end = LogPosition(log: identity, epoch: last.epoch, sequence: last.sequence, chain: .zero)
        state.batches.append(FrameBatch(frames: frames, end: end))
        return end
    }

    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        state.withLock { state in
            var taken = 0
            return Array(
                state.batches.drop { $0.end.sequence <= sequence }.prefix { batch in
                    defer { taken += batch.frames.count }
                    return taken < maximumFrames
                })
        }
    }

    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? {
        state.withLock { $0.batches.first { $0.end.sequence == sequence }?.end }
    }

    func reopen() throws(StoreFailure) {
        let isBroken = state.withLock { state in
            state.needsReopen = false
            return state.cannotReopen
        }
        if isBroken { throw Self.failure("io", .unchanged) }
    }

    private static func failure(_ code: String, _ outcome: StoreFailure.Outcome) -> StoreFailure {
        StoreFailure(code: code, message: "a planted fault", outcome: outcome)
    }
}

/// Two clocks that move when told to.
final class HandClock: ClockSource {
    private let reading: Mutex<ClockReading>

    init(wall: Int64 = 1_000_000, monotonic: Int64 = 0) {
        reading = Mutex(ClockReading(wallMilliseconds: wall, monotonicMilliseconds: monotonic))
    }

    func read() -> ClockReading { reading.withLock { $0 } }

    func advance(wall: Int64, monotonic: Int64) {
        reading.withLock {
            $0.wallMilliseconds += wall
            $0.monotonicMilliseconds += monotonic
        }
    }
}

/// Stands still, and counts who looks at it.
final class CountingClock: ClockSource {
    private let count = Mutex(0)

    var reads: Int { count.withLock { $0 } }

    func read() -> ClockReading {
        count.withLock { $0 += 1 }
        return ClockReading(wallMilliseconds: 1_000_000, monotonicMilliseconds: 0)
    }
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func makeEngine(
    _ store: any LogStore, clock: any ClockSource = HandClock(), newEpoch: String? = nil,
    change: (inout EngineConfiguration) -> Void = { _ in }
) throws -> EngineService<Global> {
    var configuration = EngineConfiguration(version: "test", newEpochReason: newEpoch)
    change(&configuration)
    return try EngineService(
        store: store, codec: globalCodec, clock: clock, configuration: configuration, logger: silentLogger)
}

let globalCodec = GlobalCodec()

func request(_ number: Int, app: String = "web") -> JobRequest {
    JobRequest(
        app: AppName(unchecked: app), repository: "/srv/\(app)",
        commit: CommitID(rawValue: String(repeating: "0", count: 32) + String(format: "%08x", number))!)
}

/// The live state and a fold of what the store holds.
func liveAndReplayed(_ engine: EngineService<Global>) async throws -> (GlobalState, GlobalState) {
    let live = try await engine.read { state, _ in state }
    return (live, try Replay<Global>.whole(engine.store, codec: GlobalCodec()).state)
}
