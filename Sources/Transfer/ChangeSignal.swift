internal import Synchronization

/// Counts changes and wakes those who wait for the next one.
final class ChangeSignal: Sendable {
    private struct State {
        var count: UInt64 = 0
        var lastWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Cancelled before they began to wait.
        var cancelled: Set<UInt64> = []
    }

    private let state = Mutex(State())

    var count: UInt64 { state.withLock { $0.count } }
    var hasFired: Bool { count > 0 }

    func fire() {
        let waiters = state.withLock { state in
            state.count += 1
            defer { state.waiters = [:] }
            return state.waiters.values.map { $0 }
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the count is no longer this one, or at the task's cancellation.
    func wait(after count: UInt64) async {
        let waiter = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard state.count == count, state.cancelled.remove(waiter) == nil else { return true }
                    state.waiters[waiter] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                let continuation = state.waiters.removeValue(forKey: waiter)
                if continuation == nil { state.cancelled.insert(waiter) }
                return continuation
            }
            continuation?.resume()
        }
        _ = state.withLock { $0.cancelled.remove(waiter) }
    }
}

/// The body's result; nil when the signal fires first, and the body is cancelled. The body must end when cancelled.
func unless<Value: Sendable>(
    _ signal: ChangeSignal, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            await signal.wait(after: 0)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
}

/// Runs the body until it ends, the time is over or one of the signals fires.
func atMost(
    milliseconds: Int64, unless signals: [ChangeSignal] = [], _ body: @escaping @Sendable () async -> Void
) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await body() }
        group.addTask { try? await Task.sleep(for: .milliseconds(milliseconds)) }
        for signal in signals { group.addTask { await signal.wait(after: 0) } }
        await group.next()
        group.cancelAll()
    }
}
