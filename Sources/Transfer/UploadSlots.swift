internal import Synchronization

/// A bounded number of uploads, and a bounded number of those who wait for one, first come first served.
final class UploadSlots: Sendable {
    private struct State {
        var free: Int
        var lastWaiter: UInt64 = 0
        /// In the order of their coming.
        var waiters: [(id: UInt64, wake: ChangeSignal)] = []
        var granted: Set<UInt64> = []
    }

    private let state: Mutex<State>
    private let maximumWaiting: Int
    private let waitMilliseconds: Int64

    init(slots: Int, waiting: Int, waitMilliseconds: Int64) {
        state = Mutex(State(free: slots))
        (maximumWaiting, self.waitMilliseconds) = (waiting, waitMilliseconds)
    }

    /// Whether there is a slot now, or becomes one in time; then `release` must follow.
    func acquire(unless signals: [ChangeSignal]) async -> Bool {
        enum Answer {
            case granted, refused
            case wait(UInt64, ChangeSignal)
        }
        let answer: Answer = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return .granted
            }
            guard state.waiters.count < maximumWaiting else { return .refused }
            state.lastWaiter += 1
            let wake = ChangeSignal()
            state.waiters.append((state.lastWaiter, wake))
            return .wait(state.lastWaiter, wake)
        }
        switch answer {
        case .granted: return true
        case .refused: return false
        case .wait(let id, let wake):
            await atMost(milliseconds: waitMilliseconds, unless: signals) { await wake.wait(after: 0) }
            return state.withLock { state in
                state.waiters.removeAll { $0.id == id }
                return state.granted.remove(id) != nil
            }
        }
    }

    func release() {
        let wake = state.withLock { state -> ChangeSignal? in
            guard !state.waiters.isEmpty else {
                state.free += 1
                return nil
            }
            let next = state.waiters.removeFirst()
            state.granted.insert(next.id)
            return next.wake
        }
        wake?.fire()
    }
}
