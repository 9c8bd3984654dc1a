/// Why an event or a state cannot be bytes, or bytes are none.
package struct CodecFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// An essential event, or a revision of one, that this version does not know.
        case upgradeNeeded = "upgrade-needed"
        /// Bytes that no version of Drover would have written.
        case malformed
        /// The payload would not fit a frame.
        case tooLarge = "too-large"
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

extension CodecFailure {
    /// A field that does not hold what the schema says.
    static func malformed(_ field: String, _ problem: String) -> CodecFailure {
        CodecFailure(.malformed, "\(field) \(problem): the bytes are damaged, or Drover did not write them")
    }
}
