import Synchronization

/// Wakes whoever waits for the log to grow. A growth between a look at the log and the wait is not lost: the wait names
/// the sequence it has seen.
final class AppendSignal: Sendable {
    private struct Waiter {
        var after: UInt64
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var head: UInt64 = 0
        var nextWaiter = 0
        var waiters: [Int: Waiter] = [:]
    }

    private let state = Mutex(State())

    /// How many wait; for tests that must act after somebody began to.
    var waiting: Int { state.withLock { $0.waiters.count } }

    /// The log is durable up to this sequence.
    func announce(_ head: UInt64) {
        let woken = state.withLock { state in
            state.head = head
            let ready = state.waiters.filter { $0.value.after < head }
            for id in ready.keys { state.waiters[id] = nil }
            return ready.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Returns once the log is durable beyond the sequence, or the task is cancelled.
    func wait(after sequence: UInt64) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    // Under the lock, so that a cancellation is seen here or by the handler.
                    if state.head > sequence || Task.isCancelled { return true }
                    state.waiters[id] = Waiter(after: sequence, continuation: continuation)
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume()
        }
    }

    func isBeyond(_ sequence: UInt64) -> Bool { state.withLock { $0.head > sequence } }
}
