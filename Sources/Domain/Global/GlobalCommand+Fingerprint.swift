extension GlobalCommand {
    /// Tells the arguments of two commands under one idempotency key apart; the same in every process and version.
    package var fingerprint: UInt64 {
        var fingerprint = Fingerprint()
        switch self {
        case .queue(let command): fingerprint.feed(command)
        case .targets(let command): fingerprint.feed(command)
        case .fleet(let command): fingerprint.feed(command)
        case .packStored(let build, let attempt, let region, let manifest):
            fingerprint.feed("pack-stored", build, attempt)
            fingerprint.feed(region.rawValue)
            fingerprint.feed(manifest)
        case .packLost(let build, let region, let detail):
            fingerprint.feed("pack-lost", build.rawValue)
            fingerprint.feed(region.rawValue)
            fingerprint.feed(detail)
        case .packRemoved(let build, let region):
            fingerprint.feed("pack-removed", build.rawValue)
            fingerprint.feed(region.rawValue)
        case .retention(let command): fingerprint.feed(command)
        case .changeSettings(let settings):
            fingerprint.feed("change-settings")
            for number in settings.numbers { fingerprint.feed(UInt64(number)) }
        }
        return fingerprint.value
    }
}

extension Settings {
    /// Every number, in the order of declaration.
    var numbers: [UInt32] {
        [
            leaseSeconds, heartbeatSeconds, maximumAttempts, jobTimeoutSeconds, cancelGraceSeconds, regionSilentSeconds,
            peerSilentSeconds, deploymentDeadlineSeconds, targetLifetimeSeconds, convergedShare, maximumOpenJobs,
        ]
    }
}

extension Fingerprint {
    fileprivate mutating func feed(_ kind: String, _ number: UInt64) {
        feed(kind)
        feed(number)
    }

    fileprivate mutating func feed(_ kind: String, _ job: JobID, _ attempt: AttemptNumber) {
        feed(kind)
        feed(job.rawValue)
        feed(attempt.rawValue)
    }

    fileprivate mutating func feed(_ command: QueueCommand) {
        switch command {
        case .enqueue(let request): feed(request)
        case .cancel(let job, let reason):
            feed("cancel", job.rawValue)
            feed(reason)
        case .claim(let worker):
            feed("claim")
            feed(worker.rawValue)
        case .heartbeat(let job, let attempt, let counter, let stage):
            feed("heartbeat", job, attempt)
            feed(counter)
            feed(stage.rawValue)
        case .reportUploaded(let job, let attempt, let pack):
            feed("report-uploaded", job, attempt)
            feed(pack.rawBytes)
            feed(pack.packedBytes)
            feed(pack.manifest)
            feed(pack.region.rawValue)
        case .reportFailed(let job, let attempt, let reason, let detail):
            feed("report-failed", job, attempt)
            feed(reason.rawValue)
            feed(detail)
        case .release(let job, let attempt, let detail):
            feed("release", job, attempt)
            feed(detail)
        case .expireLease(let job, let attempt): feed("expire-lease", job, attempt)
        }
    }

    private mutating func feed(_ request: JobRequest) {
        feed("enqueue")
        request.buildOnceKey.feed(&self)
        feed(UInt64(bitPattern: Int64(request.priority)))
        feed(request.isForced ? 1 : 0)
    }

    fileprivate mutating func feed(_ command: TargetsCommand) {
        switch command {
        case .deploy(let request): feed(request)
        case .startWaiting(let id):
            feed("start-waiting")
            feed(id.description)
        case .settle(let id):
            feed("settle")
            feed(id.description)
        case .reissue(let app, let scope):
            feed("reissue")
            feed(app.rawValue)
            feed(scope.description)
        }
    }

    private mutating func feed(_ request: DeployRequest) {
        feed("deploy", request.build?.rawValue ?? 0)
        feed(request.app.rawValue)
        feed(request.scope.description)
        feed(request.reason)
        for label in request.selector.labels.sorted(by: { $0.key < $1.key }) {
            feed(label.key)
            feed(label.value)
        }
        feed(request.whenReplicated ? 1 : 0)
        feed(request.allowEmpty ? 1 : 0)
        feed(request.expected?.description ?? "any")
    }

    fileprivate mutating func feed(_ command: FleetCommand) {
        switch command {
        case .regionJoin(let name, let text): feedNamed("region-join", name.rawValue, text)
        case .regionReport(let name, let levels):
            feedNamed("region-report", name.rawValue, "")
            for level in levels { feed(level) }
        case .regionStore(let name, let store):
            feedNamed("region-store", name.rawValue, "")
            feed(store.usedBytes)
            feed(store.freeBytes)
        case .regionSilent(let name): feedNamed("region-silent", name.rawValue, "")
        case .regionSuspend(let name, let text): feedNamed("region-suspend", name.rawValue, text)
        case .regionResume(let name, let text): feedNamed("region-resume", name.rawValue, text)
        case .regionRemove(let name, let text): feedNamed("region-remove", name.rawValue, text)
        case .workerJoin(let name, let region): feedNamed("worker-join", name.rawValue, region.rawValue)
        case .workerDrain(let name, let isDraining): feedNamed("worker-drain", name.rawValue, "\(isDraining)")
        }
    }

    fileprivate mutating func feed(_ command: RetentionCommand) {
        switch command {
        case .changeSettings(let settings):
            feed("change-retention")
            for number in [settings.keptBuilds, settings.keptSeconds, settings.graceSeconds, settings.fullPercent] {
                feed(UInt64(number))
            }
        case .pin(let build, let reason):
            feed("pin", build.rawValue)
            feed(reason)
        case .unpin(let build, let reason):
            feed("unpin", build.rawValue)
            feed(reason)
        case .retire(let build, let cause):
            feed("retire", build.rawValue)
            feed(cause.rawValue)
        case .settleClaims: feed("settle-claims")
        }
    }

    private mutating func feedNamed(_ kind: String, _ name: String, _ text: String) {
        feed(kind)
        feed(name)
        feed(text)
    }

    private mutating func feed(_ level: RegionLevel) {
        feed(level.app.rawValue)
        feed(level.revision.description)
        for number in [level.selected, level.healthy, level.failed, level.silent] { feed(UInt64(number)) }
        feed(level.detail)
    }
}
