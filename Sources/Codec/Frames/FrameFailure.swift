/// Why bytes are not a frame, or a frame cannot be bytes.
package struct FrameFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// The frame would reach `maximumFrameBytes`, or one of its texts its own limit.
        case tooLarge = "too-large"
        /// The bytes end before the frame does, or go on after it.
        case length
        case checksum
        /// A format version, flag or actor that this version of Drover does not know.
        case unknownFormat = "unknown-format"
        /// The actor's name or the key is not UTF-8.
        case text
        /// The payload was replaced by its hash: its place is provable, its content is gone.
        case redacted
    }

    package var code: Code
    /// One sentence that says what is so and what to do.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(message) [\(code.rawValue)]" }
}
