import Domain
import Foundation
import Logging
import Packs
import Ports
import Processes
import Synchronization

/// What has happened to one app, in the machine's words.
enum AppFact: Sendable {
    case assigned(Assignment)
    case fetched(BuildID)
    case fetchFailed(BuildID, detail: String, isFinal: Bool)
    case started(BuildID)
    case startFailed(BuildID, detail: String)
    case healthy(BuildID)
    case unhealthy(BuildID, detail: String)
    case ended(BuildID, detail: String)
    case tick
}

/// Drives one app's machine: takes facts one at a time, writes the machine down, performs its effects.
final class AppRunner: Sendable {
    let app: AppName
    let directory: AgentDirectory
    let process: AppProcess
    let packs: PackKeeper
    let now: @Sendable () -> Timestamp
    /// Tells the region; the latest report wins.
    let report: @Sendable (AppName, PeerApp) -> Void
    let logger: Logger

    private let facts: AsyncStream<AppFact>
    private let inbox: AsyncStream<AppFact>.Continuation
    private let fetches = Mutex<[BuildID: Task<Void, Never>]>([:])

    init(
        app: AppName, directory: AgentDirectory, process: AppProcess, packs: PackKeeper,
        now: @escaping @Sendable () -> Timestamp, report: @escaping @Sendable (AppName, PeerApp) -> Void, logger: Logger
    ) {
        (self.app, self.directory, self.process, self.packs) = (app, directory, process, packs)
        (self.now, self.report, self.logger) = (now, report, logger)
        (facts, inbox) = AsyncStream.makeStream(of: AppFact.self)
    }

    func tell(_ fact: AppFact) { inbox.yield(fact) }

    /// Goes on from what a former agent wrote down and from the process that it left running.
    func run() async {
        await withDiscardingTaskGroup { group in
            var machine = storedMachine()
            var current = process.adopt()
            let effects = machine.resumed(
                runningBuild: current?.build, kept: directory.keptBuilds(of: app), now: now())
            if let current, let identity = current.identity { watch(identity, current.build, in: &group) }
            settle(machine, effects, &current, in: &group)
            for await fact in facts {
                let effects = take(fact, into: &machine)
                settle(machine, effects, &current, in: &group)
            }
            group.cancelAll()
        }
    }

    /// Ends the app and forgets nothing: for `--stop-app` and the embedded role.
    func stopProcess() async {
        guard let record = process.adopt(), let identity = record.identity else { return }
        let run = (try? packs.keptManifest(app, record.build).run) ?? RunSettings()
        await process.stop(identity, run)
    }

    private func storedMachine() -> AppMachine {
        guard let data = FileManager.default.contents(atPath: directory.state(app)),
            let machine = try? JSONDecoder().decode(AppMachine.self, from: data), machine.app == app
        else { return AppMachine(app: app) }
        return machine
    }

    private func take(_ fact: AppFact, into machine: inout AppMachine) -> [AppEffect] {
        let now = now()
        return switch fact {
        case .assigned(let assignment): machine.assigned(assignment, now: now)
        case .fetched(let build): machine.fetched(build, now: now)
        case .fetchFailed(let build, let detail, let isFinal):
            machine.fetchFailed(build, detail: detail, isFinal: isFinal, now: now)
        case .started(let build): machine.started(build, now: now)
        case .startFailed(let build, let detail): machine.startFailed(build, detail: detail, now: now)
        case .healthy(let build): machine.healthy(build, now: now)
        case .unhealthy(let build, let detail): machine.unhealthy(build, detail: detail, now: now)
        case .ended(let build, let detail): machine.ended(build, detail: detail, now: now)
        case .tick: machine.tick(now: now)
        }
    }

    /// The machine is on disk before anything it decided is done.
    private func settle(
        _ machine: AppMachine, _ effects: [AppEffect], _ current: inout ProcessRecord?,
        in group: inout DiscardingTaskGroup
    ) {
        do {
            try directory.make(directory.app(app))
            try directory.write(try JSONEncoder().encode(machine), to: directory.state(app))
        } catch {
            logger.error("the app's state is not written", metadata: ["app": "\(app)", "failure": "\(error)"])
        }
        for effect in effects { perform(effect, &current, in: &group) }
    }

    private func perform(
        _ effect: AppEffect, _ current: inout ProcessRecord?, in group: inout DiscardingTaskGroup
    ) {
        switch effect {
        case .fetch(let build): fetch(build)
        case .cancelFetch(let build): fetches.withLock { $0.removeValue(forKey: build) }?.cancel()
        case .start(let build): current = start(build, in: &group) ?? current
        case .stop(let build): stop(build, current, in: &group)
        case .check(let build): check(build, current, in: &group)
        case .evict(let build): packs.evict(app, build)
        case .report(let report): self.report(app, report)
        case .wake(let moment):
            let pause = max(0, moment.millisecondsSince(now()))
            group.addTask {
                try? await Task.sleep(for: .milliseconds(pause))
                if !Task.isCancelled { self.tell(.tick) }
            }
        }
    }

    /// A transfer is a task of its own, so that a newer target can drop it.
    private func fetch(_ build: ProvedBuild) {
        let task = Task {
            do {
                try await packs.fetch(app, build)
                tell(.fetched(build.build))
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning(
                    "a pack was not fetched", metadata: ["build": "\(app)/\(build.build)", "failure": "\(error)"])
                let isFinal = (error as? AgentFailure)?.isFinal ?? false
                tell(.fetchFailed(build.build, detail: "\(error)", isFinal: isFinal))
            }
        }
        fetches.withLock { $0.updateValue(task, forKey: build.build) }?.cancel()
    }

    private func start(_ build: BuildID, in group: inout DiscardingTaskGroup) -> ProcessRecord? {
        do {
            let manifest = try packs.keptManifest(app, build)
            let token = UUID().uuidString
            let identity = try process.start(build, manifest.run, token: token)
            watch(identity, build, in: &group)
            tell(.started(build))
            return ProcessRecord(token: token, build: build, identity: identity)
        } catch {
            tell(.startFailed(build, detail: "\(error)"))
            return nil
        }
    }

    private func watch(_ identity: ProcessIdentity, _ build: BuildID, in group: inout DiscardingTaskGroup) {
        group.addTask {
            let end = await self.process.runner.waitForEnd(identity)
            guard !Task.isCancelled else { return }
            self.tell(.ended(build, detail: "the process ended (\(end)): \(self.process.lastOutput())"))
        }
    }

    private func stop(_ build: BuildID, _ current: ProcessRecord?, in group: inout DiscardingTaskGroup) {
        guard let identity = current?.identity, current?.build == build, process.runner.isRunning(identity) else {
            return tell(.ended(build, detail: ""))
        }
        let run = (try? packs.keptManifest(app, build).run) ?? RunSettings()
        group.addTask { await self.process.stop(identity, run) }
    }

    private func check(_ build: BuildID, _ current: ProcessRecord?, in group: inout DiscardingTaskGroup) {
        guard let identity = current?.identity, current?.build == build else {
            return tell(.unhealthy(build, detail: "its process is not known"))
        }
        let run = (try? packs.keptManifest(app, build).run) ?? RunSettings()
        group.addTask {
            let problem = await self.process.check(identity, build, run)
            guard !Task.isCancelled else { return }
            self.tell(problem.map { .unhealthy(build, detail: $0) } ?? .healthy(build))
        }
    }
}
