import Codec
import Domain

typealias GlobalHistory = History<Global>

extension History where A == Global {
    static func random(seed: UInt64, steps: Int, maximumBatch: Int = 6) throws -> GlobalHistory {
        var history = GlobalHistory(codec: GlobalCodec())
        var random = SplitMix64(seed: seed)
        try history.fact(.engineStarted(version: "1", level: LogState.supportedLevel))
        for name in ["eu", "us"] { try history.send(.fleet(.regionJoin(region(name), endpoint: "http://\(name)"))) }
        for name in ["w1", "w2"] { try history.send(.fleet(.workerJoin(worker(name), region("eu")))) }
        for _ in 0..<steps {
            history.wait(milliseconds: random.chance(1, in: 20) ? 61_000 : Int64(random.below(3000)))
            try history.step(&random)
            if random.chance(1, in: maximumBatch) { try history.commit() }
        }
        try history.commit()
        return history
    }

    private mutating func step(_ random: inout SplitMix64) throws {
        switch random.below(100) {
        case 0..<12:
            try send(.queue(.enqueue(request(&random))), key: random.chance(1, in: 4) ? "k\(random.below(9))" : nil)
        case 12..<26: try send(.queue(.claim(random.pick(Self.workers))), by: .worker(random.pick(Self.workers)))
        case 26..<60: try queueStep(&random)
        case 60..<72: try packStep(&random)
        case 72..<76: try retentionStep(&random)
        case 76..<86: try fleetStep(&random)
        case 86..<96: try targetStep(&random)
        case 96:
            try fact(
                random.chance(1, in: 3)
                    ? .epochStarted(epoch: epoch.next, reason: "test") : .clockJumped(milliseconds: 5))
        default: try project()
        }
    }

    /// Whatever the rules keep is retired by the next project, unless something keeps it.
    private mutating func retentionStep(_ random: inout SplitMix64) throws {
        let builds = state.queue.builds.keys
        guard let build = builds.isEmpty ? nil : random.pick(builds) else { return }
        let place = random.pick(Self.regions)
        switch random.below(8) {
        case 0: try send(.retention(.pin(build, reason: "it's wanted")))
        case 1: try send(.retention(.unpin(build, reason: "")))
        case 2:
            var settings = RetentionSettings()
            (settings.keptBuilds, settings.keptSeconds) = (UInt32(1 + random.below(3)), UInt32(random.below(60)))
            settings.graceSeconds = UInt32(random.below(60))
            try send(.retention(.changeSettings(settings)))
        case 3, 4:
            let store = StoreLevel(
                usedBytes: UInt64(random.below(200)), freeBytes: UInt64(random.below(60)),
                sizeBytes: random.chance(1, in: 2) ? 0 : UInt64(random.below(300)))
            try send(.fleet(.regionStore(place, store)), by: .region(place))
        default:
            let leaving = state.retention.leaving
            try send(.packRemoved(leaving.isEmpty ? build : random.pick(leaving), region: place), by: .region(place))
        }
        for effect in state.planRetention(now: now).effects + state.planSpace(now: now).effects {
            try send(.retention(effect), by: .projector("retention"))
        }
    }

    private mutating func project() throws {
        let leases = state.queue.planLeases(world: state.queueWorld(now: now)).effects
        for effect in leases { try send(.queue(effect), by: .projector("leases")) }
        let deployments = state.targets.planDeployments(world: state.targetsWorld, now: now).effects
        for effect in deployments + state.targets.planReissues(epoch: epoch, now: now).effects {
            try send(.targets(effect), by: .projector("deployments"))
        }
    }

    private static var workers: [WorkerName] { ["w1", "w2", "w3"].map(worker) }
    private static var regions: [RegionName] { ["eu", "us", "ap"].map(region) }

    private func request(_ random: inout SplitMix64) -> JobRequest {
        JobRequest(
            app: app(random.pick(["web", "api"])), repository: "https://git.example/web",
            commit: commitID(random.below(9)),
            recipePath: "drover.yml", priority: Int32(random.below(3)), isForced: random.chance(1, in: 2))
    }

    private func attempt(_ random: inout SplitMix64) -> (JobID, AttemptNumber) {
        let running = state.queue.running
        let job =
            running.isEmpty || random.chance(1, in: 9)
            ? JobID(rawValue: UInt64(random.below(Int(state.queue.enqueued.rawValue) + 2))) : random.pick(running)
        let number = state.queue.jobs[job]?.attempts.rawValue ?? 1
        return (job, AttemptNumber(rawValue: random.chance(1, in: 9) ? number + 1 : number))
    }

