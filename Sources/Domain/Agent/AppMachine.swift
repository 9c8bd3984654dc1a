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

/// What an agent does for one app.
package enum AppEffect: Hashable, Sendable {
    /// Get the pack, verify it, unpack it. Answered by `fetched` or `fetchFailed`.
    case fetch(ProvedBuild)
    /// The build is not wanted any more: drop the transfer.
    case cancelFetch(BuildID)
    /// End the running process: TERM, grace, KILL. Answered by `ended`.
    case stop(BuildID)
    /// Make the kept build `current` and run it. Answered by `started` or `startFailed`.
    case start(BuildID)
    /// Look at its health until it is answered by `healthy` or `unhealthy`.
    case check(BuildID)
    /// Delete a kept build.
    case evict(BuildID)
    /// Tell the region.
    case report(PeerApp)
    /// Call `tick` at this moment.
    case wake(Timestamp)
}

/// One app on one peer: which build should run, which does, and how to get from one to the other.
///
/// Facts in, effects out. It is what an agent writes down, so that a restarted one goes on from here.
package struct AppMachine: Hashable, Sendable, Codable {
    /// What the process does. A stopping one names what follows only through `wanted`.
    package enum Run: Hashable, Sendable, Codable {
        case none
        case starting(BuildID)
        case checking(BuildID)
        case running(BuildID)
        case stopping(BuildID)
        /// It ended by itself; it is started again at this moment.
        case resting(BuildID, until: Timestamp)
    }

    package let app: AppName
    package private(set) var assignment: Assignment?
    package private(set) var run = Run.none
    /// Verified builds on this disk, the latest used last.
    package private(set) var kept: [BuildID] = []
    package private(set) var fetching: ProvedBuild?
    /// The last build that was healthy here: what a failed switch goes back to.
    package private(set) var lastHealthy: BuildID?
    /// The build that failed here, at which revision, and why; it is not tried again at that revision.
    package private(set) var failure: Failure?
    /// Ends in a row without health between them.
    package private(set) var restarts: UInt32 = 0
    /// The last report, so that only changes are told.
    private var reported: PeerApp?

    package struct Failure: Hashable, Sendable, Codable {
        package var build: BuildID
        package var revision: Revision
        package var detail: String
    }

    /// Builds kept beside the wanted and the running one.
    package static let keptBuilds = 2
    package static let restSeconds: Int64 = 1
    package static let maximumRestSeconds: Int64 = 60
    package static let fetchRetrySeconds: Int64 = 2

    package init(app: AppName) { self.app = app }

    /// The build whose process exists, or should after a start.
    package var processBuild: BuildID? {
        switch run {
        case .none: nil
        case .starting(let build), .checking(let build), .running(let build), .stopping(let build),
            .resting(let build, _):
            build
        }
    }

    /// What should run now: the assigned build, or after its failure the last healthy one.
    package var wanted: BuildID? {
        guard let assignment else { return nil }
        if let failure, failure.revision == assignment.revision, failure.build == assignment.build?.build {
            return lastHealthy
        }
        return assignment.build?.build
    }

    // MARK: Facts

    /// The region's word. Smaller revisions are refused; an expired one is never newly applied.
    package mutating func assigned(_ next: Assignment, now: Timestamp) -> [AppEffect] {
        if let assignment, assignment.revision >= next.revision { return [] }
        guard next.expires > now else { return report(now: now) }
        assignment = next
        return settle(now: now)
    }

    /// An agent has started and found the world as told: the process of the recorded build, or none.
    package mutating func resumed(runningBuild: BuildID?, kept: [BuildID], now: Timestamp) -> [AppEffect] {
        self.kept = self.kept.filter(kept.contains) + kept.filter { !self.kept.contains($0) }
        fetching = nil
        reported = nil
        run = runningBuild.map(Run.checking) ?? .none
        if let lastHealthy, !self.kept.contains(lastHealthy) { self.lastHealthy = nil }
        return (runningBuild.map { [.check($0)] } ?? []) + settle(now: now)
    }

    package mutating func fetched(_ build: BuildID, now: Timestamp) -> [AppEffect] {
        if fetching?.build == build { fetching = nil }
        kept.removeAll { $0 == build }
        kept.append(build)
        return settle(now: now)
    }

    package mutating func fetchFailed(
        _ build: BuildID, detail: String, isFinal: Bool, now: Timestamp
    ) -> [AppEffect] {
        guard fetching?.build == build else { return [] }
        fetching = nil
        if isFinal { return failed(build, detail: detail, now: now) }
        return [.wake(now.adding(seconds: Self.fetchRetrySeconds))] + report(now: now, detail: detail)
    }

    package mutating func started(_ build: BuildID, now: Timestamp) -> [AppEffect] {
        guard run == .starting(build) else { return [] }
        run = .checking(build)
        return [.check(build)] + settle(now: now)
    }

    package mutating func startFailed(_ build: BuildID, detail: String, now: Timestamp) -> [AppEffect] {
        guard run == .starting(build) else { return [] }
        run = .none
        return failed(build, detail: detail, now: now)
    }

    package mutating func healthy(_ build: BuildID, now: Timestamp) -> [AppEffect] {
        guard run == .checking(build) else { return [] }
        run = .running(build)
        lastHealthy = build
        restarts = 0
        if let index = kept.firstIndex(of: build) { kept.append(kept.remove(at: index)) }
        return settle(now: now) + evictions()
    }

    package mutating func unhealthy(_ build: BuildID, detail: String, now: Timestamp) -> [AppEffect] {
        guard run == .checking(build) else { return [] }
        run = .stopping(build)
        return [.stop(build)] + failed(build, detail: detail, now: now)
    }

    /// The process is gone, by itself or because it was told to.
    package mutating func ended(_ build: BuildID, detail: String, now: Timestamp) -> [AppEffect] {
        switch run {
        case .stopping(build):
            run = .none
            return settle(now: now)
        case .checking(build):
            run = .none
            if build == lastHealthy { return rest(build, now: now) }
            return failed(build, detail: detail, now: now)
        case .running(build): return rest(build, now: now)
        case .none, .starting, .checking, .running, .stopping, .resting: return []
        }
    }

    package mutating func tick(now: Timestamp) -> [AppEffect] { settle(now: now) }

    // MARK: Decisions

    /// It was healthy once: start it again, each time a little later.
    private mutating func rest(_ build: BuildID, now: Timestamp) -> [AppEffect] {
        let seconds = min(Self.maximumRestSeconds, Self.restSeconds << min(restarts, 6))
        restarts += 1
        let until = now.adding(seconds: seconds)
        run = .resting(build, until: until)
        return [.wake(until)] + settle(now: now)
    }

    private mutating func failed(_ build: BuildID, detail: String, now: Timestamp) -> [AppEffect] {
        guard let assignment, assignment.build?.build == build else { return settle(now: now) }
        failure = Failure(build: build, revision: assignment.revision, detail: detail)
        if lastHealthy == build { lastHealthy = nil }
        return settle(now: now)
    }

    /// One step from what is to what should be, and the report of it.
    private mutating func settle(now: Timestamp) -> [AppEffect] {
        var effects = settleFetch()
        switch run {
        case .none:
            if let wanted, kept.contains(wanted) {
                run = .starting(wanted)
                effects.append(.start(wanted))
            }
        case .checking(let build), .running(let build):
            if build != wanted, canReplace(build) {
                run = .stopping(build)
                effects.append(.stop(build))
            }
        case .resting(let build, let until):
            if build != wanted || until <= now {
                run = .none
                return effects + settle(now: now)
            }
        case .starting, .stopping: break
        }
        return effects + report(now: now)
    }

    /// The old build runs on until the new one is here, or nothing should run.
    private func canReplace(_ build: BuildID) -> Bool {
        guard let assignment else { return false }
        guard let wanted else { return assignment.build == nil || failure?.build == build }
        return kept.contains(wanted)
    }

    private mutating func settleFetch() -> [AppEffect] {
        var effects: [AppEffect] = []
        if let old = fetching, old != assignment?.build {
            effects.append(.cancelFetch(old.build))
            fetching = nil
        }
        if let build = assignment?.build, wanted == build.build, !kept.contains(build.build), fetching == nil {
            fetching = build
            effects.append(.fetch(build))
        }
        return effects
    }

    /// Old builds go; what runs, what is wanted and what a failure would go back to stays.
    private mutating func evictions() -> [AppEffect] {
        let needed = [processBuild, wanted, lastHealthy, assignment?.build?.build].compactMap { $0 }
        let spare = kept.filter { !needed.contains($0) }
        let gone = spare.prefix(max(0, spare.count - Self.keptBuilds))
        kept.removeAll(where: gone.contains)
        return gone.map(AppEffect.evict)
    }

    private mutating func report(now: Timestamp, detail: String = "") -> [AppEffect] {
        guard let assignment else { return [] }
        var report = PeerApp(revision: assignment.revision, build: nil, health: .idle, detail: detail)
        switch run {
        case .running(let build): (report.build, report.health) = (build, .healthy)
        case .checking(let build), .starting(let build), .resting(let build, _):
            (report.build, report.health) = (build, .starting)
        case .stopping(let build): (report.build, report.health) = (build, .starting)
        case .none: break
        }
        if let failure, failure.revision == assignment.revision {
            (report.health, report.detail) = (.failed, clipped(failure.detail))
        } else if fetching != nil {
            report.health = .fetching
        } else if report.health == .healthy, assignment.expires <= now {
            report.health = .stale
        }
        guard report != reported else { return [] }
        reported = report
        return [.report(report)]
    }

    private func clipped(_ detail: String) -> String {
        String(decoding: Array(detail.utf8.prefix(PeerApp.maximumDetailBytes - 3)), as: UTF8.self)
    }
}
