import Domain

/// One random step, described by small numbers that are given a meaning only when it is performed, so that a list stays
/// meaningful when a shrinker drops some of it.
struct Step: CustomStringConvertible {
    enum Verb: CaseIterable {
        case enqueue, force, cancel, claim, heartbeat, upload, fail, release, expire, store, lose
        case regionJoin, report, silence, suspend, resume, remove, workerJoin, drain
        case deploy, rollback, start, settle, reissue, settings, again, project
        case engineStart, stall, clockJump, epoch
        /// Whole courses, so that random steps start from interesting places too.
        case build, rollOut
    }

    var verb: Verb
    var wait: Int64
    var picks: [Int]
    /// A key for the command; nil for none.
    var key: Int?

    var description: String { "\(verb) picks \(picks) key \(key.map(String.init) ?? "-") after \(wait) ms" }

    func pick<Element>(_ place: Int, of elements: [Element]) -> Element { elements[picks[place] % elements.count] }

    private static let weights: [Verb: Int] = [
        .enqueue: 20, .force: 5, .claim: 25, .heartbeat: 10, .upload: 25, .store: 50, .release: 4, .fail: 4, .cancel: 5,
        .expire: 6, .lose: 8, .report: 50, .deploy: 25, .rollback: 6, .project: 30, .settle: 10, .start: 4, .again: 8,
        .suspend: 1, .resume: 4, .silence: 1, .remove: 1, .epoch: 2, .engineStart: 3, .reissue: 4, .regionJoin: 3,
        .build: 12, .rollOut: 10,
    ]
    private static let bag: [Verb] = Verb.allCases.flatMap { Array(repeating: $0, count: weights[$0] ?? 2) }
    /// Milliseconds: mostly little, sometimes the lengths of leases, deadlines, days and half lives.
    private static let waits: [Int64] = [
        0, 1, 10_000, 15_000, 29_999, 30_000, 30_000, 59_999, 60_000, 60_000, 61_000, 600_000, 1_800_000, 90_000_000,
        604_800_000,
    ]

    /// The steps of a whole course; else just itself.
    var parts: [Step] {
        func part(_ verb: Verb, _ picks: [Int], after wait: Int64 = 0) -> Step {
            Step(verb: verb, wait: wait, picks: picks, key: nil)
        }
        switch verb {
        case .build:
            let steps = [
                part(.enqueue, picks, after: wait), part(.claim, [0, 0, 0, 0]), part(.upload, [picks[0], 1, 1, 1]),
            ]
            return steps + (0..<(1 + picks[3] % 4)).map { part(.store, [picks[0], 1, $0, $0 == 0 ? 1 : 0]) }
        case .rollOut:
            let reports = (0..<(picks[3] % 4)).map { part(.report, [$0, picks[0], 1 + picks[2] % 3, 3]) }
            return [part(.deploy, picks, after: wait)] + reports + [part(.project, picks)]
        default: return [self]
        }
    }

    static func random(_ random: inout SplitMix64) -> Step {
        Step(
            verb: random.pick(bag), wait: random.chance(1, in: 7) ? random.pick(waits) : Int64(random.below(1000)),
            picks: (0..<4).map { _ in random.below(60) }, key: random.chance(1, in: 6) ? random.below(3) : nil)
    }

    static func list(_ random: inout SplitMix64) -> [Step] {
        (0..<(20 + random.below(180))).map { _ in Step.random(&random) }
    }
}

/// What a step turns out to be in a state.
enum Action {
    case command(GlobalCommand)
    case fact(LogEvent)
    /// Repeat the last command that had a key, under its key.
    case again
    /// Do what the projectors would do now.
    case project
}

/// The small world that random commands are about.
enum Universe {
    static let regions = ["a", "b", "c"].map(region)
    static let workers = ["w1", "w2", "w3"].map(worker)
    static let apps = ["web", "api"].map { app($0) }
    static let scopes: [TargetScope] = [.global, .global, .region(region("a")), .region(region("b"))]
    /// Spellings, with the repository that each one names.
    static let repositories = [
        ("https://git.example/web", 0), ("https://git.example/web.git", 0), ("HTTPS://GIT.example/web/", 0),
        ("https://git.example/api", 1),
    ]
}

