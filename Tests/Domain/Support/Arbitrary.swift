import Domain

/// Values without any sense: what a damaged or a foreign log could hold, the extremes of every number included.
struct Arbitrary {
    var random: SplitMix64

    mutating func number() -> UInt64 {
        random.pick([0, 1, 1, 2, 2, 3, 4, 5, 100, UInt64.max - 1, UInt64.max, random.next()])
    }
    mutating func small() -> UInt32 { random.pick([0, 1, 2, 60, 10_000, UInt32.max]) }
    mutating func time() -> Timestamp {
        Timestamp(
            milliseconds: random.pick([
                0, 1, 60_000, 90_000_000, -1, Int64.max, Int64.min, Int64(random.below(1_000_000)),
            ]))
    }
    mutating func flag() -> Bool { random.chance(1, in: 2) }
    mutating func text() -> String { random.pick(["", "x", "é\u{0}", String(repeating: "y", count: 2000)]) }
    mutating func job() -> JobID { JobID(rawValue: number()) }
    mutating func attempt() -> AttemptNumber { AttemptNumber(rawValue: number()) }
    mutating func app() -> AppName { random.pick(Universe.apps) }
    mutating func region() -> RegionName { random.pick(Universe.regions) }
    mutating func worker() -> WorkerName { random.pick(Universe.workers) }
    mutating func peer() -> PeerName { PeerName(unchecked: random.pick(["p1", "p2", "p3"])) }
    mutating func digest() -> Digest { manifest(UInt64(random.below(3))) }
    mutating func scope() -> TargetScope { random.pick(Universe.scopes) }
    mutating func revision() -> Revision { Revision(epoch: Epoch(rawValue: number()), number: number()) }
    mutating func proved() -> ProvedBuild { ProvedBuild(build: job(), manifest: digest()) }
    mutating func labels() -> [String: String] { random.pick([[:], ["tier": "canary"], ["": "É"]]) }
    mutating func actor() -> EventActor { random.pick([.system, .person("ada"), .projector("p")]) }
    mutating func pack() -> UploadedPack {
        UploadedPack(manifest: digest(), region: region(), rawBytes: number(), packedBytes: number())
    }

    mutating func request() -> JobRequest {
        JobRequest(
            app: app(), repository: text(), commit: commit(random.below(3)), recipePath: text(),
            priority: random.pick([0, 1, -1, .max, .min]), isForced: flag())
    }

    mutating func settings() -> Settings {
        var settings = Settings()
        settings.leaseSeconds = small()
        settings.heartbeatSeconds = small()
        settings.maximumAttempts = small()
        settings.cancelGraceSeconds = small()
        settings.deploymentDeadlineSeconds = small()
        settings.targetLifetimeSeconds = small()
        settings.convergedShare = small()
        settings.maximumOpenJobs = small()
        return settings
    }

    mutating func deployRequest() -> DeployRequest {
        DeployRequest(
            app: app(), build: flag() ? job() : nil, scope: scope(), selector: PeerSelector(labels: labels()),
            reason: text(), whenReplicated: flag(), allowEmpty: flag(), expected: flag() ? revision() : nil)
    }

    mutating func target() -> Target {
        Target(
            app: app(), scope: scope(), revision: revision(), deployment: revision(), current: proved(),
            base: flag() ? proved() : nil, previous: flag() ? proved() : nil, selector: PeerSelector(labels: labels()),
            admittedShare: small(), actor: actor(), reason: text(), issued: time(), expires: time())
    }

    mutating func opening() -> DeploymentOpening {
        DeploymentOpening(id: revision(), request: deployRequest(), build: proved(), deadline: time())
    }

    mutating func level() -> RegionLevel {
        RegionLevel(
            app: app(), revision: revision(), selected: small(), healthy: small(), failed: small(), silent: small(),
            detail: text())
    }

