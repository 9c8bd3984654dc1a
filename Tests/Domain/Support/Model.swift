import Domain

/// The queue, the fleet and the targets again, written from the rules with arrays and linear searches, never from the
/// code under test: slow, and plain enough to be believed.
struct Model {
    enum Verdict: Equatable {
        case refused(RefusalCode)
        case done(GlobalAnswer, changed: Bool)
    }

    struct Job {
        enum Status: Equatable { case queued, running, succeeded, failed(FailureReason) }

        var id: JobID
        var request: JobRequest
        var status = Status.queued
        var attempts: UInt64 = 0
        var worker: WorkerName?
        var lease: Int64 = 0
        var heard: Int64 = 0
        var counter: UInt64 = 0
        var pack: UploadedPack?
        var uploaded: Int64 = 0
        var lost: UInt32 = 0
        var cancelled: Int64?
        /// Its build was gone once: a repeat is built anew.
        var isReleased = false

        var isOpen: Bool { status == .queued || status == .running }
    }

    struct Region {
        var name: RegionName
        var status = RegionStatus.live
        var endpoint: String
        var levels: [RegionLevel] = []
    }

    struct Worker {
        var name: WorkerName
        var region: RegionName
        var isDraining = false
        var isWaiting = false
    }

    /// One change of what machines of a scope should run, in the order in which they were made.
    struct Change {
        var app: AppName
        var scope: TargetScope
        var build: JobID
        var previous: JobID?
        var base: JobID?
        var deployment: Revision
        var revision: Revision
        var issued: Int64
        var expires: Int64
    }

    struct Deploying {
        var id: Revision
        var request: DeployRequest
        var build: JobID
        var status: DeploymentStatus
        var deadline: Int64
        var revision: Revision
        var converged: [RegionName] = []
    }

    struct Remembered {
        var actor: EventActor
        var key: String
        var command: GlobalCommand
        var answer: GlobalAnswer
        var time: Int64
    }

    var now: Int64 = 0
    var floor: Int64 = 0
    var epoch = Epoch.first
    var number: UInt64 = 0
    var settings = Settings()
    var jobs: [Job] = []
    var copies: [(build: JobID, region: RegionName)] = []
    var regions: [Region] = []
    var workers: [Worker] = []
    var changes: [Change] = []
    var deployments: [Deploying] = []
    var successes: [(app: AppName, scope: TargetScope, build: JobID)] = []
    var memory: [Remembered] = []

    mutating func fact(_ fact: LogEvent) {
        switch fact {
        case .engineStarted, .engineStalled, .clockJumped: floor = now
        case .epochStarted(let epoch, _): self.epoch = epoch
        case .levelRaised, .settingsChanged, .refused, .stateHashed, .backupProved, .payloadRedacted: break
        }
    }

    mutating func take(_ command: GlobalCommand, by actor: EventActor, key: String?) -> Verdict {
        guard let key, isRemembered(command) else { return perform(command, by: actor) }
        let plain = normalised(command)
        if let entry = memory.last(where: { $0.actor == actor && $0.key == key }), now - entry.time <= 86_400_000 {
            return entry.command == plain ? .done(entry.answer, changed: false) : .refused(.keyReused)
        }
        var verdict = perform(command, by: actor)
        if case .done(.queue(.enqueued(let job, isReused: true)), _) = verdict {
            verdict = .done(.queue(.enqueued(job, isReused: true)), changed: true)
        }
        if case .done(let answer, changed: true) = verdict {
            memory.append(Remembered(actor: actor, key: key, command: plain, answer: answer, time: now))
        }
        return verdict
    }

    private func isRemembered(_ command: GlobalCommand) -> Bool {
        if case .queue(.heartbeat) = command { return false }
        if case .fleet(.regionReport) = command { return false }
        return true
    }

    /// Two spellings of one repository are the same argument.
    private func normalised(_ command: GlobalCommand) -> GlobalCommand {
        guard case .queue(.enqueue(let request)) = command else { return command }
        return .queue(
            .enqueue(
                JobRequest(
                    app: request.app, repository: "\(repository(request))", commit: request.commit,
                    recipePath: request.recipePath, priority: request.priority, isForced: request.isForced)))
    }

    func repository(_ request: JobRequest) -> Int {
        Universe.repositories.first { $0.0 == request.repository }?.1 ?? -1
    }

    private mutating func perform(_ command: GlobalCommand, by actor: EventActor) -> Verdict {
        switch command {
        case .queue(let command): queue(command, by: actor)
        case .targets(let command): targets(command)
        case .fleet(let command): fleet(command)
        case .packStored(let build, let attempt, let region, let manifest):
            packStored(build, attempt.rawValue, region, manifest)
        case .packLost(let build, let region, _), .packRemoved(let build, let region): packLost(build, region)
        // The model's log stays at the level before retention.
        case .retention: .refused(.levelTooLow)
        case .changeSettings(let settings):
            changeSettings(settings)
        }
    }

    private mutating func changeSettings(_ new: Settings) -> Verdict {
        defer { settings = new }
        return .done(.done, changed: new != settings)
    }

    // MARK: - Regions, workers, packs

    var live: [RegionName] { regions.filter { $0.status == .live }.map(\.name).sorted() }

