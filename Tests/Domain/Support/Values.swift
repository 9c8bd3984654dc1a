import Domain

func app(_ name: String = "web") -> AppName { AppName(unchecked: name) }
func region(_ name: String) -> RegionName { RegionName(unchecked: name) }
func worker(_ name: String) -> WorkerName { WorkerName(unchecked: name) }
func peer(_ name: String) -> PeerName { PeerName(unchecked: name) }
func job(_ number: UInt64) -> JobID { JobID(rawValue: number) }
func attempt(_ number: UInt64) -> AttemptNumber { AttemptNumber(rawValue: number) }
func revision(_ number: UInt64, epoch: UInt64 = 1) -> Revision {
    Revision(epoch: Epoch(rawValue: epoch), number: number)
}
func manifest(_ number: UInt64) -> Digest { Digest(words: number, 1, 2, 3) }

func commit(_ number: Int = 0) -> CommitID {
    let digits = String(number, radix: 16)
    guard let commit = CommitID(rawValue: String(repeating: "0", count: 40 - digits.count) + digits) else {
        preconditionFailure("\(number) is no commit number")
    }
    return commit
}

func request(
    _ name: String = "web", commit number: Int = 0, repository: String = "https://git.example/web",
    recipe: String = "drover.yml", priority: Int32 = 0, isForced: Bool = false
) -> JobRequest {
    JobRequest(
        app: app(name), repository: repository, commit: commit(number), recipePath: recipe, priority: priority,
        isForced: isForced)
}

func pack(_ number: UInt64, in name: String = "a") -> UploadedPack {
    UploadedPack(manifest: manifest(number), region: region(name), rawBytes: 100, packedBytes: 50)
}

typealias GlobalWorld = World<Global>

extension World where A == Global {
    /// Live regions and joined workers.
    static func fleet(regions: [String] = ["a", "b"], workers: [String] = ["w1", "w2"]) -> GlobalWorld {
        var world = GlobalWorld()
        for name in regions { world.send(.fleet(.regionJoin(region(name), endpoint: "http://\(name)"))) }
        for name in workers { world.send(.fleet(.workerJoin(worker(name), region(regions[0])))) }
        return world
    }

    /// Enqueues and returns the id answered.
    @discardableResult
    mutating func enqueue(_ request: JobRequest, key: String? = nil) -> JobID? {
        if case .queue(.enqueued(let job, _)) = send(.queue(.enqueue(request)), key: key).answer { job } else { nil }
    }

    /// Claims and returns what the worker got.
    @discardableResult
    mutating func claim(_ name: String = "w1") -> (job: JobID, attempt: AttemptNumber)? {
        let answer = send(.queue(.claim(worker(name))), by: .worker(worker(name))).answer
        if case .queue(.claimed(let job, let attempt, _, _, _)) = answer { return (job, attempt) }
        return nil
    }

    @discardableResult
    mutating func beat(
        _ job: JobID, _ attempt: AttemptNumber, counter: UInt64
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        send(.queue(.heartbeat(job, attempt, counter: counter, stage: .build)))
    }

    @discardableResult
    mutating func store(
        _ build: BuildID, _ attempt: AttemptNumber = .first, in name: String, manifest number: UInt64? = nil
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        let manifest = manifest(number ?? build.rawValue)
        return send(.packStored(build, attempt, region: region(name), manifest: manifest), by: .region(region(name)))
    }

    /// A succeeded job whose pack these regions hold; the first is where it was uploaded.
    @discardableResult
    mutating func build(_ request: JobRequest, in regions: [String] = ["a", "b"]) -> BuildID {
        guard let job = enqueue(request), let (claimed, number) = claim(), claimed == job else {
            preconditionFailure("the world has other jobs or no worker")
        }
        send(.queue(.reportUploaded(job, number, pack(job.rawValue, in: regions[0]))))
        for name in regions { store(job, number, in: name) }
        return job
    }

    @discardableResult
    mutating func deploy(
        _ build: BuildID?, of name: String = "web", to scope: TargetScope = .global, selector: PeerSelector = .all,
        whenReplicated: Bool = false, allowEmpty: Bool = false, expected: Revision? = nil
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        send(
            .targets(
                .deploy(
                    DeployRequest(
                        app: app(name), build: build, scope: scope, selector: selector, reason: "because",
                        whenReplicated: whenReplicated, allowEmpty: allowEmpty, expected: expected))))
    }

    /// A region's report about one app.
    @discardableResult
    mutating func level(
        _ name: String, at revision: Revision, healthy: UInt32, of selected: UInt32, failed: UInt32 = 0,
        app appName: String = "web", detail: String = ""
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        let level = RegionLevel(
            app: app(appName), revision: revision, selected: selected, healthy: healthy, failed: failed, silent: 0,
            detail: detail)
        return send(.fleet(.regionReport(region(name), [level])), by: .region(region(name)))
    }

    /// Whatever the projectors would do now.
    var effects: [GlobalCommand] { plan.effects }

    var plan: Plan<GlobalCommand> { DomainTests.plan(state, at: now) }

    /// Performs what the projectors would do now, until nothing is left.
    mutating func project() {
        for _ in 0..<20 {
            let effects = effects
            if effects.isEmpty { return }
            for effect in effects { send(effect, by: .projector("test")) }
        }
    }

    func target(_ name: String = "web", in scope: TargetScope = .global) -> Target? {
        state.targets.target(app(name), scope)
    }

    /// How each deployment ended, in order.
    var ends: [Revision: DeploymentStatus] {
        var ends: [Revision: DeploymentStatus] = [:]
        for event in events {
            if case .targets(.deploymentEnded(let id, _, let status, _)) = event { ends[id] = status }
        }
        return ends
    }

    /// Why a job failed, if it did.
    func failure(of job: JobID) -> FailureReason? {
        for event in events {
            if case .queue(.failed(job, let reason, _)) = event { return reason }
        }
        return nil
    }
}
