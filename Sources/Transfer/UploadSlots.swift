internal import Synchronization

/// A bounded number of uploads, and a bounded number of those who wait for one, first come first served.
final class UploadSlots: Sendable {
    /// Names one who waits.
    struct Waiter: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    enum Answer {
        /// `release` must follow.
        case granted
        /// Too many wait.
        case refused
        /// `granted` is called when a slot is free, unless `leave` was called.
        case waiting(Waiter)
    }

    private struct State {
        var free: Int
        var lastWaiter: UInt64 = 0
        /// In the order of their coming.
        var waiters: [(waiter: Waiter, granted: @Sendable () -> Void)] = []
    }

    private let state: Mutex<State>
    private let maximumWaiting: Int

    init(slots: Int, waiting: Int) {
        state = Mutex(State(free: slots))
        maximumWaiting = waiting
    }

    /// `granted` is called on the thread of whoever gives a slot back; then `release` must follow.
    func acquire(granted: @escaping @Sendable () -> Void) -> Answer {
        state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return .granted
            }
            guard state.waiters.count < maximumWaiting else { return .refused }
            state.lastWaiter += 1
            let waiter = Waiter(number: state.lastWaiter)
            state.waiters.append((waiter, granted))
            return .waiting(waiter)
        }
    }

    /// Whether it waited still; else it was granted a slot.
    func leave(_ waiter: Waiter) -> Bool {
        state.withLock { state in
            guard let place = state.waiters.firstIndex(where: { $0.waiter == waiter }) else { return false }
            state.waiters.remove(at: place)
            return true
        }
    }

    func release() {
        let granted = state.withLock { state -> (@Sendable () -> Void)? in
            guard !state.waiters.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst().granted
        }
        granted?()
    }
}
