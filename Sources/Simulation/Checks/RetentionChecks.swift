import Domain

/// Retention's rules, told from the events alone.
struct RetentionChecks {
    private struct Built {
        var build: BuildID
        var at: Timestamp
    }

    private var settings = RetentionSettings()
    private(set) var pinned: Set<BuildID> = []
    private(set) var retired: Set<BuildID> = []
    private(set) var claimsStoppedBy: RegionName?
    /// In the order of their success; those of one moment by their numbers.
    private var builds: [AppName: [Built]] = [:]
    private var apps: [BuildID: AppName] = [:]

    typealias Problem = (rule: String, detail: String)

    mutating func built(_ build: BuildID, of app: AppName, at time: Timestamp) {
        let line = builds[app] ?? []
        let place = line.lastIndex { ($0.at, $0.build) < (time, build) }.map { $0 + 1 } ?? 0
        builds[app, default: []].insert(Built(build: build, at: time), at: place)
        apps[build] = app
    }

    mutating func take(_ event: RetentionEvent, _ header: FrameHeader, targets: TargetChecks) -> Problem? {
        switch event {
        case .settingsChanged(let next): settings = next
        case .pinned(let build, _):
            if retired.contains(build) { return ("retired-is-retired", "build \(build) is pinned") }
            pinned.insert(build)
        case .unpinned(let build, _): pinned.remove(build)
        case .retired(let build, let cause, _):
            guard retired.insert(build).inserted else {
                return cause == .space ? nil : ("retired-once", "build \(build) is retired again")
            }
            return retire(build, cause, header, targets)
        case .claimsStopped(let region): claimsStoppedBy = region
        case .claimsResumed: claimsStoppedBy = nil
        }
        return nil
    }

    private func retire(
        _ build: BuildID, _ cause: RetirementCause, _ header: FrameHeader, _ targets: TargetChecks
    ) -> Problem? {
        func kept(_ why: String) -> Problem { ("kept-builds-stay", "build \(build) is retired, and \(why)") }
        guard let app = apps[build], let line = builds[app], let built = line.first(where: { $0.build == build }) else {
            return ("retired-is-built", "build \(build) is retired and was not built")
        }
        if let use = targets.use(of: build) { return kept("\(use) names it") }
        if pinned.contains(build) { return kept("it is pinned") }
        if line.last?.build == build { return kept("it is the newest of \(app)") }
        guard cause == .unused else { return nil }
        if line.suffix(Int(settings.keptBuilds)).contains(where: { $0.build == build }) {
            return kept("it is one of the last \(settings.keptBuilds) of \(app)")
        }
        let age = header.time.millisecondsSince(built.at)
        return age < Int64(settings.keptSeconds) * 1000 ? kept("it is \(age) ms old") : nil
    }

    /// A retired build is no target any more.
    func take(_ event: TargetsEvent) -> Problem? {
        let named: [ProvedBuild?] =
            switch event {
            case .deploymentWaiting(let opening): [opening.build]
            case .targetChanged(let target, _, _): [target.current, target.base]
            case .regionConverged, .deploymentEnded: []
            }
        guard let build = named.compactMap({ $0?.build }).first(where: { retired.contains($0) }) else { return nil }
        return ("retired-is-retired", "build \(build) is to be run and is retired")
    }
}