    mutating func logEvent() -> LogEvent {
        switch random.below(10) {
        case 0: .engineStarted(version: text(), level: number())
        case 1: .engineStalled(milliseconds: time().milliseconds)
        case 2: .clockJumped(milliseconds: time().milliseconds)
        case 3: .epochStarted(epoch: Epoch(rawValue: number()), reason: text())
        case 4: .levelRaised(level: number())
        case 5: .settingsChanged(settings())
        case 6:
            .stateHashed(at: LogSequence(rawValue: number()), fingerprint: number(), digest: digest())
        case 7:
            .backupProved(
                at: LogSequence(rawValue: number()), fingerprint: number(), digest: digest(), milliseconds: number())
        case 8:
            .payloadRedacted(
                at: LogSequence(rawValue: number()), payload: digest(), substitute: digest(), reason: text())
        default:
            .refused(
                RefusedAttempt(job: job(), attempt: attempt(), command: text()), code: .staleAttempt, count: number())
        }
    }

    mutating func queueEvent() -> QueueEvent {
        switch random.below(13) {
        case 0, 1: .enqueued(JobID(rawValue: UInt64(1 + random.below(6))), request())
        case 2: .claimed(job(), attempt(), worker: worker(), leaseSeconds: small())
        case 3: .heartbeat(job(), attempt(), counter: number(), stage: random.pick(AttemptStage.allCases))
        case 4: .uploaded(job(), attempt(), pack())
        case 5: .succeeded(job(), attempt())
        case 6: .attemptFailed(job(), attempt(), .exit, detail: text())
        case 7: .attemptReleased(job(), attempt(), detail: text())
        case 8: .leaseExpired(job(), attempt())
        case 9: .requeued(job())
        case 10: .cancelRequested(job(), reason: text())
        case 11: .enqueueReused(job(), request())
        default: .failed(job(), random.pick(FailureReason.allCases), detail: text())
        }
    }

    mutating func targetsEvent() -> TargetsEvent {
        switch random.below(5) {
        case 0: .deploymentWaiting(opening())
        case 1, 2: .targetChanged(target(), random.pick(TargetOrigin.allCases), opening: flag() ? opening() : nil)
        case 3: .regionConverged(revision(), region())
        default: .deploymentEnded(revision(), app(), random.pick(DeploymentStatus.allCases), detail: text())
        }
    }

    mutating func fleetEvent() -> FleetEvent {
        switch random.below(7) {
        case 6: .regionStore(region(), store())
        case 0: .regionJoined(region(), endpoint: text())
        case 1: .regionStatusChanged(region(), random.pick(RegionStatus.allCases), random.pick([.silence, .report]))
        case 2: .regionLevel(region(), level())
        case 3: .workerJoined(worker(), region: region())
        case 4: .workerWaiting(worker())
        default: .workerDrain(worker(), isDraining: flag())
        }
    }

    mutating func globalEvent() -> GlobalEvent {
        switch random.below(8) {
        case 6: .retention(retentionEvent())
        case 7: .replication(.packRemoved(job(), region: region()))
        case 0: .log(logEvent())
        case 1, 2: .queue(queueEvent())
        case 3:
            flag()
                ? .replication(.packStored(job(), attempt(), region: region(), manifest: digest()))
                : .replication(.packLost(job(), region: region(), detail: text()))
        case 4: .targets(targetsEvent())
        default: .fleet(fleetEvent())
        }
    }

    mutating func store() -> StoreLevel { StoreLevel(usedBytes: number(), freeBytes: number(), sizeBytes: number()) }

    mutating func retentionSettings() -> RetentionSettings {
        var settings = RetentionSettings()
        (settings.keptBuilds, settings.keptSeconds) = (small(), small())
        (settings.graceSeconds, settings.fullPercent) = (small(), small())
        return settings
    }

    mutating func retentionEvent() -> RetentionEvent {
        switch random.below(6) {
        case 0: .settingsChanged(retentionSettings())
        case 1: .pinned(job(), reason: text())
        case 2: .unpinned(job(), reason: text())
        case 3: .retired(job(), random.pick(RetirementCause.allCases), removeAfter: time())
        case 4: .claimsStopped(region())
        default: .claimsResumed
        }
    }

