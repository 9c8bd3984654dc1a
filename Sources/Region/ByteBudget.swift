import Synchronization

/// Memory that several copies share: who wants more than is left waits its turn.
final class ByteBudget: Sendable {
    private struct Waiter {
        var id: UInt64
        var bytes: UInt64
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var left: UInt64
        var lastID: UInt64 = 0
        var waiting: [Waiter] = []
        /// Cancelled before they began to wait.
        var cancelled: Set<UInt64> = []

        /// Those whose turn has come.
        mutating func admitted() -> [Waiter] {
            var admitted: [Waiter] = []
            while let first = waiting.first, first.bytes <= left {
                left -= first.bytes
                admitted.append(waiting.removeFirst())
            }
            return admitted
        }
    }

    private let whole: UInt64
    private let state: Mutex<State>

    init(bytes: UInt64) {
        whole = bytes
        state = Mutex(State(left: bytes))
    }

    /// Runs the body while so many bytes (the whole budget at most) are its own.
    func with<Value>(_ bytes: UInt64, _ body: () async throws -> Value) async throws -> Value {
        let share = min(bytes, whole)
        let isAdmitted = await acquire(share)
        guard isAdmitted else { throw CancellationError() }
        defer { release(share) }
        return try await body()
    }

    /// False when the task was cancelled.
    private func acquire(_ bytes: UInt64) async -> Bool {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Bool? in
                    if state.cancelled.remove(id) != nil { return false }
                    state.waiting.append(Waiter(id: id, bytes: bytes, continuation: continuation))
                    return nil
                }
                if let known { return continuation.resume(returning: known) }
                admit()
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else {
                state.cancelled.insert(id)
                return nil
            }
            return state.waiting.remove(at: index)
        }
        waiter?.continuation.resume(returning: false)
        admit()
    }

    private func release(_ bytes: UInt64) {
        state.withLock { $0.left += bytes }
        admit()
    }

    private func admit() {
        for waiter in state.withLock({ $0.admitted() }) { waiter.continuation.resume(returning: true) }
    }
}
