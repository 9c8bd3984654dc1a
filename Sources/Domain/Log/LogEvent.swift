/// What a log says about itself and its engine; the same in a global and a regional log.
package enum LogEvent: Hashable, Sendable {
    /// An engine opened the log for writing. No lease ends before a whole lease has passed from here.
    case engineStarted(version: String, level: UInt64)
    /// More than a quarter lease passed between two ticks. Leases are spared as after a start.
    case engineStalled(milliseconds: Int64)
    /// The wall clock moved against the monotonic one by this much. Log time follows forwards, never backwards.
    case clockJumped(milliseconds: Int64)
    /// Everything after belongs to a new epoch: after a restore, a promotion or a change of leader.
    case epochStarted(epoch: Epoch, reason: String)
    /// Event types up to this level may be written from here on.
    case levelRaised(level: UInt64)
    /// The settings that decide from here on.
    case settingsChanged(Settings)
    /// Refused calls about an attempt: the first, then one a minute with the count of those since.
    case refused(RefusedAttempt, code: RefusalCode, count: UInt64)
    /// What the state was at the end of the batch that ends there: a replay by reducers of the same fingerprint must
    /// come to the same.
    case stateHashed(at: LogSequence, fingerprint: UInt64, digest: Digest)
    /// The backup, restored up to the end of the batch there, came to the state that the engine had.
    case backupProved(at: LogSequence, fingerprint: UInt64, digest: Digest, milliseconds: UInt64)
    /// An earlier event's free texts were taken out: what its payload was, and what stands in its place, by SHA-256.
    case payloadRedacted(at: LogSequence, payload: Digest, substitute: Digest, reason: String)
}

/// The numbers that decisions depend on. They are facts of the log, so that a replay decides alike.
package struct Settings: Hashable, Sendable, Codable {
    /// How long a claimed attempt may stay silent.
    package var leaseSeconds: UInt32 = 60
    /// How often a worker says that it lives.
    package var heartbeatSeconds: UInt32 = 15
    /// Attempts of one job before it is `failed(lost)`.
    package var maximumAttempts: UInt32 = 3
    /// A job's time limit where its recipe names none.
    package var jobTimeoutSeconds: UInt32 = 3600
    /// How long a cancelled attempt may take to confirm before it is ended anyway.
    package var cancelGraceSeconds: UInt32 = 60
    /// Silence after which a region is suspended.
    package var regionSilentSeconds: UInt32 = 300
    /// Silence after which a peer is not live.
    package var peerSilentSeconds: UInt32 = 30
    /// A deployment not done by then has failed.
    package var deploymentDeadlineSeconds: UInt32 = 1800
    /// How long a target may be newly applied; global reissues it at half of it.
    package var targetLifetimeSeconds: UInt32 = 14 * 24 * 3600
    /// The share of live selected peers that must run a target healthy, in 1/10000.
    package var convergedShare: UInt32 = 10_000
    /// Jobs queued and running at once.
    package var maximumOpenJobs: UInt32 = 100_000

    package init() {}
}
