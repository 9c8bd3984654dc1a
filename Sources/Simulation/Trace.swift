import Codec

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
    private var others: [String: UInt64] = [:]
    private var types: [UInt16: UInt64] = [:]

    package init() {}

    /// Events by their names, and everything else.
    package var kinds: [String: UInt64] {
        var kinds = others
        for (type, count) in types {
            kinds[GlobalCodec().typeName(type) ?? "type \(type)", default: 0] += count
        }
        return kinds
    }

    package var total: UInt64 { appended + messages }

    mutating func note(_ kind: String) { others[kind, default: 0] += 1 }

    mutating func note(type: UInt16) { types[type, default: 0] += 1 }

    package mutating func add(_ other: Counts) {
        (appended, messages) = (appended + other.appended, messages + other.messages)
        occurrences += other.occurrences
        for (kind, count) in other.others { others[kind, default: 0] += count }
        for (type, count) in other.types { types[type, default: 0] += count }
    }
}
