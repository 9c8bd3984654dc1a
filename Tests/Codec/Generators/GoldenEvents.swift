import Domain

private let web = AppName(unchecked: "web")
private let eu = RegionName(unchecked: "eu")
private let builder = WorkerName(unchecked: "builder-1")
private let machine = PeerName(unchecked: "m-1")
private let one = JobID(rawValue: 1)
private let manifest = Digest(words: 1, 2, 3, 4)
private let proved = ProvedBuild(build: one, manifest: manifest)
private let first = Revision(epoch: .first, number: 1)
private let pack = UploadedPack(manifest: manifest, region: eu, rawBytes: 1000, packedBytes: 400)
private let noon = Timestamp(milliseconds: 1_767_268_800_000)
private let position = LogPosition(
    log: LogIdentity(high: 5, low: 6), epoch: .first, sequence: LogSequence(rawValue: 300), chain: manifest)
private let level = RegionLevel(
    app: web, revision: first, selected: 3, healthy: 2, failed: 1, silent: 0, detail: "m-3: exit 1")

private let request: JobRequest = {
    guard let commit = CommitID(rawValue: String(repeating: "ab", count: 20)) else {
        preconditionFailure("not a commit")
    }
    return JobRequest(
        app: web, repository: "https://git.example/web", commit: commit, recipePath: "ci/drover.yml", priority: -3,
        isForced: true)
}()

private let opening = DeploymentOpening(
    id: first,
    request: DeployRequest(
        app: web, build: one, scope: .region(eu), selector: PeerSelector(labels: ["tier": "edge", "arch": "x86"]),
        reason: "release", whenReplicated: true, allowEmpty: true, expected: .zero),
    build: proved, deadline: noon)

private let target = Target(
    app: web, scope: .region(eu), revision: Revision(epoch: .first, number: 2), deployment: first, current: proved,
    base: proved, previous: proved, selector: PeerSelector(labels: ["tier": "edge", "arch": "x86"]),
    admittedShare: 2500, actor: .person("ada"), reason: "release", issued: .zero, expires: noon)

private let logEvents: [LogEvent] = [
    .engineStarted(version: "1.0.0", level: 1), .engineStalled(milliseconds: 20_000), .clockJumped(milliseconds: -5000),
    .epochStarted(epoch: Epoch(rawValue: 2), reason: "restored"), .levelRaised(level: 2), .settingsChanged(Settings()),
    .refused(
        RefusedAttempt(job: one, attempt: .first, command: "heartbeat"), code: .staleAttempt, count: 12),
    .stateHashed(at: LogSequence(rawValue: 100_002), fingerprint: 1, digest: manifest),
    .backupProved(at: LogSequence(rawValue: 100_002), fingerprint: 1, digest: manifest, milliseconds: 1500),
    .payloadRedacted(at: LogSequence(rawValue: 7), payload: manifest, substitute: manifest, reason: "a password"),
]

/// Events written down byte by byte in `golden.txt`: every case of a global log. They never change.
let goldenGlobalEvents: [GlobalEvent] =
    logEvents.map(GlobalEvent.log)
    + ([
        .enqueued(one, request), .claimed(one, .first, worker: builder, leaseSeconds: 60),
        .heartbeat(one, .first, counter: 300, stage: .build), .uploaded(one, .first, pack), .succeeded(one, .first),
        .attemptFailed(one, .first, .exit, detail: "exit 2"), .attemptReleased(one, .first, detail: "draining"),
        .leaseExpired(one, .first), .requeued(one), .cancelRequested(one, reason: "no longer needed"),
        .failed(one, .snapshot, detail: "no such commit"), .enqueueReused(one, request),
    ] as [QueueEvent]).map(GlobalEvent.queue)
    + ([
        .packStored(one, .first, region: eu, manifest: manifest), .packLost(one, region: eu, detail: "segment 3"),
        .packRemoved(one, region: eu),
    ] as [ReplicationEvent]).map(GlobalEvent.replication)
    + ([
        .deploymentWaiting(opening), .targetChanged(target, .waitingOver, opening: opening),
        .targetChanged(target, .reissue, opening: nil), .regionConverged(first, eu),
        .deploymentEnded(first, web, .superseded, detail: "by 1.3"),
    ] as [TargetsEvent]).map(GlobalEvent.targets)
    + ([
        .regionJoined(eu, endpoint: "http://10.0.0.1:7071"), .regionStatusChanged(eu, .silent, .silence),
        .regionStatusChanged(eu, .live, .report), .regionStatusChanged(eu, .removed, .request(reason: "sold")),
        .regionLevel(eu, level), .workerJoined(builder, region: eu), .workerWaiting(builder),
        .workerDrain(builder, isDraining: true), .regionStore(eu, StoreLevel(usedBytes: 900, freeBytes: 100)),
        .regionStore(eu, StoreLevel(usedBytes: 900, freeBytes: 100, sizeBytes: 2000)),
    ] as [FleetEvent]).map(GlobalEvent.fleet)
    + ([
        .settingsChanged(RetentionSettings()), .pinned(one, reason: "the last one on the old schema"),
        .unpinned(one, reason: "migrated"), .retired(one, .space, removeAfter: noon), .claimsStopped(eu),
        .claimsResumed,
    ] as [RetentionEvent]).map(GlobalEvent.retention)

/// The same for a regional log.
let goldenRegionEvents: [RegionEvent] =
    ([
        .packUploaded(one, web, .first, pack), .packStored(one, web, .first, pack, region: eu),
        .packLost(one, region: eu), .jobFailed(one), .target(target), .region(eu, endpoint: "http://eu", .suspended),
        .settings(Settings()), .buildRetired(one, removeAfter: noon),
    ] as [GlobalFact]).map { .taken($0, at: LogSequence(rawValue: 42)) } + [
        .followed(position), .refollowed(position), .packStored(one, .first, manifest: manifest),
        .packLost(one, detail: "segment 3"),
        .peerEnrolled(machine, labels: ["tier": "edge", "arch": "x86"], endpoint: "http://10.0.0.7:9000"),
        .peerChanged(machine, web, PeerApp(revision: first, build: one, health: .healthy)),
        .peerChanged(machine, web, PeerApp(revision: first, build: nil, health: .failed, detail: "exit 1")),
        .peerSilent(machine), .peerReturned(machine), .packRemoved(one),
    ]

/// A log that makes sense from its first event to its last, and fills every part of the global state.
let goldenStory: [GlobalEvent] = [
    .log(.engineStarted(version: "1.0.0", level: 1)), .fleet(.regionJoined(eu, endpoint: "http://eu")),
    .fleet(.workerJoined(builder, region: eu)), .fleet(.workerWaiting(builder)), .queue(.enqueued(one, request)),
    .queue(.claimed(one, .first, worker: builder, leaseSeconds: 60)),
    .queue(.heartbeat(one, .first, counter: 1, stage: .build)), .queue(.uploaded(one, .first, pack)),
    .replication(.packStored(one, .first, region: eu, manifest: manifest)), .queue(.succeeded(one, .first)),
    .queue(.enqueued(JobID(rawValue: 2), request)), .queue(.enqueued(JobID(rawValue: 3), request)),
    .queue(.claimed(JobID(rawValue: 2), .first, worker: builder, leaseSeconds: 60)),
    .targets(.targetChanged(target, .deploy, opening: opening)), .fleet(.regionLevel(eu, level)),
    logRefusal,
]

private let logRefusal = GlobalEvent.log(
    .refused(RefusedAttempt(job: one, attempt: .first, command: "heartbeat"), code: .staleAttempt, count: 1))
