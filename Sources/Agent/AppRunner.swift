import Domain
import Foundation
import Logging
import Ports
import Processes
import Synchronization

/// What has happened to one app, in the machine's words.
enum AppFact: Sendable {
    case assigned(Assignment)
    case enrolled
    case fetched(FetchOrder)
    case fetchFailed(FetchOrder, detail: String, isFinal: Bool)
    case started(Launch)
    case startFailed(Launch, detail: String)
    case healthy(Launch)
    case unhealthy(Launch, detail: String)
    case ended(Launch, detail: String)
    case tick
}

/// Drives one app's machine: takes facts one at a time, writes the machine down, performs its effects.
final class AppRunner: Sendable {
    struct State {
        var machine: AppMachine
        /// What is on disk.
        var written: AppMachine?
        var process: LaunchedProcess?
    }

    let app: AppName
    let directory: AgentDirectory
    let process: AppProcess
    let packs: PackKeeper
    let now: @Sendable () -> Timestamp
    /// Tells the region; the latest report wins.
    let report: @Sendable (AppName, PeerApp) -> Void
    let logger: Logger
    let buildWork = BuildQueue()
    /// Moments that a task waits for.
    let timers = Mutex(Set<Timestamp>())

    private let seed: UInt64
    private let facts: AsyncStream<AppFact>
    private let inbox: AsyncStream<AppFact>.Continuation

    init(
        app: AppName, process: AppProcess, packs: PackKeeper, seed: UInt64, now: @escaping @Sendable () -> Timestamp,
        report: @escaping @Sendable (AppName, PeerApp) -> Void, logger: Logger
    ) {
        (self.app, self.process, self.packs, self.seed) = (app, process, packs, seed)
        (self.now, self.report, self.logger, directory) = (now, report, logger, process.directory)
        (facts, inbox) = AsyncStream.makeStream(of: AppFact.self)
    }

    func tell(_ fact: AppFact) { inbox.yield(fact) }

    /// Goes on from what a former agent wrote down and from the process that it left running. Ends by cancellation; the
    /// app runs on.
    func run() async {
        await withDiscardingTaskGroup { group in
            await live(in: &group)
            group.cancelAll()
        }
        await buildWork.end()
    }

    private func live(in group: inout DiscardingTaskGroup) async {
        let stored = await BlockingWork.run { self.directory.machine(self.app) }
        var state = State(machine: stored ?? AppMachine(app: app, seed: seed), written: stored)
        state.process = await inherited()
        if let process = state.process { attend(process, in: &group) }
        let kept = await BlockingWork.run { self.directory.keptBuilds(of: self.app) }
        let effects = state.machine.resumed(running: state.process?.launch, kept: kept, now: now())
        let offered = state.machine.kept
        await BlockingWork.run { self.packs.offer(self.app, offered) }
        group.addTask { await self.keepOutputSmall() }
        await settle(&state, effects, in: &group)
        for await fact in facts {
            let effects = take(fact, into: &state.machine)
            await settle(&state, effects, in: &group)
        }
    }

    /// The process that a former agent left. What is left of one that has ended is ended first: no second copy runs
    /// beside it.
    private func inherited() async -> LaunchedProcess? {
        switch await BlockingWork.run({ self.process.inheritance() }) {
        case .nothing: return nil
        case .running(let process): return process
        case .remains(let remains):
            await process.stop(remains)
            return nil
        }
    }

    /// Ends the app and forgets nothing, after `run` has ended: for `--stop-app` and the embedded role.
    func stopProcess() async {
        switch await BlockingWork.run({ self.process.inheritance() }) {
        case .nothing: return
        case .running(let left), .remains(let left):
            await process.stop(left, maximumGraceSeconds: process.settings.maximumStopSeconds)
        }
    }

    private func take(_ fact: AppFact, into machine: inout AppMachine) -> [AppEffect] {
        let now = now()
        return switch fact {
        case .assigned(let assignment): machine.assigned(assignment, now: now)
        case .enrolled: machine.enrolled(now: now)
        case .fetched(let order): machine.fetched(order, now: now)
        case .fetchFailed(let order, let detail, let isFinal):
            machine.fetchFailed(order, detail: detail, isFinal: isFinal, now: now)
        case .started(let launch): machine.started(launch, now: now)
        case .startFailed(let launch, let detail): machine.startFailed(launch, detail: detail, now: now)
        case .healthy(let launch): machine.healthy(launch, now: now)
        case .unhealthy(let launch, let detail): machine.unhealthy(launch, detail: detail, now: now)
        case .ended(let launch, let detail): machine.ended(launch, detail: detail, now: now)
        case .tick: machine.tick(now: now)
        }
    }

    /// The machine is on disk before anything it decided is done.
    private func settle(_ state: inout State, _ effects: [AppEffect], in group: inout DiscardingTaskGroup) async {
        if state.machine != state.written {
            let machine = state.machine
            do {
                try await BlockingWork.run { try self.write(machine) }
                state.written = machine
            } catch {
                logger.error("the app's state is not written", metadata: ["app": "\(app)", "failure": "\(error)"])
            }
        }
        for effect in effects { await perform(effect, &state, in: &group) }
    }

    private func write(_ machine: AppMachine) throws {
        try directory.make(directory.app(app))
        try directory.write(try JSONEncoder().encode(machine), to: directory.state(app))
    }

    private func keepOutputSmall() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(process.settings.outputLookSeconds))
            do {
                try await BlockingWork.run {
                    try self.directory.rotateOutput(
                        self.app, maximumBytes: self.process.settings.maximumOutputBytes)
                }
            } catch {
                logger.warning("the output stays large", metadata: ["app": "\(app)", "failure": "\(error)"])
            }
        }
    }
}