    private mutating func queueStep(_ random: inout SplitMix64) throws {
        let (job, number) = attempt(&random)
        let holder = EventActor.worker(state.queue.jobs[job]?.attempt?.worker ?? worker("w1"))
        switch random.below(20) {
        case 0..<8:
            let counter = UInt64(random.below(1000))
            try send(
                .queue(.heartbeat(job, number, counter: counter, stage: random.pick(AttemptStage.allCases))),
                by: holder)
        case 8..<14:
            let pack = UploadedPack(
                manifest: manifest(job.rawValue * 10 + number.rawValue), region: region("eu"),
                rawBytes: 100 + job.rawValue, packedBytes: 50)
            try send(.queue(.reportUploaded(job, number, pack)), by: holder)
        case 14, 15:
            try send(.queue(.reportFailed(job, number, random.pick([.exit, .timeout]), detail: "it's \"bad\"")))
        case 16: try send(.queue(.release(job, number, detail: "drain")))
        case 17: try send(.queue(.expireLease(job, number)), by: .projector("leases"))
        default:
            let any = JobID(rawValue: UInt64(random.below(Int(state.queue.enqueued.rawValue) + 2)))
            try send(.queue(.cancel(any, reason: "no need; -- '")))
        }
    }

    private mutating func packStep(_ random: inout SplitMix64) throws {
        let place = random.pick(Self.regions)
        let uploaded = state.queue.running.filter { state.queue.jobs[$0]?.attempt?.pack != nil }
        let builds = state.queue.builds.keys.sorted()
        if !uploaded.isEmpty, random.chance(1, in: 2), let current = state.queue.jobs[random.pick(uploaded)]?.attempt,
            let pack = current.pack, let job = uploaded.first(where: { state.queue.jobs[$0]?.attempt == current })
        {
            try send(.packStored(job, current.number, region: place, manifest: pack.manifest), by: .region(place))
        } else if !builds.isEmpty {
            let build = random.pick(builds)
            guard let known = state.queue.builds[build] else { return }
            if random.chance(1, in: 3) {
                try send(.packLost(build, region: place, detail: "bit rot"), by: .region(place))
            } else {
                try send(
                    .packStored(build, known.attempt, region: place, manifest: known.pack.manifest), by: .region(place))
            }
        }
    }

    private mutating func fleetStep(_ random: inout SplitMix64) throws {
        let place = random.pick(Self.regions)
        switch random.below(12) {
        case 0, 1: try send(.fleet(.regionJoin(place, endpoint: "http://\(random.below(2))")))
        case 2: try send(.fleet(.regionSilent(place)))
        case 3: try send(.fleet(.regionSuspend(place, reason: "work")))
        case 4, 5: try send(.fleet(.regionResume(place, reason: "done")))
        case 6: try send(.fleet(.regionRemove(place, reason: "gone")))
        case 7: try send(.fleet(.workerJoin(random.pick(Self.workers), place)))
        case 8: try send(.fleet(.workerDrain(random.pick(Self.workers), isDraining: random.chance(1, in: 3))))
        default: try report(place, &random)
        }
    }

    private mutating func report(_ place: RegionName, _ random: inout SplitMix64) throws {
        let name = app(random.pick(["web", "api"]))
        let revision = state.targets.target(name, .global)?.revision ?? .zero
        let selected = UInt32(random.below(3))
        let level = RegionLevel(
            app: name, revision: revision, selected: selected, healthy: random.chance(1, in: 4) ? 0 : selected,
            failed: 0,
            silent: 1, detail: "p1: \"no\"")
        try send(.fleet(.regionReport(place, [level])), by: .region(place))
        try project()
    }

    private mutating func targetStep(_ random: inout SplitMix64) throws {
        let name = app(random.pick(["web", "api"]))
        let builds = state.queue.builds.filter { $0.value.app == name }.keys.sorted()
        guard !builds.isEmpty else { return }
        let request = DeployRequest(
            app: name, build: random.chance(1, in: 5) ? nil : random.pick(builds),
            scope: random.pick([.global, .global, .region(region("eu"))]),
            selector: random.chance(1, in: 3) ? PeerSelector(labels: ["tier": "canary", "a": "b"]) : .all,
            reason: "because; DROP TABLE jobs", whenReplicated: random.chance(1, in: 2),
            allowEmpty: random.chance(1, in: 3))
        try send(.targets(.deploy(request)))
    }
}
