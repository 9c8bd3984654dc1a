import Building
import Domain

/// A machine that builds: the real worker's machine over simulated builds, uploads and calls.
///
/// Its disk keeps the key of a claim that has no answer yet; everything else is gone with the process.
final class WorkerNode {
    let node: Node
    let name: WorkerName
    let region: RegionNode
    private unowned let world: World
    private let global: GlobalNode
    private var machine: WorkerMachine
    private var claimKey: String?
    private var keys: UInt64 = 0
    /// Counts work and claims, so that the end of one that was stopped is nothing to the next.
    private var workNumber: UInt64 = 0
    private var claimNumber: UInt64 = 0
    private var pack: PackFacts?
    private var job: ClaimedJob?
    /// How many times longer its builds take than others'.
    var slowness: Int64 = 1
    var buildMilliseconds: ClosedRange<Int64> = 200...20_000

    private static let claimWaitMilliseconds: Int64 = 20_000
    private static let callMilliseconds: Int64 = 10_000

    init(world: World, name: WorkerName, region: RegionNode, global: GlobalNode) {
        (self.world, self.name, self.region, self.global) = (world, name, region, global)
        node = world.add(name.rawValue)
        machine = WorkerMachine()
    }

    private var settings: WorkerSettings {
        var settings = WorkerSettings()
        settings.jitterSeed = name.rawValue.utf8.reduce(1) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        (settings.storeFullMilliseconds, settings.unreachableMilliseconds) = (30_000, 60_000)
        return settings
    }

    // MARK: Life

    func start() {
        node.isUp = true
        machine = WorkerMachine(settings: settings)
        (pack, job) = (nil, nil)
        workNumber += 1
        join(failures: 0) { [self] in perform(machine.started(now: node.monotonic)) }
    }

    func crash() { world.down(node) }

    func drain() { perform(machine.drain()) }

    func shutdown() { perform(machine.shutdown(now: node.monotonic)) }

    private func newKey() -> String {
        keys += 1
        return "\(world.keyPrefix)\(name)-\(keys)"
    }

    private func join(failures: Int, then: @escaping () -> Void) {
        call("join worker") { [self] answer in
            global.command(.fleet(.workerJoin(name, region.name)), actor: .worker(name), answer: answer)
        } then: { [self] answer in
            if case .accepted? = answer { return then() }
            world.after(milliseconds: settings.retryDelay(failures: failures + 1), on: node) { [self] in
                join(failures: failures + 1, then: then)
            }
        }
    }

    private func call<Answer>(
        _ what: StaticString, serve: @escaping (@escaping (Answer) -> Void) -> Void, then: @escaping (Answer?) -> Void
    ) {
        world.call(
            what, from: node, to: global.node, timeoutMilliseconds: Self.callMilliseconds, serve: serve, then: then)
    }

    // MARK: Effects

    private func perform(_ effects: [WorkerEffect]) {
        for effect in effects { perform(effect) }
    }

    private func tell(_ fact: (inout WorkerMachine, Int64) -> [WorkerEffect]) {
        perform(fact(&machine, node.monotonic))
    }

    private func perform(_ effect: WorkerEffect) {
        switch effect {
        case .claim: claim()
        case .cancelClaim:
            claimNumber += 1
            world.after(1000, on: node) { [self] in tell { $0.claimFailed(now: $1) } }
        case .startBuild(let job): build(job)
        case .heartbeat(let key, let counter, let stage): heartbeat(key, counter: counter, stage: stage)
        case .stopWork(let key):
            workNumber += 1
            world.after(world.among(1000...500_000), on: node) { [self] in
                tell { $0.buildEnded(key, .cancelled, now: $1) }
            }
        case .pack(let key): packUp(key)
        case .upload(let key): upload(key)
        case .reportUploaded(let key): reportUploaded(key)
        case .reportFailed(let key, let failure):
            report(key, .queue(.reportFailed(key.job, key.attempt, failure.reason, detail: failure.detail)))
        case .release(let key):
            report(key, .queue(.release(key.job, key.attempt, detail: "the worker is shutting down")))
        case .awaitEnd(let key): awaitEnd(key, failures: 0)
        case .deleteWorkspace: (pack, job) = (nil, nil)
        case .setTimer(let moment):
            world.after(milliseconds: max(0, moment - node.monotonic), on: node) { [self] in
                tell { $0.tick(now: $1) }
            }
        case .finish:
            world.counts.note("worker finished")
            world.down(node)
        }
    }

    private func claim() {
        let key = claimKey ?? newKey()
        claimKey = key
        claimNumber += 1
        let number = claimNumber
        world.call(
            "claim", from: node, to: global.node,
            timeoutMilliseconds: Self.claimWaitMilliseconds + Self.callMilliseconds
        ) { [self] answer in
            global.claim(name, key: key, waitMilliseconds: Self.claimWaitMilliseconds, answer: answer)
        } then: { [self] (answer: ClaimCallAnswer?) in
            guard number == claimNumber else { return }
            switch answer {
            case .job(let work)?:
                claimKey = nil
                let claimed = ClaimedJob(
                    key: AttemptKey(job: work.job, attempt: work.attempt), request: work.request,
                    heartbeatSeconds: work.heartbeatSeconds, jobTimeoutSeconds: work.jobTimeoutSeconds)
                job = claimed
                tell { $0.claimed(claimed, now: $1) }
            case .nothing?:
                claimKey = nil
                tell { $0.noWork(now: $1) }
            case .refused(let refusal)? where refusal.code == .unknownWorker:
                join(failures: 0) { [self] in tell { $0.claimFailed(now: $1) } }
            case .refused?, .unavailable?, nil: tell { $0.claimFailed(now: $1) }
            }
        }
    }