    mutating func retentionCommand() -> RetentionCommand {
        switch random.below(5) {
        case 0: .changeSettings(retentionSettings())
        case 1: .pin(job(), reason: text())
        case 2: .unpin(job(), reason: text())
        case 3: .retire(job(), random.pick(RetirementCause.allCases))
        default: .settleClaims
        }
    }

    mutating func globalCommand() -> GlobalCommand {
        switch random.below(18) {
        case 14, 15: .retention(retentionCommand())
        case 16: .packRemoved(job(), region: region())
        case 17: .fleet(.regionStore(region(), store()))
        case 0: .queue(.enqueue(request()))
        case 1: .queue(.cancel(job(), reason: text()))
        case 2: .queue(.claim(worker()))
        case 3: .queue(.heartbeat(job(), attempt(), counter: number(), stage: .build))
        case 4: .queue(.reportUploaded(job(), attempt(), pack()))
        case 5: .queue(.reportFailed(job(), attempt(), .exit, detail: text()))
        case 6: .queue(.expireLease(job(), attempt()))
        case 7: .targets(.deploy(deployRequest()))
        case 8: .targets(.startWaiting(revision()))
        case 9: .targets(.settle(revision()))
        case 10: .targets(.reissue(app(), scope()))
        case 11: .fleet(.regionReport(region(), [level(), level()]))
        case 12: .packStored(job(), attempt(), region: region(), manifest: digest())
        default: .packLost(job(), region: region(), detail: text())
        }
    }

    mutating func fact() -> GlobalFact {
        switch random.below(8) {
        case 7: .buildRetired(job(), removeAfter: time())
        case 0: .packUploaded(job(), app(), attempt(), pack())
        case 1: .packStored(job(), app(), attempt(), pack(), region: region())
        case 2: .packLost(job(), region: region())
        case 3: .jobFailed(job())
        case 4: .target(target())
        case 5: .region(region(), endpoint: text(), random.pick(RegionStatus.allCases))
        default: .settings(settings())
        }
    }

    mutating func position() -> LogPosition {
        LogPosition(
            log: LogIdentity(high: 0, low: UInt64(random.below(2))), epoch: Epoch(rawValue: number()),
            sequence: LogSequence(rawValue: number()), chain: digest())
    }

    mutating func peerApp() -> PeerApp {
        PeerApp(
            revision: revision(), build: flag() ? job() : nil,
            health: random.pick([.idle, .fetching, .starting, .healthy, .failed, .stale]), detail: text())
    }

    mutating func regionEvent() -> RegionEvent {
        switch random.below(13) {
        case 12: .packRemoved(job())
        case 0: .log(logEvent())
        case 1, 2, 3, 4: .taken(fact(), at: LogSequence(rawValue: number()))
        case 5: .followed(position())
        case 6: .refollowed(position())
        case 7: .packStored(job(), attempt(), manifest: digest())
        case 8: .packLost(job(), detail: text())
        case 9: .peerEnrolled(peer(), labels: labels(), endpoint: text())
        case 10: .peerChanged(peer(), app(), peerApp())
        default: flag() ? .peerSilent(peer()) : .peerReturned(peer())
        }
    }

    mutating func regionCommand() -> RegionCommand {
        let sequence = LogSequence(rawValue: number())
        switch random.below(7) {
        case 0:
            return .take(
                from: sequence, [TakenFact(fact(), at: sequence), TakenFact(fact(), at: sequence.next)], position())
        case 1: return .refollow(position())
        case 2: return .packStored(job(), attempt(), manifest: digest())
        case 3: return .packLost(job(), detail: text())
        case 4: return .enrol(peer(), labels: labels(), endpoint: text())
        case 5: return .peerReport(peer(), app(), peerApp())
        default: return flag() ? .peerSilent(peer()) : .peerReturn(peer())
        }
    }
}
