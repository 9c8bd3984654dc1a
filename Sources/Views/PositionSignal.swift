import Dispatch
import Domain
import Synchronization

/// Who waits for the views to reach a sequence.
final class PositionSignal: Sendable {
    private struct State {
        var position: LogSequence = .zero
        var isClosed = false
        var nextWait: UInt64 = 0
        var waits: [UInt64: Wait] = [:]
        var rest: Rest?
    }

    /// Who moves the position, while there is no hurry.
    private struct Rest {
        var id: UInt64
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct Wait {
        var sequence: LogSequence
        var continuation: CheckedContinuation<Result<Void, ViewsFailure>, Never>
    }

    private let state = Mutex(State())
    private let maximumWaits: Int

    init(maximumWaits: Int) { self.maximumWaits = maximumWaits }

    /// Moves to a position, also backwards (after a fork), and wakes who waited for it.
    func move(to position: LogSequence) {
        let reached = state.withLock { state in
            state.position = position
            let reached = state.waits.filter { $0.value.sequence <= position }
            for wait in reached.keys { state.waits[wait] = nil }
            return reached
        }
        for wait in reached.values { wait.continuation.resume(returning: .success(())) }
    }

    func close() {
        let (left, rest) = state.withLock { state in
            state.isClosed = true
            let left = state.waits
            state.waits = [:]
            return (left, state.rest.take())
        }
        rest?.continuation.resume()
        for wait in left.values { wait.continuation.resume(returning: .failure(.closed)) }
    }

    /// Returns when the position is at or past the sequence; fails with `views-behind` when the time is over.
    func wait(for sequence: LogSequence, timeoutMilliseconds: Int) async throws(ViewsFailure) {
        let id = state.withLock { state in
            state.nextWait += 1
            return state.nextWait
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let wait = Wait(sequence: sequence, continuation: continuation)
                if let answer = begin(wait, id) { return continuation.resume(returning: answer) }
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(max(0, timeoutMilliseconds))) {
                    [weak self] in
                    self?.end(id) { .behind($0, at: $1) }
                }
                if Task.isCancelled { end(id) { _, _ in .cancelled } }
            }
        } onCancel: {
            end(id) { _, _ in .cancelled }
        }
        try result.get()
    }

    /// What can be answered at once; nil when the wait has begun.
    private func begin(_ wait: Wait, _ id: UInt64) -> Result<Void, ViewsFailure>? {
        let (answer, rest) = state.withLock { state -> (Result<Void, ViewsFailure>?, Rest?) in
            if state.isClosed { return (.failure(.closed), nil) }
            if wait.sequence <= state.position { return (.success(()), nil) }
            if state.waits.count >= maximumWaits {
                let text = "\(maximumWaits) callers wait for the views: try again shortly"
                return (.failure(ViewsFailure(.busy, text)), nil)
            }
            state.waits[id] = wait
            return (nil, state.rest.take())
        }
        rest?.continuation.resume()
        return answer
    }

    /// Returns when the time is over, or as soon as somebody waits. One caller at a time.
    func rest(milliseconds: Int) async {
        await withCheckedContinuation { continuation in
            let id: UInt64? = state.withLock { state in
                if state.isClosed || !state.waits.isEmpty { return nil }
                state.nextWait += 1
                state.rest = Rest(id: state.nextWait, continuation: continuation)
                return state.nextWait
            }
            guard let id else { return continuation.resume() }
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
                self?.endRest(id)
            }
        }
    }

    private func endRest(_ id: UInt64) {
        let rest = state.withLock { $0.rest?.id == id ? $0.rest.take() : nil }
        rest?.continuation.resume()
    }

    private func end(_ id: UInt64, _ failure: (LogSequence, LogSequence) -> ViewsFailure) {
        let (wait, position) = state.withLock { ($0.waits.removeValue(forKey: id), $0.position) }
        guard let wait else { return }
        wait.continuation.resume(returning: .failure(failure(wait.sequence, position)))
    }
}