    func live(_ scope: TargetScope) -> [RegionName] { live.filter { scope == .global || scope == .region($0) } }

    /// Whether a region that still exists holds the build.
    func isHeld(_ build: JobID) -> Bool {
        copies.contains { copy in
            copy.build == build && regions.contains { $0.name == copy.region && $0.status != .removed }
        }
    }

    func holds(_ region: RegionName, _ build: JobID) -> Bool {
        copies.contains { $0.build == build && $0.region == region }
    }

    private mutating func releaseGone() {
        for place in jobs.indices where jobs[place].status == .succeeded && !isHeld(jobs[place].id) {
            jobs[place].isReleased = true
        }
    }

    private mutating func packStored(
        _ build: JobID, _ attempt: UInt64, _ region: RegionName, _ manifest: Digest
    ) -> Verdict {
        guard let record = regions.first(where: { $0.name == region }) else { return .refused(.unknownRegion) }
        if record.status == .removed { return .refused(.regionRemoved) }
        guard let place = jobs.firstIndex(where: { $0.id == build }) else { return .refused(.unknownJob) }
        let job = jobs[place]
        guard job.status == .running || job.status == .succeeded, job.attempts == attempt else {
            return .refused(.staleAttempt)
        }
        guard job.pack?.manifest == manifest else {
            return .refused(job.status == .running ? .artifactMismatch : .staleAttempt)
        }
        let isNew = !holds(region, build)
        if isNew { copies.append((build, region)) }
        jobs[place].status = .succeeded
        return .done(.done, changed: isNew || job.status == .running)
    }

    private mutating func packLost(_ build: JobID, _ region: RegionName) -> Verdict {
        guard jobs.contains(where: { $0.id == build && $0.status == .succeeded }) else {
            return .refused(.unknownBuild)
        }
        let isChange = holds(region, build)
        copies.removeAll { $0.build == build && $0.region == region }
        if isChange { releaseGone() }
        return .done(.done, changed: isChange)
    }

    private mutating func fleet(_ command: FleetCommand) -> Verdict {
        switch command {
        case .regionJoin(let name, let endpoint): return join(name, endpoint)
        case .regionReport(let name, let levels): return report(name, levels)
        // No event below the level of retention.
        case .regionStore: return .done(.done, changed: false)
        case .regionSilent(let name): return move(name, to: .silent, from: [.live])
        case .regionSuspend(let name, _): return move(name, to: .suspended, from: [.live, .silent])
        case .regionResume(let name, _): return move(name, to: .live, from: [.silent, .suspended, .removed])
        case .regionRemove(let name, _): return move(name, to: .removed, from: [.live, .silent, .suspended])
        case .workerJoin(let name, let region):
            guard let record = regions.first(where: { $0.name == region }) else { return .refused(.unknownRegion) }
            if record.status == .removed { return .refused(.regionRemoved) }
            if let place = workers.firstIndex(where: { $0.name == name }) {
                defer { workers[place].region = region }
                return .done(.done, changed: workers[place].region != region)
            }
            workers.append(Worker(name: name, region: region))
            return .done(.done, changed: true)
        case .workerDrain(let name, let isDraining):
            guard let place = workers.firstIndex(where: { $0.name == name }) else { return .refused(.unknownWorker) }
            let isChange = workers[place].isDraining != isDraining
            workers[place].isDraining = isDraining
            if isDraining { workers[place].isWaiting = false }
            return .done(.done, changed: isChange)
        }
    }

    private mutating func join(_ name: RegionName, _ endpoint: String) -> Verdict {
        guard let place = regions.firstIndex(where: { $0.name == name }) else {
            regions.append(Region(name: name, endpoint: endpoint))
            return .done(.done, changed: true)
        }
        if regions[place].status == .removed { return .refused(.regionRemoved) }
        let isBack = regions[place].status == .silent
        let isChange = isBack || regions[place].endpoint != endpoint
        if isBack { regions[place].status = .live }
        regions[place].endpoint = endpoint
        return .done(.done, changed: isChange)
    }

    private mutating func move(_ name: RegionName, to status: RegionStatus, from: [RegionStatus]) -> Verdict {
        guard let place = regions.firstIndex(where: { $0.name == name }) else { return .refused(.unknownRegion) }
        let old = regions[place].status
        if old == status { return .done(.done, changed: false) }
        guard from.contains(old) else { return .refused(old == .removed ? .regionRemoved : .regionSuspended) }
        regions[place].status = status
        if status == .removed { releaseGone() }
        return .done(.done, changed: true)
    }

    private mutating func report(_ name: RegionName, _ levels: [RegionLevel]) -> Verdict {
        guard let place = regions.firstIndex(where: { $0.name == name }) else { return .refused(.unknownRegion) }
        if regions[place].status == .removed { return .refused(.regionRemoved) }
        var isChange = regions[place].status == .silent
        if isChange { regions[place].status = .live }
        for level in levels {
            let old = regions[place].levels.first { $0.app == level.app }
            if old == level { continue }
            if let old, old.revision > level.revision { continue }
            regions[place].levels.removeAll { $0.app == level.app }
            regions[place].levels.append(level)
            isChange = true
        }
        return .done(.done, changed: isChange)
    }
}
