internal import Dispatch
internal import Synchronization

/// Does numbered pieces of work on a few threads and hands the results over in order, on the caller's thread.
/// At most `threads` results wait while one is consumed, which bounds the memory.
func inOrder<Result: Sendable>(
    count: Int, threads: Int, work: @escaping @Sendable (Int) -> Result,
    consume: (Result) throws(PackFailure) -> Void
) throws(PackFailure) {
    let queue = DispatchQueue(label: "drover.packs", attributes: .concurrent)
    var pending: [Promise<Result>] = []
    var next = 0
    // Nothing keeps running when this returns, whichever way.
    defer { for promise in pending { _ = promise.wait() } }
    for _ in 0..<count {
        while next < count, pending.count < max(1, threads) {
            let (promise, index) = (Promise<Result>(), next)
            queue.async { promise.fulfil(work(index)) }
            pending.append(promise)
            next += 1
        }
        try consume(pending.removeFirst().wait())
    }
}

/// A value that another thread will give.
private final class Promise<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    func fulfil(_ newValue: Value) {
        value.withLock { $0 = newValue }
        isThere.signal()
    }

    /// Waits once.
    func wait() -> Value {
        isThere.wait()
        return value.withLock { $0! }
    }
}
