/// What a run says of itself: nothing, or a line for everything that happens.
package struct Trace: Sendable {
    private let write: (@Sendable (String) -> Void)?

    package static let silent = Trace(write: nil)

    package init(write: (@Sendable (String) -> Void)?) { self.write = write }

    var isOn: Bool { write != nil }

    func line(_ microseconds: Int64, _ who: String, _ what: String) {
        let milliseconds = microseconds / 1000
        let fraction = String(1000 + microseconds % 1000).dropFirst()
        write?("\(milliseconds).\(fraction) \(who): \(what)")
    }
}

/// How often what happened, so that one sees what a simulator reaches.
package struct Counts: Hashable, Sendable {
    /// Events appended to all logs.
    package var appended: UInt64 = 0
    /// Messages delivered, answers included.
    package var messages: UInt64 = 0
    /// Steps of the calendar: these, timers, ends of flushes, waits.
    package var occurrences: UInt64 = 0
    package private(set) var kinds: [String: UInt64] = [:]

    package init() {}

    package var total: UInt64 { appended + messages }

    mutating func note(_ kind: String) { kinds[kind, default: 0] += 1 }

    package mutating func add(_ other: Counts) {
        (appended, messages) = (appended + other.appended, messages + other.messages)
        occurrences += other.occurrences
        for (kind, count) in other.kinds { kinds[kind, default: 0] += count }
    }
}
