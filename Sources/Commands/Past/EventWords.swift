import Codec
import Domain
import Wire

/// What a frame says, in a sentence; its type where this version cannot read more.
func frameWords<Event: Sendable>(
    _ frame: Frame, _ codec: any EventCodec<Event>, _ say: (Event, EventActor) -> String
) -> String {
    guard let envelope = try? codec.decode(frame) else {
        return "\(codec.typeName(frame.type) ?? "an event of type \(frame.type)"), which this version cannot read"
    }
    return say(envelope.event, envelope.actor)
}

func globalWords(_ frame: Frame) -> String { frameWords(frame, GlobalCodec()) { $0.words(by: $1) } }

/// Other people's text on one line, behind a colon; nothing where there is none.
func because(_ text: String) -> String {
    text.isEmpty ? "" : ": " + text.split(whereSeparator: \.isNewline).joined(separator: " / ")
}

extension EventActor {
    /// As a sentence names it.
    var words: String {
        switch kind {
        case .system: "the engine"
        case .person: name
        case .worker: "worker \(name)"
        case .region: "region \(name)"
        case .peer: "peer \(name)"
        case .projector: "the \(name) projector"
        }
    }
}

extension TargetScope {
    var words: String {
        switch self {
        case .global: "in every region"
        case .region(let name): "in region \(name)"
        }
    }
}

extension LogEvent {
    func words(by actor: EventActor) -> String {
        switch self {
        case .engineStarted(let version, _): "the engine started (version \(version))"
        case .engineStalled(let milliseconds): "the engine stood still for \(milliseconds) ms; leases are spared"
        case .clockJumped(let milliseconds): "the wall clock jumped by \(milliseconds) ms"
        case .epochStarted(let epoch, let reason): "epoch \(epoch) began\(because(reason))"
        case .levelRaised(let level): "events up to level \(level) may be written from here on"
        case .settingsChanged(let settings):
            "\(actor.words) changed the settings: lease \(settings.leaseSeconds) s, heartbeat "
                + "\(settings.heartbeatSeconds) s, at most \(settings.maximumAttempts) attempts"
        case .refused(let attempt, let code, let count):
            "refused: \(attempt.command) by \(actor.words) about attempt \(attempt.attempt) of job \(attempt.job) "
                + "(\(code.rawValue)\(count > 1 ? ", \(count) times" : ""))"
        case .stateHashed(let sequence, _, let digest): "the state at \(sequence) had the hash \(digest.hex.prefix(16))"
        case .backupProved(let sequence, _, let digest, _):
            "the backup was restored to \(sequence) and had the same state, hash \(digest.hex.prefix(16))"
        case .payloadRedacted(let sequence, _, _, let reason):
            "\(actor.words) took the texts out of event \(sequence)\(because(reason))"
        }
    }
}

extension QueueEvent {
    func words(by actor: EventActor) -> String {
        switch self {
        case .enqueued(let job, let request):
            "\(actor.words) asked for job \(job): build \(request.app) at \(request.commit.rawValue.prefix(12)) from "
                + "\(request.repository)\(request.isForced ? ", again" : "")"
        case .enqueueReused(let job, let request):
            "\(actor.words) asked to build \(request.app) at \(request.commit.rawValue.prefix(12)), which job \(job) does"
        case .claimed(let job, let attempt, let worker, let lease):
            "worker \(worker) claimed job \(job) as attempt \(attempt), with a lease of \(lease) s"
        case .heartbeat(let job, let attempt, _, let stage):
            "attempt \(attempt) of job \(job) said that it lives, at the stage \(stage.rawValue)"
        case .uploaded(let job, let attempt, let pack):
            "attempt \(attempt) of job \(job) uploaded its pack to region \(pack.region): "
                + "\(readable(bytes: pack.packedBytes)) for \(readable(bytes: pack.rawBytes))"
        case .succeeded(let job, let attempt): "job \(job) succeeded with attempt \(attempt): build \(job) is there"
        case .attemptFailed(let job, let attempt, let reason, let detail):
            "\(actor.words) said that attempt \(attempt) of job \(job) failed (\(reason.rawValue))\(because(detail))"
        case .attemptReleased(let job, let attempt, let detail):
            "\(actor.words) gave attempt \(attempt) of job \(job) back unfinished\(because(detail))"
        case .leaseExpired(let job, let attempt):
            "attempt \(attempt) of job \(job) was silent for too long, and ended"
        case .requeued(let job): "job \(job) is queued again, in its old place"
        case .cancelRequested(let job, let reason): "\(actor.words) asked to cancel job \(job)\(because(reason))"
        case .failed(let job, let reason, let detail): "job \(job) failed (\(reason.rawValue))\(because(detail))"
        }
    }
}

extension ReplicationEvent {
    var words: String {
        switch self {
        case .packStored(let build, let attempt, let region, _):
            "region \(region) stored the pack of build \(build) (attempt \(attempt)) and read it back"
        case .packLost(let build, let region, let detail):
            "region \(region) lost the pack of build \(build)\(because(detail))"
        case .packRemoved(let build, let region): "region \(region) removed the pack of build \(build)"
        }
    }
}

