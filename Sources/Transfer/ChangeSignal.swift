internal import Synchronization

/// Tells of changes: each who asks is told once, of the next one.
package final class ChangeSignal: Sendable {
    /// Names one who asked.
    package struct Token: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct State {
        var last: UInt64 = 0
        var listeners: [UInt64: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// Calls `body` at the next change, on the thread that tells of it. To miss nothing: ask first, then look.
    func next(_ body: @escaping @Sendable () -> Void) -> Token {
        state.withLock { state in
            state.last += 1
            state.listeners[state.last] = body
            return Token(number: state.last)
        }
    }

    /// It is not told, unless it is being told just now.
    func cancel(_ token: Token) { _ = state.withLock { $0.listeners.removeValue(forKey: token.number) } }

    func fire() {
        let listeners = state.withLock { state in
            defer { state.listeners = [:] }
            return state.listeners
        }
        for listener in listeners.values { listener() }
    }
}
