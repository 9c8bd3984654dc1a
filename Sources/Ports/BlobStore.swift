package import Domain

/// Where a blob stands: under the hash of its content, or under a name given once.
package enum BlobKey: Hashable, Sendable {
    /// Verified on write against the digest.
    case content(Digest)
    /// Created once: a second put of the same bytes succeeds, of others is `exists`. One to eight `/`-separated parts,
    /// each 1 to 255 of `A-Z a-z 0-9 . _ -`, none starting with a dot.
    case named(String)
}

package struct BlobInformation: Hashable, Sendable {
    package var key: BlobKey
    package var bytes: UInt64

    package init(key: BlobKey, bytes: UInt64) {
        self.key = key
        self.bytes = bytes
    }
}

/// Blobs of up to tens of gigabytes, written atomically and durably, streamed, never held in memory whole.
package protocol BlobStore: Sendable {
    /// Nil when there is none.
    func information(_ key: BlobKey) async throws(BlobFailure) -> BlobInformation?

    /// Stores what the chunks amount to: all of it or nothing. A content key is checked while it is written.
    func put(_ key: BlobKey, bytes: UInt64, from chunks: any AsyncSequence<[UInt8], any Error> & Sendable)
        async throws(BlobFailure)

    /// Up to `count` bytes from `offset`; fewer only at the blob's end.
    func read(_ key: BlobKey, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8]

    /// Idempotent: deleting what is not there succeeds.
    func delete(_ key: BlobKey) async throws(BlobFailure)

    /// Named keys under a prefix, sorted, after `after`; at most `limit`.
    func list(prefix: String, after: String?, limit: Int) async throws(BlobFailure) -> [BlobInformation]
}

package struct BlobFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        case notFound = "not-found"
        case exists
        case mismatch
        case full = "store-full"
        case tooLarge = "too-large"
        case badKey = "bad-key"
        case io
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

/// Bytes that are in memory already, as a stream of one chunk.
package struct OneChunk: AsyncSequence, Sendable {
    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate var bytes: [UInt8]?

        package mutating func next() async throws -> [UInt8]? { bytes.take() }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes) }
}
