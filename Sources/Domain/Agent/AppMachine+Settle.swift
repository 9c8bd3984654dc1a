/// Decisions: from what is to what should be.
extension AppMachine {
    /// A process whose build was healthy here needs no second proof: one failed check while agents change must not end
    /// it. Without a process, what ran before runs again at once.
    mutating func takeOver(_ launch: Launch?, now: Timestamp) -> [AppEffect] {
        guard let launch else {
            let isKept = processBuild.map { $0 == lastHealthy && kept.contains($0) } ?? false
            run = isKept ? lastHealthy.map { .resting($0, until: now) } ?? .none : .none
            return []
        }
        guard launch.build == lastHealthy else {
            run = .checking(launch)
            return [.check(launch)]
        }
        run = .running(launch, since: now)
        return [.watch(launch)]
    }

    /// It was healthy once: start it again, each time a little later.
    mutating func rest(_ build: ProvedBuild, detail: String, now: Timestamp) -> [AppEffect] {
        let seconds = min(Self.maximumRestSeconds, Self.restSeconds << min(restarts, 6))
        restarts += 1
        trouble = detail
        let until = now.adding(seconds: seconds)
        run = .resting(build, until: until)
        return [.wake(until)] + settle(now: now)
    }

    /// None lasts longer from now than the longest one.
    mutating func shortenRests(now: Timestamp) {
        if case .resting(let build, let until) = run {
            run = .resting(build, until: min(until, now.adding(seconds: Self.maximumRestSeconds)))
        }
        if let retryAt = fetch?.retryAt {
            fetch?.retryAt = min(retryAt, now.adding(seconds: Self.maximumFetchRetrySeconds))
        }
    }

    /// The moments that something rests until.
    func wakes(now: Timestamp) -> [AppEffect] {
        var moments: [Timestamp] = []
        if case .resting(_, let until) = run { moments.append(until) }
        if let retryAt = fetch?.retryAt { moments.append(retryAt) }
        return moments.filter { $0 > now }.map(AppEffect.wake)
    }

    mutating func forgetRestarts(healthySince since: Timestamp, now: Timestamp) {
        if now >= since.adding(seconds: Self.steadySeconds) { restarts = 0 }
    }

    /// The end of a build that was never healthy here.
    mutating func failed(_ build: ProvedBuild, detail: String, now: Timestamp) -> [AppEffect] {
        guard let assignment, assignment.build == build else { return settle(now: now) }
        failure = Failure(build: build, revision: assignment.revision, detail: detail)
        return settle(now: now)
    }

    /// One step from what is to what should be, and the report of it.
    mutating func settle(now: Timestamp) -> [AppEffect] {
        var effects = settleFetch(now: now)
        switch run {
        case .none:
            if let wanted, kept.contains(wanted) { effects.append(launch(wanted)) }
        case .checking(let launch), .running(let launch, _):
            if shouldReplace(launch.build) {
                run = .stopping(launch, isSick: false)
                effects.append(.stop(launch))
            }
        case .resting(let build, let until):
            if shouldReplace(build) {
                run = .none
                return effects + settle(now: now)
            }
            if until <= now { effects.append(launch(build)) }
        case .starting, .stopping: break
        }
        return effects + report(now: now)
    }

    private mutating func launch(_ build: ProvedBuild) -> AppEffect {
        let launch = Launch(build: build, ordinal: nextOrdinal())
        run = .starting(launch)
        return .start(launch)
    }

    private mutating func nextOrdinal() -> UInt64 {
        lastOrdinal += 1
        return lastOrdinal
    }

    /// The old build runs on until the new one is here, or nothing should run.
    private func shouldReplace(_ build: ProvedBuild) -> Bool {
        guard let assignment, build != wanted else { return false }
        guard let wanted else { return assignment.build == nil || failure?.build == build }
        return kept.contains(wanted)
    }

    private mutating func settleFetch(now: Timestamp) -> [AppEffect] {
        let needed = assignment?.build.flatMap { $0 == wanted && !kept.contains($0) ? $0 : nil }
        var effects: [AppEffect] = []
        if let old = fetch, old.order.build != needed {
            effects.append(.cancelFetch(old.order.build))
            fetch = nil
        }
        guard let needed else { return effects }
        if let waiting = fetch {
            guard let retryAt = waiting.retryAt, retryAt <= now else { return effects }
            fetch?.retryAt = nil
        }
        let order = FetchOrder(build: needed, ordinal: nextOrdinal())
        fetch = fetch ?? Fetch(order: order)
        fetch?.order = order
        return effects + [.fetch(order)]
    }

    /// Doubled at each failure up to the maximum; half of it differs from machine to machine.
    func fetchPauseMilliseconds(_ fetch: Fetch) -> Int64 {
        let doubled = Self.fetchRetrySeconds << Int64(min(max(fetch.failures, 1) - 1, 6))
        let whole = min(doubled, Self.maximumFetchRetrySeconds) * 1000
        var fingerprint = Fingerprint()
        fingerprint.feed(seed)
        fingerprint.feed(app.rawValue)
        fingerprint.feed(fetch.order.ordinal)
        return whole / 2 + Int64(fingerprint.value % UInt64(whole / 2 + 1))
    }

    /// Old builds go; what runs, what is wanted and what a failure would go back to stays.
    mutating func evictions() -> [AppEffect] {
        let needed = [processBuild, wanted, lastHealthy, assignment?.build].compactMap { $0 }
        let spare = kept.filter { !needed.contains($0) }
        let gone = spare.prefix(max(0, spare.count - Self.keptBuilds))
        kept.removeAll(where: gone.contains)
        return gone.map(AppEffect.evict)
    }

    /// What the region should know, if it is something new. It learns the build's number only.
    mutating func report(now: Timestamp) -> [AppEffect] {
        guard let assignment else { return [] }
        var report = PeerApp(revision: assignment.revision, build: processBuild?.build, health: .idle)
        switch run {
        case .none: break
        case .running: report.health = .healthy
        case .starting, .checking, .stopping, .resting: (report.health, report.detail) = (.starting, trouble)
        }
        if let failure, failure.revision == assignment.revision, failure.build == assignment.build {
            (report.health, report.detail) = (.failed, failure.detail)
        } else if let fetch {
            (report.health, report.detail) = (.fetching, fetch.detail)
        } else if report.health == .healthy, assignment.expires <= now {
            report.health = .stale
        }
        report.detail = Self.clipped(report.detail)
        guard report != reported else { return [] }
        reported = report
        return [.report(report)]
    }

    private static func clipped(_ detail: String) -> String {
        guard detail.utf8.count > PeerApp.maximumDetailBytes else { return detail }
        return String(decoding: Array(detail.utf8.prefix(PeerApp.maximumDetailBytes - 3)), as: UTF8.self)
    }
}
