/// What a redaction may take out of an event: texts that people, programs and machines wrote, and that no rule reads but
/// to compare. Names, ids, numbers and digests stay, so that the events after it mean what they meant.

extension LogEvent {
    /// With these words in place of its free texts; nil where it has none.
    package func withoutFreeText(_ words: String) -> LogEvent? {
        switch self {
        case .epochStarted(let epoch, _): .epochStarted(epoch: epoch, reason: words)
        case .payloadRedacted(let sequence, let payload, let substitute, _):
            .payloadRedacted(at: sequence, payload: payload, substitute: substitute, reason: words)
        case .engineStarted, .engineStalled, .clockJumped, .levelRaised, .settingsChanged, .refused, .stateHashed,
            .backupProved:
            nil
        }
    }
}

extension QueueEvent {
    fileprivate func withoutFreeText(_ words: String) -> QueueEvent? {
        switch self {
        case .enqueued(let job, let request): .enqueued(job, request.withoutFreeText(words))
        case .enqueueReused(let job, let request): .enqueueReused(job, request.withoutFreeText(words))
        case .attemptFailed(let job, let attempt, let reason, _):
            .attemptFailed(job, attempt, reason, detail: words)
        case .attemptReleased(let job, let attempt, _): .attemptReleased(job, attempt, detail: words)
        case .cancelRequested(let job, _): .cancelRequested(job, reason: words)
        case .failed(let job, let reason, _): .failed(job, reason, detail: words)
        case .claimed, .heartbeat, .uploaded, .succeeded, .leaseExpired, .requeued: nil
        }
    }
}

extension JobRequest {
    /// The repository's address may hold a password. A job that is open cannot be built without it.
    fileprivate func withoutFreeText(_ words: String) -> JobRequest {
        JobRequest(
            app: app, repository: words, commit: commit, recipePath: recipePath, priority: priority, isForced: isForced)
    }
}

extension TargetsEvent {
    fileprivate func withoutFreeText(_ words: String) -> TargetsEvent? {
        switch self {
        case .deploymentWaiting(let opening): .deploymentWaiting(opening.withoutFreeText(words))
        case .targetChanged(let target, let origin, let opening):
            .targetChanged(target.withoutFreeText(words), origin, opening: opening?.withoutFreeText(words))
        case .deploymentEnded(let id, let app, let status, _): .deploymentEnded(id, app, status, detail: words)
        case .regionConverged: nil
        }
    }
}

extension DeploymentOpening {
    fileprivate func withoutFreeText(_ words: String) -> DeploymentOpening {
        var opening = self
        opening.request.reason = words
        return opening
    }
}

extension Target {
    fileprivate func withoutFreeText(_ words: String) -> Target {
        var target = self
        target.reason = words
        return target
    }
}

extension FleetEvent {
    fileprivate func withoutFreeText(_ words: String) -> FleetEvent? {
        switch self {
        case .regionStatusChanged(let region, let status, .request):
            .regionStatusChanged(region, status, .request(reason: words))
        case .regionLevel(let region, let level): .regionLevel(region, level.withoutFreeText(words))
        case .regionStatusChanged, .regionJoined, .regionStore, .workerJoined, .workerWaiting, .workerDrain: nil
        }
    }
}

extension RetentionEvent {
    fileprivate func withoutFreeText(_ words: String) -> RetentionEvent? {
        switch self {
        case .pinned(let build, _): .pinned(build, reason: words)
        case .unpinned(let build, _): .unpinned(build, reason: words)
        case .settingsChanged, .retired, .claimsStopped, .claimsResumed: nil
        }
    }
}

extension RegionLevel {
    fileprivate func withoutFreeText(_ words: String) -> RegionLevel {
        var level = self
        level.detail = words
        return level
    }
}

extension PeerApp {
    fileprivate func withoutFreeText(_ words: String) -> PeerApp {
        var report = self
        report.detail = words
        return report
    }
}

extension GlobalEvent {
    /// With these words in place of its free texts; nil where it has none.
    package func withoutFreeText(_ words: String) -> GlobalEvent? {
        switch self {
        case .log(let event): event.withoutFreeText(words).map(GlobalEvent.log)
        case .queue(let event): event.withoutFreeText(words).map(GlobalEvent.queue)
        case .targets(let event): event.withoutFreeText(words).map(GlobalEvent.targets)
        case .fleet(let event): event.withoutFreeText(words).map(GlobalEvent.fleet)
        case .replication(.packLost(let build, let region, _)):
            .replication(.packLost(build, region: region, detail: words))
        case .retention(let event): event.withoutFreeText(words).map(GlobalEvent.retention)
        case .replication(.packStored), .replication(.packRemoved): nil
        }
    }
}

extension RegionEvent {
    /// With these words in place of its free texts; nil where it has none.
    package func withoutFreeText(_ words: String) -> RegionEvent? {
        switch self {
        case .log(let event): event.withoutFreeText(words).map(RegionEvent.log)
        case .taken(.target(let target), let sequence): .taken(.target(target.withoutFreeText(words)), at: sequence)
        case .packLost(let build, _): .packLost(build, detail: words)
        case .peerChanged(let peer, let app, let report): .peerChanged(peer, app, report.withoutFreeText(words))
        case .taken, .followed, .refollowed, .packStored, .packRemoved, .peerEnrolled, .peerSilent, .peerReturned: nil
        }
    }
}