extension RetentionEvent {
    func words(by actor: EventActor) -> String {
        switch self {
        case .settingsChanged(let settings):
            "retention keeps the last \(settings.keptBuilds) builds of an app and those younger than "
                + "\(readable(seconds: Int64(settings.keptSeconds))); removal follows "
                + "\(readable(seconds: Int64(settings.graceSeconds))) later, and a store is full at "
                + "\(settings.fullPercent) %"
        case .pinned(let build, let reason): "\(actor.words) pinned build \(build)\(because(reason))"
        case .unpinned(let build, let reason): "\(actor.words) unpinned build \(build)\(because(reason))"
        case .retired(let build, .unused, let end):
            "build \(build) was retired, as nothing keeps it: its packs are removed after \(end.rfc3339)"
        case .retired(let build, .space, _): "build \(build) was retired, as a store is full: its packs are removed"
        case .claimsStopped(let region):
            "no job is given to workers any more, as the store of region \(region) is full of builds that are kept"
        case .claimsResumed: "jobs are given to workers again, as there is space"
        }
    }
}

extension TargetsEvent {
    func words(by actor: EventActor) -> String {
        switch self {
        case .deploymentWaiting(let opening):
            "\(actor.words) asked for deployment \(opening.id): \(opening.request.app) to run build "
                + "\(opening.build.build) \(opening.request.scope.words), once that is replicated"
                + because(opening.request.reason)
        case .targetChanged(let target, let origin, _): origin.words(target, by: actor)
        case .regionConverged(let id, let region): "region \(region) converged to deployment \(id)"
        case .deploymentEnded(let id, let app, let status, let detail):
            "deployment \(id) of \(app) ended: \(status.rawValue)\(because(detail))"
        }
    }
}

extension TargetOrigin {
    fileprivate func words(_ target: Target, by actor: EventActor) -> String {
        let what = "build \(target.current.build) the target of \(target.app) \(target.scope.words)"
        let how = "deployment \(target.deployment), revision \(target.revision)"
        return switch self {
        case .deploy: "\(actor.words) made \(what): \(how)\(because(target.reason))"
        case .rollback: "\(actor.words) rolled back, making \(what): \(how)\(because(target.reason))"
        case .waitingOver: "the build is replicated, which made \(what): \(how)\(because(target.reason))"
        case .reissue: "half of its life was over, which made \(what) again: \(how)"
        }
    }
}

extension FleetEvent {
    func words(by actor: EventActor) -> String {
        switch self {
        case .regionJoined(let name, let endpoint): "region \(name) joined, at \(endpoint)"
        case .regionStatusChanged(let name, let status, let change):
            "region \(name) became \(status.rawValue)\(change.words(by: actor))"
        case .regionLevel(let name, let level):
            "region \(name) reported \(level.app) at revision \(level.revision): \(level.healthy) of \(level.selected) "
                + "peers healthy, \(level.failed) failed, \(level.silent) silent\(because(level.detail))"
        case .regionStore(let name, let store):
            "region \(name)'s store is \(store.percent) % full: \(readable(bytes: store.usedBytes)), "
                + "\(readable(bytes: store.freeBytes)) left"
        case .workerJoined(let name, let region): "worker \(name) joined region \(region)"
        case .workerWaiting(let name): "worker \(name) began to wait for a job"
        case .workerDrain(let name, let isDraining):
            "\(actor.words) \(isDraining ? "stopped" : "resumed") worker \(name)'s claims"
        }
    }
}

extension RegionChange {
    fileprivate func words(by actor: EventActor) -> String {
        switch self {
        case .silence: ", as no word came from it"
        case .report: ", as it reported again"
        case .request(let reason): ", as \(actor.words) asked\(because(reason))"
        }
    }
}

extension GlobalEvent {
    /// One sentence: what happened, to what, by whom.
    func words(by actor: EventActor) -> String {
        switch self {
        case .log(let event): event.words(by: actor)
        case .queue(let event): event.words(by: actor)
        case .replication(let event): event.words
        case .targets(let event): event.words(by: actor)
        case .fleet(let event): event.words(by: actor)
        case .retention(let event): event.words(by: actor)
        }
    }
}

extension RegionEvent {
    /// One sentence: what happened, to what, by whom.
    func words(by actor: EventActor) -> String {
        switch self {
        case .log(let event): event.words(by: actor)
        case .taken(let fact, let sequence): "global event \(sequence) was taken over: \(fact.words)"
        case .followed(let position): "everything up to global sequence \(position.sequence) was taken over"
        case .refollowed(let position): "the region derived again from global sequence \(position.sequence)"
        case .packStored(let build, let attempt, _):
            "the pack of build \(build) (attempt \(attempt)) was stored and read back"
        case .packLost(let build, let detail): "the pack of build \(build) was lost\(because(detail))"
        case .packRemoved(let build): "what was here of the retired build \(build) was removed"
        case .peerEnrolled(let peer, _, let endpoint): "peer \(peer) enrolled, at \(endpoint)"
        case .peerChanged(let peer, let app, let state):
            "peer \(peer) reported \(app) at revision \(state.revision): \(state.health.rawValue), "
                + "\(state.build.map { "runs build \($0)" } ?? "runs nothing")\(because(state.detail))"
        case .peerSilent(let peer): "peer \(peer) fell silent"
        case .peerReturned(let peer): "peer \(peer) came back"
        }
    }
}

extension GlobalFact {
    fileprivate var words: String {
        switch self {
        case .packUploaded(let build, let app, _, let pack):
            "the pack of build \(build) of \(app) was uploaded to region \(pack.region)"
        case .packStored(let build, let app, _, _, let region):
            "region \(region) stored the pack of build \(build) of \(app)"
        case .packLost(let build, let region): "region \(region) lost the pack of build \(build)"
        case .buildRetired(let build, let end): "build \(build) is retired, to be removed after \(end.rfc3339)"
        case .jobFailed(let job): "job \(job) failed"
        case .target(let target):
            "the target of \(target.app) is build \(target.current.build), revision \(target.revision)"
        case .region(let name, _, let status): "region \(name) is \(status.rawValue)"
        case .settings: "the settings changed"
        }
    }
}
