import Codec
import Dispatch
import Domain
import Engine
import Foundation
import Ports
import Testing

/// A log that a follower has seen more of accepts nothing, restarts included, until a new epoch.
@Suite struct FreezeTests {
    private let marker = ForkMarker(
        path: FileManager.default.temporaryDirectory.path + "/drover-forked-\(UUID().uuidString)")

    private func start(
        _ store: FaultyStore, _ seen: SeenPosition? = nil, newEpoch: String? = nil
    ) throws -> EngineService<Global> {
        try makeEngine(store, newEpoch: newEpoch) { ($0.forkMarker, $0.seen) = (marker, [seen].compactMap(\.self)) }
    }

    private func code(_ engine: EngineService<Global>) async -> EngineFailure.Code? {
        do throws(EngineFailure) {
            _ = try await engine.submit(.queue(.enqueue(request(1))), actor: .person("ada"))
            return nil
        } catch { return error.code }
    }

    private func stop(_ engine: EngineService<Global>) async throws {
        engine.stop()
        try await engine.waitForEnd()
    }

    @Test func reads() async throws {
        let engine = try start(FaultyStore())
        defer { try? FileManager.default.removeItem(atPath: marker.path) }
        await engine.freeze("a follower is on another chain")
        #expect(await code(engine) == .forked)
        #expect(try await engine.read { state, _ in state.queue.enqueued.rawValue } == 0)
        #expect(engine.notReady?.code == .forked)
        try await stop(engine)
    }

    @Test func aRestartStaysFrozenUntilANewEpoch() async throws {
        defer { try? FileManager.default.removeItem(atPath: marker.path) }
        let store = FaultyStore()
        let first = try start(store)
        await first.freeze("a region follows at 1/99")
        await first.freeze("and another one")
        try await stop(first)
        #expect(marker.text == "a region follows at 1/99")
        let second = try start(store)
        #expect(second.notReady == EngineFailure(code: .forked, message: "a region follows at 1/99"))
        #expect(await code(second) == .forked)
        try await stop(second)
        let third = try start(store, newEpoch: "lost on purpose")
        #expect(third.notReady == nil)
        #expect(await code(third) == nil)
        #expect(marker.text == nil)
        try await stop(third)
        let fourth = try start(store)
        #expect(await code(fourth) == nil)
        try await stop(fourth)
    }

    @Test func anEmptyMarkerFreezesToo() async throws {
        defer { try? FileManager.default.removeItem(atPath: marker.path) }
        try Data().write(to: URL(filePath: marker.path))
        let engine = try start(FaultyStore())
        #expect(engine.notReady?.message.contains("--new-epoch") == true)
        try await stop(engine)
    }

    /// The writer is held in a read while a command waits behind it.
    @Test func commandsThatWaitAreAnswered() async throws {
        defer { try? FileManager.default.removeItem(atPath: marker.path) }
        let store = FaultyStore()
        let engine = try start(store)
        let (entered, held) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        async let reading: Void = engine.read { _, _ in
            entered.signal()
            held.wait()
        }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                entered.wait()
                continuation.resume()
            }
        }
        async let waiting = code(engine)
        try await Task.sleep(for: .milliseconds(100))
        await engine.freeze("a follower is on another chain")
        #expect(await waiting == .forked)
        held.signal()
        try await reading
        try await stop(engine)
        #expect(store.batches.count == 1, "only what the start says")
    }

    /// What stands beside a log that lost its end is ahead of it: that is found before anything is made again from it.
    @Test func somethingAheadOfTheLogFreezesIt() async throws {
        defer { try? FileManager.default.removeItem(atPath: marker.path) }
        let whole = FaultyStore()
        let first = try start(whole)
        for number in 1...3 { _ = try await first.submit(.queue(.enqueue(request(number))), actor: .person("ada")) }
        let seen = SeenPosition(holder: "the SQL views are", position: first.head)
        try await stop(first)
        let sound = try start(whole, seen)
        #expect(sound.notReady == nil && marker.text == nil)
        try await stop(sound)
        let shorter = FaultyStore()
        let lost = try start(shorter, seen)
        #expect(lost.notReady?.message.hasPrefix("the SQL views are at epoch 1, sequence 4") == true)
        #expect(await code(lost) == .forked && marker.text == lost.notReady?.message)
        try await stop(lost)
        let onwards = try start(shorter, seen, newEpoch: "known")
        #expect(await code(onwards) == nil && marker.text == nil)
        try await stop(onwards)
        // Of an older epoch, it proves nothing any more.
        let later = try start(shorter, seen)
        #expect(later.notReady == nil && marker.text == nil)
        try await stop(later)
    }

    @Test func aSnapshotAheadOfTheLogFreezesIt() async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/drover-ahead-\(UUID().uuidString)"
        defer {
            try? FileManager.default.removeItem(atPath: marker.path)
            try? FileManager.default.removeItem(atPath: directory)
        }
        let snapshots = StateSnapshots(directory: directory)
        func start(_ store: FaultyStore) throws -> EngineService<Global> {
            try makeEngine(store) {
                ($0.forkMarker, $0.snapshots, $0.hashing) = (marker, snapshots, StateHashing(intervalEvents: 5))
            }
        }
        let first = try start(FaultyStore())
        for number in 1...1000 where snapshots.paths.first?.contains("00000000000000000000") ?? true || number < 20 {
            _ = try await first.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
            try await Task.sleep(for: .milliseconds(5))
        }
        try await stop(first)
        let lost = try start(FaultyStore())
        #expect(lost.notReady?.message.hasPrefix("a snapshot of the state is at epoch 1") == true)
        #expect(await code(lost) == .forked)
        try await stop(lost)
    }
}
