import Dispatch
import Domain
import Synchronization

/// Work that waits for a disk or the kernel, on threads of this room's own: no thread of the cooperative pool does.
enum BlockingWork {
    private static let queue = DispatchQueue(label: "drover.agent.files", attributes: .concurrent)

    /// It is not cancelled by the caller's cancellation.
    static func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.async {
                continuation.resume(returning: Result { () throws(Failure) in try body() })
            }
        }
        return try result.get()
    }
}

/// One piece of work at a time about each build: the next begins when the one before has ended, so that two fetches
/// never write one file, and what a cancelled one left is gone before a new one begins.
final class BuildQueue: Sendable {
    private struct State {
        var lastNumber: UInt64 = 0
        /// The last piece of work of each build.
        var last: [ProvedBuild: (number: UInt64, task: Task<Void, Never>)] = [:]
    }

    private let state = Mutex(State())

    func add(_ build: ProvedBuild, _ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            state.lastNumber += 1
            let (before, number) = (state.last[build]?.task, state.lastNumber)
            let task = Task {
                await before?.value
                await body()
                self.ended(build, number)
            }
            state.last[build] = (number, task)
        }
    }

    /// Cancels what was added last; it still ends before the next begins.
    func cancel(_ build: ProvedBuild) { state.withLock { $0.last[build]?.task }?.cancel() }

    /// Cancels everything and waits for it.
    func end() async {
        let tasks = state.withLock { $0.last.values.map(\.task) }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private func ended(_ build: ProvedBuild, _ number: UInt64) {
        state.withLock { state in
            if state.last[build]?.number == number { state.last[build] = nil }
        }
    }
}
