import Dispatch
package import Domain
import Synchronization

/// The durable head, and everybody who waits for it to move.
package final class ChangeSignal: Sendable {
    private struct Waiters {
        var position: LogPosition
        var isClosed = false
        var nextID: UInt64 = 0
        var waiting: [UInt64: (after: LogSequence, resume: CheckedContinuation<LogPosition, Never>)] = [:]
    }

    private let waiters: Mutex<Waiters>
    private static let timers = DispatchQueue(label: "drover.engine.waits")

    package init(at position: LogPosition) { waiters = Mutex(Waiters(position: position)) }

    package var position: LogPosition { waiters.withLock { $0.position } }

    /// Wakes everyone who waits for less than this position.
    package func advance(to position: LogPosition) {
        resume { waiters in
            if waiters.position == position { return [] }
            waiters.position = position
            return waiters.waiting.filter { $0.value.after < position.sequence }.map(\.key)
        }
    }

    /// Wakes everyone, now and from now on: nothing will move any more.
    package func close() {
        resume { waiters in
            waiters.isClosed = true
            return Array(waiters.waiting.keys)
        }
    }

    /// Returns at once when the head is past `after`, else when it moves, the time is over, or the task is cancelled.
    package func wait(after sequence: LogSequence, timeoutMilliseconds: Int64) async -> LogPosition {
        let id = waiters.withLock { waiters in
            waiters.nextID += 1
            return waiters.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enlist(id, after: sequence, continuation)
                Self.timers.asyncAfter(deadline: .now() + .milliseconds(Int(max(0, timeoutMilliseconds)))) {
                    [weak self] in
                    self?.resume { _ in [id] }
                }
                if Task.isCancelled { resume { _ in [id] } }
            }
        } onCancel: {
            resume { _ in [id] }
        }
    }

    private func enlist(_ id: UInt64, after: LogSequence, _ continuation: CheckedContinuation<LogPosition, Never>) {
        let now: LogPosition? = waiters.withLock { waiters in
            if waiters.position.sequence > after || waiters.isClosed { return waiters.position }
            waiters.waiting[id] = (after, continuation)
            return nil
        }
        if let now { continuation.resume(returning: now) }
    }

    private func resume(_ choose: (inout Waiters) -> [UInt64]) {
        let (woken, position) = waiters.withLock { waiters in
            let ids = choose(&waiters)
            return (ids.compactMap { waiters.waiting.removeValue(forKey: $0)?.resume }, waiters.position)
        }
        for continuation in woken { continuation.resume(returning: position) }
    }
}
