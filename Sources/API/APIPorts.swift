package import Domain
package import Wire

/// A worker's manifest before it is signed, with what the log knows of its attempt.
package struct UnsignedUpload: Hashable, Sendable {
    package var manifest: String
    package var job: JobID
    package var attempt: AttemptNumber
    package var app: AppName
    package var commit: CommitID
    package var rawBytes: UInt64
    package var packedBytes: UInt64
}

/// Makes a worker's manifest the control plane's.
package protocol ManifestSigner: Sendable {
    /// The release key's public half, 32 bytes.
    var publicKey: [UInt8] { get }

    /// Checks the manifest against its job and attempt, signs it, stores it durably as a blob, gives its digest. The
    /// same upload gives the same digest. A problem with status 422 when the manifest is not what it should be.
    func sign(_ upload: UnsignedUpload) async throws(Problem) -> Digest

    /// The release key's signature over bytes that are not a manifest.
    func signature(over bytes: [UInt8]) throws -> [UInt8]
}

/// One numbered object of an attempt's output, and the region that has it.
package struct OutputPlace: Hashable, Sendable {
    package var job: JobID
    package var attempt: AttemptNumber
    package var object: UInt64
    package var region: RegionName
    /// Where the region answers.
    package var endpoint: String
}

/// Reads build output from the regions' stores.
package protocol OutputReader: Sendable {
    /// Nil when it is not there by the end of the wait.
    func output(_ place: OutputPlace, waitMilliseconds: Int64) async throws(Problem) -> [UInt8]?
}

/// Asks a region for its peers.
package protocol PeerDirectory: Sendable {
    /// The region's own answer, a JSON document; as of a sequence of this log, if one is named.
    func peers(of region: RegionName, endpoint: String, at sequence: LogSequence?) async throws(Problem) -> [UInt8]

    /// What concerns one peer in the region's log, the region's own answer.
    func events(of peer: PeerName, in region: RegionName, endpoint: String) async throws(Problem) -> [UInt8]
}

/// The SQL views.
package protocol GlobalReads: Sendable {
    /// Whether another version's views are read, as they were, while new ones are made.
    var areOutdated: Bool { get }

    /// Returns when the views hold everything up to this sequence; false when the time was over before.
    func waitUntil(_ sequence: LogSequence, milliseconds: Int64) async throws(Problem) -> Bool

    /// One SELECT, with its arguments, over the views as they were at a sequence (nil: now). At most `maximumRows`.
    func query(
        _ sql: String, arguments: [WireValue], at sequence: LogSequence?, maximumRows: Int
    ) async throws(Problem) -> QueryAnswer

    /// Where a time lies in the log, as far as the views have it.
    func place(of time: Timestamp) async throws(Problem) -> TimePlace
}

/// Whether the process may be sent work.
package protocol Readiness: Sendable {
    /// Nil when ready; else one sentence that says what is missing.
    var notReady: String? { get async }
}
