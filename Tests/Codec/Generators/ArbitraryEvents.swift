import Domain

/// Any event of any case, from a seed: numbers at their edges, texts of every kind of character, optional parts there
/// or not.
struct ArbitraryEvents {
    private var numbers: SeededNumbers

    init(seed: UInt64) { numbers = SeededNumbers(seed: seed) }

    /// One event of every case of a global log, each with new content.
    mutating func everyGlobalEvent() -> [GlobalEvent] {
        everyLogEvent().map(GlobalEvent.log) + everyQueueEvent().map(GlobalEvent.queue)
            + everyReplicationEvent().map(GlobalEvent.replication) + everyTargetsEvent().map(GlobalEvent.targets)
            + everyFleetEvent().map(GlobalEvent.fleet) + everyRetentionEvent().map(GlobalEvent.retention)
    }

    /// One event of every case of a regional log, each with new content.
    mutating func everyRegionEvent() -> [RegionEvent] {
        everyLogEvent().map(RegionEvent.log) + everyFact().map { .taken($0, at: LogSequence(rawValue: number())) } + [
            .followed(position()), .refollowed(position()), .packStored(job(), attempt(), manifest: digest()),
            .packLost(job(), detail: text()), .peerEnrolled(name(), labels: labels(), endpoint: text()),
            .peerChanged(name(), name(), peerApp()), .peerSilent(name()), .peerReturned(name()),
            .packRemoved(job()),
        ]
    }

    mutating func header() -> FrameHeader {
        FrameHeader(
            epoch: Epoch(rawValue: number()), sequence: LogSequence(rawValue: number()), time: time(),
            command: LogSequence(rawValue: number()), cause: LogSequence(rawValue: number()), actor: actor(),
            key: flag() ? text() : nil, isDerived: flag())
    }

    private mutating func everyLogEvent() -> [LogEvent] {
        let attempt = RefusedAttempt(job: job(), attempt: attempt(), command: text())
        return [
            .engineStarted(version: text(), level: number()), .engineStalled(milliseconds: signed()),
            .clockJumped(milliseconds: signed()), .epochStarted(epoch: Epoch(rawValue: number()), reason: text()),
            .levelRaised(level: number()), .settingsChanged(settings()),
            .refused(attempt, code: choice(), count: number()),
            .stateHashed(at: LogSequence(rawValue: number()), fingerprint: number(), digest: digest()),
            .backupProved(
                at: LogSequence(rawValue: number()), fingerprint: number(), digest: digest(), milliseconds: number()),
            .payloadRedacted(
                at: LogSequence(rawValue: number()), payload: digest(), substitute: digest(), reason: text()),
        ]
    }

    private mutating func everyQueueEvent() -> [QueueEvent] {
        [
            .enqueued(job(), request()), .claimed(job(), attempt(), worker: name(), leaseSeconds: small()),
            .heartbeat(job(), attempt(), counter: number(), stage: choice()),
            .uploaded(job(), attempt(), pack()), .succeeded(job(), attempt()),
            .attemptFailed(job(), attempt(), choice(), detail: text()),
            .attemptReleased(job(), attempt(), detail: text()), .leaseExpired(job(), attempt()), .requeued(job()),
            .cancelRequested(job(), reason: text()), .failed(job(), choice(), detail: text()),
            .enqueueReused(job(), request()),
        ]
    }

    private mutating func everyReplicationEvent() -> [ReplicationEvent] {
        [
            .packStored(job(), attempt(), region: name(), manifest: digest()),
            .packLost(job(), region: name(), detail: text()), .packRemoved(job(), region: name()),
        ]
    }

    private mutating func everyTargetsEvent() -> [TargetsEvent] {
        [
            .deploymentWaiting(opening()), .targetChanged(target(), choice(), opening: flag() ? opening() : nil),
            .regionConverged(revision(), name()), .deploymentEnded(revision(), name(), choice(), detail: text()),
        ]
    }

    private mutating func everyFleetEvent() -> [FleetEvent] {
        let level = RegionLevel(
            app: name(), revision: revision(), selected: small(), healthy: small(), failed: small(), silent: small(),
            detail: text())
        return [
            .regionJoined(name(), endpoint: text()), .regionStatusChanged(name(), choice(), .silence),
            .regionStatusChanged(name(), choice(), .report),
            .regionStatusChanged(name(), choice(), .request(reason: text())), .regionLevel(name(), level),
            .workerJoined(name(), region: name()), .workerWaiting(name()), .workerDrain(name(), isDraining: flag()),
            .regionStore(name(), StoreLevel(usedBytes: number(), freeBytes: number(), sizeBytes: number())),
        ]
    }

    private mutating func everyRetentionEvent() -> [RetentionEvent] {
        var settings = RetentionSettings()
        (settings.keptBuilds, settings.keptSeconds) = (small(), small())
        (settings.graceSeconds, settings.fullPercent) = (small(), small())
        return [
            .settingsChanged(settings), .pinned(job(), reason: text()), .unpinned(job(), reason: text()),
            .retired(job(), choice(), removeAfter: time()), .claimsStopped(name()), .claimsResumed,
        ]
    }

    private mutating func everyFact() -> [GlobalFact] {
        [
            .packUploaded(job(), name(), attempt(), pack()),
            .packStored(job(), name(), attempt(), pack(), region: name()), .packLost(job(), region: name()),
            .jobFailed(job()), .target(target()), .region(name(), endpoint: text(), choice()), .settings(settings()),
            .buildRetired(job(), removeAfter: time()),
        ]
    }
}

