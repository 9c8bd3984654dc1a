import Domain
import Logging
import Ports
import Processes
import Synchronization

extension AppRunner {
    func perform(_ effect: AppEffect, _ state: inout State, in group: inout DiscardingTaskGroup) async {
        switch effect {
        case .fetch(let order): fetch(order)
        case .cancelFetch(let build):
            buildWork.cancel(build)
            drop(build)
        case .evict(let build): drop(build)
        case .start(let launch): await start(launch, &state, in: &group)
        case .stop(let launch): stop(launch, state.process, in: &group)
        case .check(let launch): check(launch, state.process, in: &group)
        case .watch(let launch): watch(launch, state.process, in: &group)
        case .report(var report):
            // Recipes and apps wrote parts of it.
            report.detail = oneLine(report.detail.utf8)
            self.report(app, report)
        case .wake(let moment):
            // Asked for at every tick until it comes; one timer is enough.
            guard timers.withLock({ $0.insert(moment).inserted }) else { return }
            let pause = max(0, moment.millisecondsSince(now()))
            group.addTask {
                try? await Task.sleep(for: .milliseconds(pause))
                self.timers.withLock { _ = $0.remove(moment) }
                if !Task.isCancelled { self.tell(.tick) }
            }
        }
    }

    private func fetch(_ order: FetchOrder) {
        buildWork.add(order.build) { [self] in
            do {
                try await packs.fetch(app, order.build)
                if !Task.isCancelled { tell(.fetched(order)) }
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning(
                    "a pack was not fetched",
                    metadata: ["build": "\(app)/\(order.build.build)", "failure": "\(error)"])
                let isFinal = (error as? AgentFailure)?.isFinal ?? false
                tell(.fetchFailed(order, detail: "\(error)", isFinal: isFinal))
            }
        }
    }

    /// After whatever is still done about the build, and before anything new.
    private func drop(_ build: ProvedBuild) {
        buildWork.add(build) { [self] in await BlockingWork.run { self.packs.drop(self.app, build) } }
    }

    private func start(_ launch: Launch, _ state: inout State, in group: inout DiscardingTaskGroup) async {
        do {
            let process = try await BlockingWork.run { try self.process.start(launch) }
            state.process = process
            tell(.started(launch))
            attend(process, in: &group)
        } catch {
            tell(.startFailed(launch, detail: "\(error)"))
        }
    }

    /// Waits for its end, ends what it leaves behind, and says so: only then may another one be started.
    func attend(_ process: LaunchedProcess, in group: inout DiscardingTaskGroup) {
        group.addTask {
            let end = await self.process.runner.waitForEnd(process.identity)
            guard !Task.isCancelled else { return }
            let output = await BlockingWork.run { self.process.lastOutput() }
            await self.process.stop(process)
            guard !Task.isCancelled else { return }
            self.tell(.ended(process.launch, detail: "the process ended (\(end)): \(output)"))
        }
    }

    /// `attend` tells the end.
    private func stop(_ launch: Launch, _ process: LaunchedProcess?, in group: inout DiscardingTaskGroup) {
        guard let process, process.launch == launch else { return tell(.ended(launch, detail: "")) }
        group.addTask { await self.process.stop(process) }
    }

    private func check(_ launch: Launch, _ process: LaunchedProcess?, in group: inout DiscardingTaskGroup) {
        guard let process, process.launch == launch else {
            return tell(.unhealthy(launch, detail: "its process is not known"))
        }
        group.addTask {
            await self.whileRunning(process) {
                let problem = await self.process.check(process)
                guard !Task.isCancelled else { return }
                self.tell(problem.map { .unhealthy(launch, detail: $0) } ?? .healthy(launch))
            }
        }
    }

    private func watch(_ launch: Launch, _ process: LaunchedProcess?, in group: inout DiscardingTaskGroup) {
        guard let process, process.launch == launch else { return }
        group.addTask {
            await self.whileRunning(process) {
                if let problem = await self.process.watch(process) { self.tell(.unhealthy(launch, detail: problem)) }
            }
        }
    }

    /// A look at a process ends with it.
    private func whileRunning(_ process: LaunchedProcess, _ look: @escaping @Sendable () async -> Void) async {
        await withTaskGroup { group in
            group.addTask { await look() }
            group.addTask { _ = await self.process.runner.waitForEnd(process.identity) }
            await group.next()
            group.cancelAll()
        }
    }
}
