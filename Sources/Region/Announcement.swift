import Synchronization

/// Says one thing once.
final class Announcement: Sendable {
    private let isMade = Mutex(false)
    private let body: @Sendable (String) -> Void

    init(_ body: @escaping @Sendable (String) -> Void) { self.body = body }

    var isDone: Bool { isMade.withLock { $0 } }

    func announce(_ text: String) {
        let isFirst = isMade.withLock { isMade in
            defer { isMade = true }
            return !isMade
        }
        if isFirst { body(text) }
    }
}