extension Step {
    func action(in state: GlobalState) -> Action {
        switch verb {
        case .enqueue, .force, .cancel, .claim, .heartbeat, .upload, .fail, .release, .expire:
            .command(queueCommand(state))
        case .store, .lose: .command(packCommand(state))
        case .regionJoin, .report, .silence, .suspend, .resume, .remove, .workerJoin, .drain:
            .command(.fleet(fleetCommand(state)))
        case .deploy, .rollback, .start, .settle, .reissue: .command(.targets(targetsCommand(state)))
        case .settings: .command(.changeSettings(settings))
        case .again: .again
        case .project: .project
        case .engineStart: .fact(.engineStarted(version: "test", level: 1))
        case .stall: .fact(.engineStalled(milliseconds: 20_000))
        case .clockJump: .fact(.clockJumped(milliseconds: wait))
        case .epoch: .fact(.epochStarted(epoch: state.log.epoch.next, reason: "test"))
        case .build, .rollOut: preconditionFailure("a course is performed by its parts")
        }
    }

    private var region: RegionName { pick(0, of: Universe.regions) }

    /// Mostly a running job, with its attempt or a neighbour of it; sometimes any number.
    private func attempted(_ state: GlobalState) -> (JobID, AttemptNumber) {
        let job: JobID
        if picks[1] % 8 != 0, !state.queue.running.isEmpty {
            job = pick(0, of: state.queue.running)
        } else {
            job = JobID(rawValue: UInt64(picks[0]) % (state.queue.enqueued.rawValue + 2))
        }
        let current = state.queue.jobs[job]?.attempts.rawValue ?? state.queue.builds[job]?.attempt.rawValue ?? 1
        return (job, AttemptNumber(rawValue: picks[2] % 6 == 0 ? current ^ 1 : current))
    }

    private func queueCommand(_ state: GlobalState) -> GlobalCommand {
        let (job, attempt) = attempted(state)
        switch verb {
        case .enqueue, .force:
            return .queue(
                .enqueue(
                    request(
                        pick(0, of: ["web", "web", "api"]), commit: picks[1] % 3,
                        repository: pick(2, of: Universe.repositories).0, priority: Int32(picks[3] % 3) - 1,
                        isForced: verb == .force)))
        case .cancel: return .queue(.cancel(job, reason: "r\(picks[3] % 2)"))
        case .claim: return .queue(.claim(pick(0, of: Universe.workers)))
        case .heartbeat:
            return .queue(
                .heartbeat(job, attempt, counter: UInt64(picks[3] % 5), stage: pick(3, of: AttemptStage.allCases)))
        case .upload: return .queue(.reportUploaded(job, attempt, uploaded(job, attempt)))
        case .fail: return .queue(.reportFailed(job, attempt, pick(3, of: FailureReason.allCases), detail: "d"))
        case .release: return .queue(.release(job, attempt, detail: "drain"))
        default: return .queue(.expireLease(job, attempt))
        }
    }

    /// An attempt's pack: one of its own, seldom another.
    private func uploaded(_ job: JobID, _ attempt: AttemptNumber) -> UploadedPack {
        pack(job.rawValue * 100 + attempt.rawValue * 10 + (picks[3] % 9 == 0 ? 1 : 0), in: "a")
    }

    private func packCommand(_ state: GlobalState) -> GlobalCommand {
        let region = pick(2, of: Universe.regions)
        let builds = state.queue.builds.keys.sorted()
        if verb == .lose {
            let build = picks[0] % 8 == 0 || builds.isEmpty ? JobID(rawValue: UInt64(picks[0])) : pick(0, of: builds)
            return .packLost(build, region: region, detail: "d")
        }
        if picks[3] % 2 == 0, let build = builds.isEmpty ? nil : pick(0, of: builds),
            let known = state.queue.builds[build]
        {
            let missing = state.replication.missing(build, over: state.fleet.liveRegions)
            let lacking = missing.isEmpty ? region : pick(2, of: missing)
            return .packStored(build, known.attempt, region: lacking, manifest: known.pack.manifest)
        }
        let uploads = state.queue.running.filter { state.queue.jobs[$0]?.attempt?.pack != nil }
        let (job, attempt) = attempted(state)
        let chosen = uploads.isEmpty || picks[1] % 8 == 0 ? job : pick(0, of: uploads)
        let number = chosen == job ? attempt : state.queue.jobs[chosen]?.attempts ?? attempt
        return .packStored(chosen, number, region: region, manifest: uploaded(chosen, number).manifest)
    }

