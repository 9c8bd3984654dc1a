package typealias RetentionDecision = Decision<RetentionEvent, Void>

extension TargetsState {
    /// Why targets or open deployments keep a build; nil where they do not. Costs the app's targets and what is open.
    func keeps(_ build: BuildID, of app: AppName) -> KeptReason? {
        var isPrevious = false
        for scoped in (apps[app] ?? [:]).values {
            if scoped.base?.build == build { return .target }
            // A region's own target that a newer global one overtook is issued no more.
            guard !isOvertaken(scoped.target) else { continue }
            if scoped.target.current.build == build || scoped.target.base?.build == build { return .target }
            isPrevious = isPrevious || scoped.target.previous?.build == build
        }
        if isPrevious { return .previous }
        return open.values.contains { $0.request.app == app && $0.build.build == build } ? .deployment : nil
    }
}

extension GlobalState {
    /// Why a build is not retired; nil where nothing keeps it, or where it is no build.
    package func keptReason(_ build: BuildID, now: Timestamp) -> KeptReason? {
        guard let app = queue.builds.look(build, { $0?.app }), let at = queue.builds.look(build, { $0?.succeededAt })
        else { return nil }
        let aged = AgedBuild(succeededAt: at, build: build)
        if let reason = targets.keeps(build, of: app) { return reason }
        if retention.pins[build] != nil { return .pinned }
        let line = retention.recent[app] ?? []
        if line.last == aged { return .newest }
        if line.contains(aged) { return .recent }
        return now < ageEnd(aged) ? .young : nil
    }

    /// When its age keeps a build no longer, where nothing else does.
    package func youngUntil(_ build: BuildID, _ reason: KeptReason) -> Timestamp? {
        guard reason == .young, let at = queue.builds.look(build, { $0?.succeededAt }) else { return nil }
        return ageEnd(AgedBuild(succeededAt: at, build: build))
    }

    func ageEnd(_ aged: AgedBuild) -> Timestamp {
        aged.succeededAt.adding(seconds: Int64(retention.settings.keptSeconds))
    }

    /// What a command leads to. Nothing changes here.
    func decide(_ command: RetentionCommand, now: Timestamp) -> RetentionDecision {
        guard log.level >= LogState.retentionLevel else {
            return .refused(
                Refusal(.levelTooLow, "the log is of level \(log.level), retention needs \(LogState.retentionLevel)"))
        }
        return switch command {
        case .changeSettings(let settings):
            settings.problem.map { .refused($0) }
                ?? .accepted(settings == retention.settings ? [] : [.settingsChanged(settings)], ())
        case .pin(let build, let reason): pin(build, reason: reason)
        case .unpin(let build, let reason): unpin(build, reason: reason)
        case .retire(let build, let cause): retire(build, cause, now: now)
        case .settleClaims: .accepted(claimsChange().map { [$0] } ?? [], ())
        }
    }

    private func pin(_ build: BuildID, reason: String) -> RetentionDecision {
        if let problem = problem(of: build, reason: reason) { return .refused(problem) }
        if retention.retired[build] != nil { return .refused(Self.retired(build)) }
        if let pin = retention.pins[build] {
            return .accepted(pin.reason == reason ? [] : [.pinned(build, reason: reason)], ())
        }
        guard retention.pins.count < RetentionState.maximumPins else {
            return .refused(Refusal(.limitReached, "\(retention.pins.count) builds are pinned already: unpin some"))
        }
        return .accepted([.pinned(build, reason: reason)], ())
    }

    private func unpin(_ build: BuildID, reason: String) -> RetentionDecision {
        if let problem = problem(of: build, reason: reason) { return .refused(problem) }
        return .accepted(retention.pins[build] == nil ? [] : [.unpinned(build, reason: reason)], ())
    }

    private func problem(of build: BuildID, reason: String) -> Refusal? {
        guard reason.utf8.count <= QueueCommand.maximumReasonBytes else {
            return Refusal(.tooLarge, "reason is longer than \(QueueCommand.maximumReasonBytes) bytes")
        }
        return isBuild(build) ? nil : unknown(build)
    }

    private func isBuild(_ build: BuildID) -> Bool { queue.builds.look(build) { $0 != nil } }

    private func unknown(_ build: BuildID) -> Refusal {
        Refusal(.unknownBuild, "there is no build \(build): `drover builds` lists them")
    }

    /// Decided where targets are: one that is kept is never retired, and one that is retired is no target any more.
    private func retire(_ build: BuildID, _ cause: RetirementCause, now: Timestamp) -> RetentionDecision {
        guard isBuild(build) else { return .refused(unknown(build)) }
        if let retirement = retention.retired[build] {
            let endsGrace = cause == .space && retirement.removeAfter > now && isWantedForSpace(build)
            return .accepted(endsGrace ? [.retired(build, .space, removeAfter: now)] : [], ())
        }
        if let end = retention.heldUntil, now < end {
            return .refused(
                Refusal(.buildKept, "nothing is retired before \(end.rfc3339): this log is new to retention"))
        }
        if let reason = keptReason(build, now: now), cause == .unused || reason.holdsWithoutSpace {
            return .refused(Refusal(.buildKept, "build \(build) is kept: \(reason.words)"))
        }
        switch cause {
        case .unused:
            let end = now.adding(seconds: Int64(retention.settings.graceSeconds))
            return .accepted([.retired(build, .unused, removeAfter: end)], ())
        case .space:
            guard isWantedForSpace(build) else {
                return .refused(
                    Refusal(.buildKept, "build \(build) is kept: no store that its going would help has it"))
            }
            return .accepted([.retired(build, .space, removeAfter: now)], ())
        }
    }

    static func retired(_ build: BuildID) -> Refusal {
        Refusal(.buildRetired, "build \(build) is retired and is removed everywhere: build its commit again")
    }
}

extension KeptReason {
    /// As people read it.
    package var words: String {
        switch self {
        case .target: "a target names it"
        case .previous: "it is the build to roll back to"
        case .deployment: "an open deployment names it"
        case .pinned: "it is pinned"
        case .newest: "it is the newest of its app"
        case .recent: "it is one of the last of its app"
        case .young: "it is young"
        }
    }
}
