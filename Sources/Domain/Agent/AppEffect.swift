/// What a region tells a peer to run of one app.
package struct Assignment: Hashable, Sendable, Codable {
    package var app: AppName
    package var revision: Revision
    /// Nil for nothing.
    package var build: ProvedBuild?
    /// Never newly applied after this moment.
    package var expires: Timestamp

    package init(app: AppName, revision: Revision, build: ProvedBuild?, expires: Timestamp) {
        (self.app, self.revision, self.build, self.expires) = (app, revision, build, expires)
    }
}

/// One start of a build: a process. Facts about processes name it, so that a late word about one that ended is nothing
/// to its successor.
package struct Launch: Hashable, Sendable, Codable {
    package var build: ProvedBuild
    /// Grows with every launch of the app on this machine.
    package var ordinal: UInt64

    package init(build: ProvedBuild, ordinal: UInt64) { (self.build, self.ordinal) = (build, ordinal) }
}

/// One go at getting a build; facts about fetches name it.
package struct FetchOrder: Hashable, Sendable, Codable {
    package var build: ProvedBuild
    package var ordinal: UInt64

    package init(build: ProvedBuild, ordinal: UInt64) { (self.build, self.ordinal) = (build, ordinal) }
}

/// What an agent does for one app.
package enum AppEffect: Hashable, Sendable {
    /// Get the pack, verify it, unpack it. Answered by `fetched` or `fetchFailed`.
    case fetch(FetchOrder)
    /// The build is not wanted any more: drop the transfer and what it left.
    case cancelFetch(ProvedBuild)
    /// End the process and all it started: the stop signal, the grace, KILL. Answered by `ended`.
    case stop(Launch)
    /// Make the kept build `current` and run it. Answered by `started` or `startFailed`.
    case start(Launch)
    /// Look at its health until it is answered by `healthy` or `unhealthy`.
    case check(Launch)
    /// It is healthy: look again and again, and say `unhealthy` when it is no more.
    case watch(Launch)
    /// Delete a kept build.
    case evict(ProvedBuild)
    /// Tell the region.
    case report(PeerApp)
    /// Call `tick` at this moment.
    case wake(Timestamp)
}
