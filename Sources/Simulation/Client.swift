import Domain
import Swarm

/// A person, or a script of one: asks for all that can be asked, and repeats each call under its key until it is answered.
final class Client {
    private unowned let simulation: Simulation
    private let node: Node
    private let actor: EventActor
    private var calls: UInt64 = 0
    private var isBusy = false

    private static let callMilliseconds: Int64 = 8000
    private static let repository = "https://git.example.com/team/app.git"

    init(_ simulation: Simulation, number: Int) {
        self.simulation = simulation
        node = simulation.world.add("client-\(number)")
        actor = .person("client-\(number)")
    }

    private var world: World { simulation.world }

    /// Acts, and again after a while, until the calm.
    func actAgain() {
        world.after(milliseconds: world.among(simulation.plan.clientPause), on: node) { [self] in
            guard !simulation.isCalm else { return }
            if !isBusy, let command = choose() { send(command) }
            actAgain()
        }
    }

    // MARK: Calls

    func send(_ command: GlobalCommand) {
        calls += 1
        isBusy = true
        send(command, key: "\(world.keyPrefix)\(node.name)-\(calls)", failures: 0)
    }

    private func send(_ command: GlobalCommand, key: String, failures: Int) {
        let global = simulation.global
        world.call(
            "command", from: node, to: global.node, timeoutMilliseconds: Self.callMilliseconds
        ) { [actor, simulation] answer in
            global.command(command, actor: actor, key: key) {
                simulation.answered(command, actor: actor, key: key, $0)
                answer($0)
            }
        } then: { [self] (answer: CallAnswer?) in
            switch answer {
            case .accepted(_, let position)?:
                simulation.acknowledge(position)
                isBusy = false
            case .refused(let refusal)?:
                world.counts.note("refused: \(refusal.code.rawValue)")
                isBusy = false
            case .unavailable?, nil:
                world.counts.note("call repeated")
                let pause = min(Int64(200) << Int64(min(failures, 6)), 5000)
                world.after(milliseconds: pause, on: node) { [self] in
                    send(command, key: key, failures: failures + 1)
                }
            }
        }
    }

    // MARK: Choices

    private var app: AppName { world.pick(simulation.apps) ?? AppName(unchecked: "app-1") }
    private var region: RegionName { world.pick(simulation.regions.map(\.name)) ?? RegionName(unchecked: "nowhere") }
    private var worker: WorkerName { world.pick(simulation.workers.map(\.name)) ?? WorkerName(unchecked: "nobody") }

    private func choose() -> GlobalCommand? {
        switch world.below(100) {
        case ..<46: .queue(.enqueue(request()))
        case ..<48: pin()
        case ..<58: cancel()
        case ..<82: deploy()
        case ..<87: .targets(.deploy(DeployRequest(app: app, build: nil, scope: scope(), reason: "back")))
        case ..<89: .fleet(.regionSuspend(region, reason: "maintenance"))
        case ..<93: .fleet(.regionResume(region, reason: "done"))
        case ..<94: .fleet(.regionRemove(region, reason: "gone"))
        case ..<96: .fleet(.workerDrain(worker, isDraining: true))
        case ..<99: .fleet(.workerDrain(worker, isDraining: false))
        default: settings()
        }
    }

    private func request() -> JobRequest {
        let number = world.below(world.below(4) == 0 ? 5 : 2000)
        let digits = (0..<40).map { Self.digits[(number * 7 + $0 * (number % 5 + 1)) % 16] }
        let commit = String(decoding: digits, as: UTF8.self)
        return JobRequest(
            app: app, repository: Self.repository, commit: CommitID(rawValue: commit) ?? Self.anyCommit,
            priority: world.below(5) == 0 ? Int32(world.below(5) - 2) : 0, isForced: world.happens(perMille: 50))
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static let anyCommit: CommitID = {
        guard let commit = CommitID(rawValue: String(repeating: "a", count: 40)) else {
            preconditionFailure("40 digits are a commit")
        }
        return commit
    }()

    /// Pins what is built, or lets go of what is pinned.
    private func pin() -> GlobalCommand? {
        guard simulation.plan.retention != nil else { return .queue(.enqueue(request())) }
        if world.happens(perMille: 400), let build = world.pick(simulation.checks.retention.pinned.sorted()) {
            return .retention(.unpin(build, reason: "not needed"))
        }
        guard let build = world.pick(simulation.checks.queue.succeeded[app] ?? []) else { return nil }
        return .retention(.pin(build, reason: "wanted"))
    }

    private func cancel() -> GlobalCommand? {
        let open = simulation.checks.queue.open
        guard let job = world.pick(open) else { return nil }
        return .queue(.cancel(job, reason: "not needed"))
    }

    private func scope() -> TargetScope { world.happens(perMille: 250) ? .region(region) : .global }

    private func deploy() -> GlobalCommand? {
        let app = app
        let builds = (simulation.checks.queue.succeeded[app] ?? [])
        guard let build = world.pick(Array(builds.suffix(6))) else { return nil }
        let selector = world.happens(perMille: 200) ? PeerSelector(labels: ["tier": "a"]) : .all
        let expected = world.happens(perMille: 100) ? simulation.checks.targets.newest : nil
        return .targets(
            .deploy(
                DeployRequest(
                    app: app, build: build, scope: scope(), selector: selector, reason: "go",
                    whenReplicated: world.happens(perMille: 500), allowEmpty: world.happens(perMille: 300),
                    expected: expected)))
    }

    private func settings() -> GlobalCommand {
        var settings = simulation.checks.settings
        settings.leaseSeconds = UInt32(10 + world.below(20))
        settings.maximumAttempts = UInt32(1 + world.below(4))
        return .changeSettings(settings)
    }
}

extension Simulation {
    /// What was answered under a key: the same for every repetition. Where it says done, it is durable already.
    func answered(_ command: GlobalCommand, actor: EventActor, key: String, _ answer: CallAnswer) {
        guard case .accepted(let found, let position) = answer else { return }
        acknowledge(position)
        if let before = answers[key], before != found {
            world.broken("same-key-same-answer", "key \(key): \(found) after \(before)")
        }
        answers[key] = found
        guard case .queue(.enqueue(let request)) = command, case .queue(.enqueued(let job, _)) = found else { return }
        if checks.queue.jobs[job]?.buildOnceKey != request.buildOnceKey.text {
            world.broken("an-answered-job-is-there", "job \(job) was answered to key \(key)")
        }
    }
}
