/// What went wrong with a pack, a manifest or a key: a stable code and a sentence that says what to do.
package struct PackFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// What the build left is not one regular file: the job is `failed(artifact)`.
        case artifact
        /// The file changed while it was read: the job is `failed(artifact)`.
        case changed
        /// Larger than a named limit.
        case tooLarge = "too-large"
        /// A manifest that breaks the format or contradicts itself.
        case invalidManifest = "invalid-manifest"
        /// Bytes of a pack that are not those its manifest names.
        case damaged
        /// A patch applied to another file than it was made against.
        case wrongBase = "wrong-base"
        /// A manifest without a signature, where one is needed.
        case unsigned
        /// Signed by a key that is not trusted here.
        case untrusted
        /// A signature that does not fit the bytes.
        case badSignature = "bad-signature"
        /// A key file that cannot be used.
        case badKey = "bad-key"
        /// No space left where the result was being written.
        case full = "store-full"
        case cancelled
        case io
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(message) [\(code.rawValue)]" }
}
