internal import Foundation
internal import Synchronization

/// One thread, as long-lived as the process, that does blocking work in turn, so that no event loop and no thread of
/// the cooperative pool ever waits for a disk or the kernel.
///
/// Processes that shall die with us are started on such a thread: the kernel sends the death signal when the *thread*
/// that started them ends.
package final class SerialThread: Sendable {
    private struct Work: Sendable {
        var waiting: [@Sendable () -> Void] = []
    }

    private let work = Mutex(Work())
    private let isReady = DispatchSemaphore(value: 0)

    /// The thread starts at once and is never ended: keep instances few.
    package init(name: String) {
        let thread = Thread { [self] in serve() }
        thread.name = name
        thread.start()
    }

    /// Runs `body` after all that was handed in before. It is not cancelled by the caller's cancellation.
    package func run<Result: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        let outcome = await withCheckedContinuation {
            (continuation: CheckedContinuation<Outcome<Result, Failure>, Never>) in
            work.withLock { $0.waiting.append { continuation.resume(returning: Outcome(body)) } }
            isReady.signal()
        }
        return try outcome.get()
    }

    private func serve() -> Never {
        while true {
            isReady.wait()
            let next = work.withLock { $0.waiting.removeFirst() }
            next()
        }
    }
}

/// `Result` built with typed throws.
private enum Outcome<Value: Sendable, Failure: Error>: Sendable {
    case value(Value)
    case failure(Failure)

    init(_ body: () throws(Failure) -> Value) {
        do {
            self = .value(try body())
        } catch {
            self = .failure(error)
        }
    }

    func get() throws(Failure) -> Value {
        switch self {
        case .value(let value): return value
        case .failure(let failure): throw failure
        }
    }
}