    // MARK: Work

    /// Does something after a while, unless that work was stopped meanwhile.
    private func work(_ milliseconds: ClosedRange<Int64>, _ body: @escaping () -> Void) {
        let number = workNumber
        world.after(milliseconds: world.among(milliseconds) * slowness, on: node) { [self] in
            if number == workNumber { body() }
        }
    }

    private func build(_ job: ClaimedJob) {
        workNumber += 1
        let key = job.key
        let reasons: [FailureReason] = [.exit, .exit, .exit, .timeout, .recipe, .snapshot, .artifact]
        let failure =
            world.happens(perMille: 150)
            ? world.pick(reasons).map { BuildFailure($0, detail: "it failed") } : nil
        work(buildMilliseconds.lowerBound / 4...buildMilliseconds.lowerBound * 8) { [self] in
            if failure?.reason == .snapshot { return tell { $0.buildEnded(key, failure, now: $1) } }
            tell { machine, _ in machine.stageChanged(key, to: .build) }
            work(buildMilliseconds) { [self] in tell { $0.buildEnded(key, failure, now: $1) } }
        }
    }

    private func packUp(_ key: AttemptKey) {
        guard let job else { return }
        work(buildMilliseconds.lowerBound / 4...buildMilliseconds.lowerBound * 8) { [self] in
            let facts = PackFacts(
                app: job.request.app, build: key.job, attempt: key.attempt, content: world.chance.next(),
                packedBytes: UInt64(world.among(1...8)) << 16)
            pack = facts
            tell { $0.packed(key, now: $1) }
        }
    }

    private func upload(_ key: AttemptKey) {
        guard let pack else { return }
        let number = workNumber
        world.call(
            "upload", from: node, to: region.node, timeoutMilliseconds: 60_000
        ) { [region] answer in
            region.upload(pack, answer: answer)
        } then: { [self] (answer: UploadAnswer?) in
            guard number == workNumber else { return }
            switch answer {
            case .taken?: tell { $0.uploaded(key, now: $1) }
            case .full?:
                tell { $0.uploadFailed(key, UploadTrouble(.storeFull, detail: "it is full", hasMoved: false), now: $1) }
            case nil:
                tell {
                    $0.uploadFailed(
                        key, UploadTrouble(.unreachable, detail: "it does not answer", hasMoved: false), now: $1)
                }
            }
        }
    }

    // MARK: Calls

    private func heartbeat(_ key: AttemptKey, counter: UInt64, stage: AttemptStage) {
        call("heartbeat") { [self] answer in
            global.command(
                .queue(.heartbeat(key.job, key.attempt, counter: counter, stage: stage)), actor: .worker(name),
                answer: answer)
        } then: { [self] answer in
            switch answer {
            case .accepted(.queue(.heartbeat(let isCancelled)), _)?:
                tell { $0.heartbeatAnswered(key, counter: counter, isCancelled ? .cancel : .continue, now: $1) }
            case .accepted?: world.broken("answers-fit", "a heartbeat was answered in another's words")
            case .refused?: tell { $0.heartbeatAnswered(key, counter: counter, .stale, now: $1) }
            case .unavailable?, nil: tell { $0.heartbeatFailed(key, counter: counter, now: $1) }
            }
        }
    }

    private func reportUploaded(_ key: AttemptKey) {
        guard let pack else { return }
        let idempotency = newKey()
        call("report uploaded") { [self] answer in
            global.reportUploaded(
                key.job, key.attempt, pack, region: region.name, worker: name, key: idempotency, answer: answer)
        } then: { [self] in
            reported(key, $0)
        }
    }

    private func report(_ key: AttemptKey, _ command: GlobalCommand) {
        let idempotency = newKey()
        call("report") { [self] answer in
            global.command(command, actor: .worker(name), key: idempotency, answer: answer)
        } then: { [self] in
            reported(key, $0)
        }
    }

    private func reported(_ key: AttemptKey, _ answer: CallAnswer?) {
        switch answer {
        case .accepted?: tell { $0.reported(key, .accepted, now: $1) }
        case .refused?: tell { $0.reported(key, .refused, now: $1) }
        case .unavailable?, nil: tell { $0.reportFailed(key, now: $1) }
        }
    }

    private func awaitEnd(_ key: AttemptKey, failures: Int) {
        guard machine.current == key else { return }
        world.call(
            "await end", from: node, to: global.node,
            timeoutMilliseconds: Self.claimWaitMilliseconds + Self.callMilliseconds
        ) { [self] answer in
            global.awaitEnd(key.job, key.attempt, waitMilliseconds: Self.claimWaitMilliseconds, answer: answer)
        } then: { [self] (isOver: Bool?) in
            if let isOver {
                return tell { machine, _ in isOver ? machine.jobEnded(key) : machine.endNotSeen(key) }
            }
            world.after(milliseconds: settings.retryDelay(failures: failures + 1), on: node) { [self] in
                awaitEnd(key, failures: failures + 1)
            }
        }
    }
}