// MARK: - Values

extension ArbitraryEvents {
    private mutating func flag() -> Bool { Bool.random(using: &numbers) }

    private mutating func choice<Choice: CaseIterable>() -> Choice {
        guard let choice = Choice.allCases.randomElement(using: &numbers) else { preconditionFailure("no case") }
        return choice
    }

    private mutating func number() -> UInt64 {
        [0, 1, 127, 128, UInt64(UInt32.max), 1 << 53 + 1, .max, numbers.next()].randomElement(using: &numbers) ?? 0
    }

    private mutating func small() -> UInt32 { UInt32(truncatingIfNeeded: number()) }
    private mutating func signed() -> Int64 { Int64(bitPattern: number()) }
    private mutating func time() -> Timestamp {
        let usual = Int64(numbers.next() % 4_000_000_000_000)
        return Timestamp(milliseconds: [0, -1, .min, .max, .max / 2, usual].randomElement(using: &numbers) ?? 0)
    }

    private mutating func job() -> JobID { JobID(rawValue: number()) }
    private mutating func attempt() -> AttemptNumber { AttemptNumber(rawValue: number()) }
    private mutating func revision() -> Revision { Revision(epoch: Epoch(rawValue: number()), number: number()) }

    private mutating func text() -> String {
        let alphabet: [Character] = Array("ab zAZ09:/.-\"\\{}é漢🚀\u{0}\u{1}\u{1f}\u{7f}\n\r\t\u{2028}\u{301}")
        let count = [0, 1, 12, 40].randomElement(using: &numbers) ?? 0
        return String((0..<count).map { _ in alphabet.randomElement(using: &numbers) ?? "x" })
    }

    private mutating func plain(_ alphabet: String, _ count: Int) -> String {
        let characters = Array(alphabet)
        return String((0..<count).map { _ in characters.randomElement(using: &numbers) ?? "x" })
    }

    private mutating func nameText() -> String {
        let length = Int.random(in: 0...24, using: &numbers)
        return plain("abz019", 1) + plain("abz09_-", length) + (flag() ? ".x" : "")
    }

    private mutating func name<Name: NameIdentifier>() -> Name {
        guard let name = Name(rawValue: nameText()) else { preconditionFailure("not a name") }
        return name
    }

    private mutating func digest() -> Digest {
        Digest(words: numbers.next(), numbers.next(), numbers.next(), numbers.next())
    }

    private mutating func labels() -> [String: String] {
        let count = Int.random(in: 0...4, using: &numbers)
        return Dictionary((0..<count).map { _ in (nameText(), nameText()) }) { first, _ in first }
    }

    private mutating func actor() -> EventActor { EventActor(kind: choice(), name: plain("abé:. ", 9)) }

    private mutating func commit() -> CommitID {
        guard let commit = CommitID(rawValue: plain("0123456789abcdef", flag() ? 40 : 64)) else {
            preconditionFailure("not a commit")
        }
        return commit
    }

    private mutating func scope() -> TargetScope { flag() ? .global : .region(name()) }

    private mutating func request() -> JobRequest {
        JobRequest(
            app: name(), repository: text(), commit: commit(), recipePath: text(),
            priority: Int32.random(in: .min ... .max, using: &numbers), isForced: flag())
    }

    private mutating func pack() -> UploadedPack {
        UploadedPack(manifest: digest(), region: name(), rawBytes: number(), packedBytes: number())
    }

    private mutating func build() -> ProvedBuild { ProvedBuild(build: job(), manifest: digest()) }

    private mutating func settings() -> Settings {
        var settings = Settings()
        (settings.leaseSeconds, settings.heartbeatSeconds, settings.maximumAttempts) = (small(), small(), small())
        (settings.jobTimeoutSeconds, settings.cancelGraceSeconds) = (small(), small())
        (settings.regionSilentSeconds, settings.peerSilentSeconds) = (small(), small())
        (settings.deploymentDeadlineSeconds, settings.targetLifetimeSeconds) = (small(), small())
        (settings.convergedShare, settings.maximumOpenJobs) = (small(), small())
        return settings
    }

    private mutating func target() -> Target {
        Target(
            app: name(), scope: scope(), revision: revision(), deployment: revision(), current: build(),
            base: flag() ? build() : nil, previous: flag() ? build() : nil, selector: PeerSelector(labels: labels()),
            admittedShare: small(), actor: actor(), reason: text(), issued: time(), expires: time())
    }

    private mutating func opening() -> DeploymentOpening {
        let request = DeployRequest(
            app: name(), build: flag() ? job() : nil, scope: scope(), selector: PeerSelector(labels: labels()),
            reason: text(), whenReplicated: flag(), allowEmpty: flag(), expected: flag() ? revision() : nil)
        return DeploymentOpening(id: revision(), request: request, build: build(), deadline: time())
    }

    private mutating func peerApp() -> PeerApp {
        PeerApp(revision: revision(), build: flag() ? job() : nil, health: choice(), detail: text())
    }

    private mutating func position() -> LogPosition {
        LogPosition(
            log: LogIdentity(high: numbers.next(), low: number()), epoch: Epoch(rawValue: number()),
            sequence: LogSequence(rawValue: number()), chain: digest())
    }
}
