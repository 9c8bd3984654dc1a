import Foundation

/// Lets transactions in together, and what must be alone (growing the map, closing) only when none is alive.
///
/// Whoever waits to be alone goes first, so a transaction inside another one's closure would wait for ever: never nest.
final class TransactionGate: Sendable {
    private let condition = NSCondition()
    /// Both guarded by `condition`.
    private nonisolated(unsafe) var active = 0
    private nonisolated(unsafe) var isClosed = false

    func enter() {
        condition.lock()
        while unsafe isClosed { condition.wait() }
        unsafe active += 1
        condition.unlock()
    }

    func leave() {
        condition.lock()
        unsafe active -= 1
        if unsafe active == 0 { condition.broadcast() }
        condition.unlock()
    }

    func alone<Result>(_ body: () throws(LMDBFailure) -> Result) throws(LMDBFailure) -> Result {
        condition.lock()
        while unsafe isClosed { condition.wait() }
        unsafe isClosed = true
        while unsafe active > 0 { condition.wait() }
        condition.unlock()
        defer {
            condition.lock()
            unsafe isClosed = false
            condition.broadcast()
            condition.unlock()
        }
        return try body()
    }
}
