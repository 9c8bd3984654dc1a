import Domain

/// Why the views could not be read or brought up to date.
package struct ViewsFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// The events do not continue what the views hold: rebuild them.
        case forked = "views-forked"
        /// The wanted sequence has not been reached (in time).
        case behind = "views-behind"
        /// The file is not what SQLite or this version wrote: rebuild it.
        case damaged = "views-damaged"
        /// Another version of Drover made the file: it can be read until a new one is made.
        case outdated = "views-outdated"
        /// An event cannot be read by this version, or is malformed.
        case undecodable = "upgrade-needed"
        /// The log could not be read.
        case log
        /// The disk failed or is full.
        case io
        /// The views were closed.
        case closed

        /// A person's SQL that SQLite does not understand.
        case badSQL = "bad-sql"
        /// A person's SQL that would do more than read the views.
        case refused
        case tooSlow = "too-slow"
        /// A value, or what SQLite needed in between, passed its limit.
        case tooLarge = "too-large"
        /// Too many queries or waits at once.
        case busy
        case cancelled
    }

    package var code: Code
    /// One sentence that says what is so and what to do.
    package var message: String
    /// For `bad-sql`: where in the SQL, in bytes from its start, if SQLite knows.
    package var offset: Int?

    package init(_ code: Code, _ message: String, offset: Int? = nil) {
        (self.code, self.message, self.offset) = (code, message, offset)
    }

    package var description: String { "\(message) [\(code.rawValue)]" }

    static let closed = ViewsFailure(.closed, "the views are closed: they are opened again at the next start")

    static let rebuilding = ViewsFailure(.behind, "the views are being made again: try again shortly")

    static func behind(_ wanted: LogSequence, at position: LogSequence) -> ViewsFailure {
        ViewsFailure(.behind, "the views are at \(position), not yet at \(wanted): try again shortly")
    }
}

extension ViewsFailure {
    static let cancelled = ViewsFailure(.cancelled, "the caller gave up")
}
