/// What went wrong while packs were moved: a stable code and a sentence that says what to do.
package struct TransferFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// No space left for the pack.
        case full = "store-full"
        /// A file cannot be read, written or moved.
        case io
        /// The server cannot listen where it was told to.
        case cannotListen = "cannot-listen"
        /// An endpoint that is not `http://HOST:PORT` or `https://HOST:PORT`.
        case badEndpoint = "bad-endpoint"
        /// A certificate or key that cannot be read.
        case badCertificate = "bad-certificate"
        /// A manifest whose pieces cannot be laid out.
        case badManifest = "bad-manifest"
        case cancelled
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        (self.code, self.message) = (code, message)
    }

    package var description: String { "\(message) [\(code.rawValue)]" }
}

/// Why one source did not answer one request as it should.
package struct SourceFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// No connection, a broken one, a wrong answer or silence.
        case unreachable
        case busy
        /// It does not have what was asked for.
        case missing
        /// It is no mirror with a ledger.
        case noOffers = "no-offers"
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        (self.code, self.message) = (code, message)
    }

    package var description: String { "\(message) [\(code.rawValue)]" }
}
