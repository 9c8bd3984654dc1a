package import Transfer

/// The limits and times of one agent.
package struct AgentSettings: Hashable, Sendable {
    /// Between two looks at a healthy app.
    package var healthSeconds: Int64 = 10
    /// So many failed looks in a row end it, to be started again.
    package var unhealthyLooks = 3
    /// What an app has printed is moved aside above this size.
    package var maximumOutputBytes: UInt64 = 64 << 20
    package var outputLookSeconds: Int64 = 10
    /// Left free on the disk beside a pack and the file that it unpacks to.
    package var minimumFreeBytes: UInt64 = 64 << 20
    /// Between two announcements of a pack that is kept and not being fetched: within the tracker's 30 s of silence.
    package var keptAnnounceMilliseconds: Int64 = 20_000
    /// How often the tracker is told of a pack that is being fetched.
    package var announcing = AnnounceSettings()
    /// How long a region's answer about new targets may wait.
    package var waitMilliseconds: Int64 = 10_000
    /// The most of an app's `grace_seconds` that counts when the agent itself is told to stop its apps: whoever told
    /// it waits only so long.
    package var maximumStopSeconds = Self.standardStopSeconds

    package static let standardStopSeconds: UInt32 = 60

    package init() {}
}
