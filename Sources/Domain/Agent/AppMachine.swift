/// One app on one peer: which build should run, which does, and how to get from one to the other.
///
/// Facts in, effects out. It is what an agent writes down, so that a restarted one goes on from here. Builds are told
/// apart by number and manifest: a restored global log gives numbers again.
package struct AppMachine: Hashable, Sendable, Codable {
    /// What the process does.
    package enum Run: Hashable, Sendable, Codable {
        case none
        case starting(Launch)
        case checking(Launch)
        /// Healthy since then, as far as this agent knows.
        case running(Launch, since: Timestamp)
        /// A sick one is stopped to be started again; any other makes room for what is wanted.
        case stopping(Launch, isSick: Bool)
        /// It was healthy once and ended; it is started again at this moment.
        case resting(ProvedBuild, until: Timestamp)
    }

    /// The assigned build on its way here.
    package struct Fetch: Hashable, Sendable, Codable {
        package var order: FetchOrder
        package var failures: UInt32 = 0
        /// What went wrong last.
        package var detail = ""
        /// Nil while it is under way.
        package var retryAt: Timestamp?
    }

    package struct Failure: Hashable, Sendable, Codable {
        package var build: ProvedBuild
        package var revision: Revision
        package var detail: String
    }

    package let app: AppName
    /// Spreads this machine's retries among its fleet's.
    let seed: UInt64
    package internal(set) var assignment: Assignment?
    package internal(set) var run = Run.none
    /// Verified builds on this disk, the latest used last.
    package internal(set) var kept: [ProvedBuild] = []
    package internal(set) var fetch: Fetch?
    /// The last build that was healthy here: what a failed switch goes back to, and what is never given up.
    package internal(set) var lastHealthy: ProvedBuild?
    /// The build that failed here before it was ever healthy, at which revision, and why; it is not tried again at that
    /// revision.
    package internal(set) var failure: Failure?
    /// Ends in a row, none after a long healthy run.
    package internal(set) var restarts: UInt32 = 0
    /// Why the last healthy build had to be started again; empty when it is healthy.
    var trouble = ""
    /// The ordinal given last to a launch or a fetch.
    var lastOrdinal: UInt64 = 0
    /// The last report, so that only changes are told.
    var reported: PeerApp?

    /// Builds kept beside the wanted and the running one.
    package static let keptBuilds = 2
    package static let restSeconds: Int64 = 1
    package static let maximumRestSeconds: Int64 = 60
    /// Healthy for so long, an end is a first one again.
    package static let steadySeconds: Int64 = 60
    package static let fetchRetrySeconds: Int64 = 2
    package static let maximumFetchRetrySeconds: Int64 = 60

    package init(app: AppName, seed: UInt64) { (self.app, self.seed) = (app, seed) }

    /// The build whose process exists, or should after a start.
    package var processBuild: ProvedBuild? {
        switch run {
        case .none: nil
        case .starting(let launch), .checking(let launch), .running(let launch, _), .stopping(let launch, _):
            launch.build
        case .resting(let build, _): build
        }
    }

    /// What should run now: the assigned build, or after its failure the last healthy one.
    package var wanted: ProvedBuild? {
        guard let assignment else { return nil }
        if let failure, failure.revision == assignment.revision, failure.build == assignment.build {
            return lastHealthy
        }
        return assignment.build
    }

    // MARK: Facts

    /// The region's word. Smaller revisions are refused; an equal one may name another build, because the peer's labels
    /// have changed; an expired one is never newly applied.
    package mutating func assigned(_ next: Assignment, now: Timestamp) -> [AppEffect] {
        if let assignment {
            guard next.revision >= assignment.revision else { return [] }
            guard next.revision > assignment.revision || next.build != assignment.build else { return [] }
        }
        guard next.expires > now else { return report(now: now) }
        assignment = next
        return settle(now: now)
    }

    /// The region has taken this peer in; it may know nothing of it yet, or no more.
    package mutating func enrolled(now: Timestamp) -> [AppEffect] {
        reported = nil
        return report(now: now)
    }

    /// An agent has started and found the world as told: the process of a former agent, or none.
    package mutating func resumed(running launch: Launch?, kept: [ProvedBuild], now: Timestamp) -> [AppEffect] {
        self.kept = self.kept.filter(kept.contains) + kept.filter { !self.kept.contains($0) }
        (fetch, reported) = (nil, nil)
        if let lastHealthy, !self.kept.contains(lastHealthy) { self.lastHealthy = nil }
        lastOrdinal = max(lastOrdinal, launch?.ordinal ?? 0)
        return takeOver(launch, now: now) + settle(now: now)
    }

    package mutating func fetched(_ order: FetchOrder, now: Timestamp) -> [AppEffect] {
        guard fetch?.order == order else { return [] }
        fetch = nil
        kept.removeAll { $0 == order.build }
        kept.append(order.build)
        return settle(now: now) + evictions()
    }

    package mutating func fetchFailed(
        _ order: FetchOrder, detail: String, isFinal: Bool, now: Timestamp
    ) -> [AppEffect] {
        guard var fetch, fetch.order == order else { return [] }
        guard !isFinal else {
            self.fetch = nil
            return failed(order.build, detail: detail, now: now)
        }
        fetch.failures += 1
        let retryAt = now.adding(milliseconds: fetchPauseMilliseconds(fetch))
        (fetch.detail, fetch.retryAt) = (detail, retryAt)
        self.fetch = fetch
        return [.wake(retryAt)] + report(now: now)
    }

    package mutating func started(_ launch: Launch, now: Timestamp) -> [AppEffect] {
        guard run == .starting(launch) else { return [] }
        run = .checking(launch)
        return [.check(launch)] + settle(now: now)
    }

    package mutating func startFailed(_ launch: Launch, detail: String, now: Timestamp) -> [AppEffect] {
        guard run == .starting(launch) else { return [] }
        if launch.build == lastHealthy { return rest(launch.build, detail: detail, now: now) }
        run = .none
        return failed(launch.build, detail: detail, now: now)
    }

    package mutating func healthy(_ launch: Launch, now: Timestamp) -> [AppEffect] {
        guard run == .checking(launch) else { return [] }
        run = .running(launch, since: now)
        if lastHealthy != launch.build { restarts = 0 }
        (lastHealthy, trouble) = (launch.build, "")
        if let index = kept.firstIndex(of: launch.build) { kept.append(kept.remove(at: index)) }
        return [.watch(launch)] + settle(now: now) + evictions()
    }

    package mutating func unhealthy(_ launch: Launch, detail: String, now: Timestamp) -> [AppEffect] {
        switch run {
        case .checking(launch): break
        case .running(launch, let since): forgetRestarts(healthySince: since, now: now)
        case .none, .starting, .checking, .running, .stopping, .resting: return []
        }
        run = .stopping(launch, isSick: true)
        if launch.build == lastHealthy {
            trouble = detail
            return [.stop(launch)] + settle(now: now)
        }
        return [.stop(launch)] + failed(launch.build, detail: detail, now: now)
    }

    /// The process and all it started are gone, by themselves or because they were told to.
    package mutating func ended(_ launch: Launch, detail: String, now: Timestamp) -> [AppEffect] {
        switch run {
        case .stopping(launch, let isSick):
            if isSick, launch.build == lastHealthy { return rest(launch.build, detail: trouble, now: now) }
            run = .none
            return settle(now: now)
        case .checking(launch):
            if launch.build == lastHealthy { return rest(launch.build, detail: detail, now: now) }
            run = .none
            return failed(launch.build, detail: detail, now: now)
        case .running(launch, let since):
            forgetRestarts(healthySince: since, now: now)
            return rest(launch.build, detail: detail, now: now)
        case .none, .starting, .checking, .running, .stopping, .resting: return []
        }
    }

    /// A moment that was asked for has come, by the clock of then. Log time may have gone back since, where the region's
    /// word took the place of a clock that was ahead: then it is asked for again, and no rest grows longer by it.
    package mutating func tick(now: Timestamp) -> [AppEffect] {
        shortenRests(now: now)
        return settle(now: now) + wakes(now: now)
    }
}