    private func fleetCommand(_ state: GlobalState) -> FleetCommand {
        switch verb {
        case .regionJoin: .regionJoin(region, endpoint: "http://\(picks[1] % 2)")
        case .report: .regionReport(region, picks[3] % 9 == 0 ? [] : [level(state)])
        case .silence: .regionSilent(region)
        case .suspend: .regionSuspend(region, reason: "r")
        case .resume: .regionResume(region, reason: "r")
        case .remove: .regionRemove(region, reason: "r")
        case .workerJoin: .workerJoin(pick(1, of: Universe.workers), region)
        default: .workerDrain(pick(1, of: Universe.workers), isDraining: picks[2] % 3 == 0)
        }
    }

    /// Mostly all healthy at the region's target; sometimes some, none selected, or an older or a foreign revision.
    private func level(_ state: GlobalState) -> RegionLevel {
        let open = state.targets.open.keys.sorted()
        let isWaitedFor = picks[3] % 5 != 0 && !open.isEmpty
        let app = isWaitedFor ? state.targets.open[pick(1, of: open)]?.request.app ?? app() : pick(1, of: Universe.apps)
        var revision = state.targets.effectiveTarget(app, .region(region))?.revision ?? .zero
        if picks[3] % 7 == 1 { revision.number -= min(1, revision.number) }
        if picks[3] % 11 == 1 { revision.number += 1 }
        let selected = UInt32(picks[2] % 4)
        let healthy = picks[3] % 3 == 2 ? selected / 2 : selected
        return RegionLevel(
            app: app, revision: revision, selected: selected, healthy: healthy, failed: selected - healthy, silent: 0)
    }

    private func targetsCommand(_ state: GlobalState) -> TargetsCommand {
        let (app, scope) = (pick(0, of: Universe.apps), pick(1, of: Universe.scopes))
        let open = state.targets.open.keys.sorted()
        let id = open.isEmpty || picks[3] % 9 == 0 ? revision(UInt64(picks[0])) : pick(0, of: open)
        switch verb {
        case .deploy, .rollback:
            let builds = state.queue.builds.filter { $0.value.app == app }.keys.sorted()
            let build = builds.isEmpty || picks[2] % 13 == 0 ? JobID(rawValue: UInt64(picks[2])) : pick(2, of: builds)
            let current = state.targets.target(app, scope)?.revision ?? .zero
            return .deploy(
                DeployRequest(
                    app: app, build: verb == .rollback ? nil : build, scope: scope,
                    selector: picks[3] % 4 == 0 ? PeerSelector(labels: ["tier": "canary"]) : .all, reason: "because",
                    whenReplicated: picks[3] % 2 == 0, allowEmpty: picks[3] % 5 == 0,
                    expected: picks[3] % 6 == 0 ? current : picks[3] % 17 == 0 ? revision(1) : nil))
        case .start: return .startWaiting(id)
        case .settle: return .settle(id)
        default: return .reissue(app, scope)
        }
    }

    private var settings: Settings {
        var settings = Settings()
        settings.leaseSeconds = pick(0, of: [60, 60, 30])
        settings.maximumAttempts = pick(1, of: [3, 2, 1])
        settings.convergedShare = pick(2, of: [10_000, 5_000])
        settings.deploymentDeadlineSeconds = pick(2, of: [1800, 600])
        settings.maximumOpenJobs = pick(3, of: [100, 4])
        settings.jobTimeoutSeconds = pick(3, of: [3600, 20])
        return settings
    }
}
