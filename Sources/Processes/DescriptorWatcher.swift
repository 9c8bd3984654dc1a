internal import CProcess
internal import Foundation
internal import Synchronization

/// Tells when a descriptor becomes readable: a pipe with output, or a pidfd whose process has ended. One thread of its
/// own waits in epoll for all of them.
final class DescriptorWatcher: Sendable {
    static let shared = DescriptorWatcher()

    private struct Watch: Sendable {
        var descriptor: Int32
        var body: @Sendable () -> Void
    }

    private struct State: Sendable {
        var nextToken: UInt64 = 1
        var watches: [UInt64: Watch] = [:]
    }

    /// Events taken from the kernel at once.
    private static let eventsPerWait = 64

    private let set: Int32
    private let state = Mutex(State())

    private init() {
        set = drover_watch_create()
        precondition(set >= 0, "no epoll set (errno \(-set)): raise the limit of open descriptors")
        let thread = Thread { [self] in serve() }
        thread.name = "drover-watcher"
        thread.start()
    }

    /// Calls `body` once, on the watcher's thread, when the descriptor is readable or its other end is closed. It must
    /// be short. Nil when the kernel takes no more. A descriptor may be watched once at a time and must stay open.
    func onceReadable(_ descriptor: Int32, _ body: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state in
            let token = state.nextToken
            guard drover_watch_add(set, descriptor, token) == 0 else { return nil }
            state.nextToken += 1
            state.watches[token] = Watch(descriptor: descriptor, body: body)
            return token
        }
    }

    /// Whether the watch was still there; if not, its body has run or is about to.
    @discardableResult
    func cancel(_ token: UInt64) -> Bool { take(token) != nil }

    private func take(_ token: UInt64) -> Watch? {
        state.withLock { state in
            let watch = state.watches.removeValue(forKey: token)
            if let watch { drover_watch_remove(set, watch.descriptor) }
            return watch
        }
    }

    private func serve() -> Never {
        var tokens = [UInt64](repeating: 0, count: Self.eventsPerWait)
        while true {
            let count = unsafe drover_watch_wait(set, &tokens, Int32(Self.eventsPerWait))
            for token in tokens.prefix(Int(count)) { take(token)?.body() }
        }
    }
}
