internal import CProcess
internal import Glibc
internal import Ports
internal import Synchronization

/// Waits for one process's end by its pidfd: reaps it if it is a child, else only learns that it ended. It keeps itself
/// alive until then, so that no child stays a zombie because nobody asks.
final class EndWatch: Sendable {
    private struct State: Sendable {
        var end: ProcessEnd?
        var nextWaiter: UInt64 = 1
        var waiters: [UInt64: CheckedContinuation<ProcessEnd, Never>] = [:]

        mutating func takeWaiters() -> [CheckedContinuation<ProcessEnd, Never>] {
            defer { waiters = [:] }
            return waiters.sorted { $0.key < $1.key }.map(\.value)
        }
    }

    let pid: Int32
    private let descriptor: Int32
    private let state = Mutex(State())

    /// Takes over the descriptor.
    init(pid: Int32, descriptor: Int32) {
        (self.pid, self.descriptor) = (pid, descriptor)
    }

    deinit { close(descriptor) }

    /// Begins to watch. False when the kernel takes no more watches. `onEnd` comes before any waiter is told.
    func begin(onEnd: @escaping @Sendable (ProcessEnd) -> Void = { _ in }) -> Bool {
        DescriptorWatcher.shared.onceReadable(descriptor) { [self] in
            let end = reap()
            onEnd(end)
            for waiter in state.withLock({ $0.takeWaiters() }) { waiter.resume(returning: end) }
        } != nil
    }

    var end: ProcessEnd? { state.withLock { $0.end } }

    /// The end. A cancellable wait whose task is cancelled returns `.unknown` at once.
    func wait(isCancellable: Bool = true) async -> ProcessEnd {
        let ticket = state.withLock { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> ProcessEnd? in
                    if let end = state.end { return end }
                    if isCancellable && Task.isCancelled { return .unknown }
                    state.waiters[ticket] = continuation
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            guard isCancellable else { return }
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume(returning: .unknown)
        }
    }

    /// Signals the group of the session the process leads; does nothing when the process has ended.
    func signalGroup(_ number: Int32) {
        state.withLock { state in
            guard state.end == nil else { return }
            _ = drover_pidfd_signal_group(descriptor, pid, number)
        }
    }

    /// Calls `body` while the process's number is certainly its own: it is a child of ours and not yet reaped.
    func whileNotReaped(_ body: (Int32) -> Void) {
        state.withLock { state in
            if state.end == nil { body(pid) }
        }
    }

    private func reap() -> ProcessEnd {
        state.withLock { state in
            var code: Int32 = 0
            let end: ProcessEnd =
                switch unsafe drover_pidfd_reap(descriptor, &code) {
                case 1: code >= 0 ? .exited(code) : .signalled(-code)
                default: .unknown
                }
            state.end = end
            return end
        }
    }
}
