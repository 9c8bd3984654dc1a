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

    private func start(_ store: FaultyStore, newEpoch: String? = nil) throws -> EngineService<Global> {
        try makeEngine(store, newEpoch: newEpoch) { $0.forkMarker = marker }
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
}
