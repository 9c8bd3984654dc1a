import Domain
import Ports

/// The second half of a run: nothing goes wrong any more, and everything must come to an end.
extension Simulation {
    /// How long that may take, in milliseconds of the world: every lease, deadline and rest comes to its end in it, and
    /// every open job has its turn at a worker.
    private var patienceMilliseconds: Int64 {
        let settings = checks.settings
        let attempts = (settings.leaseSeconds + settings.cancelGraceSeconds) * settings.maximumAttempts
        let ends = [settings.jobTimeoutSeconds, settings.deploymentDeadlineSeconds, settings.regionSilentSeconds]
        let turns = Int64(checks.queue.open.count / max(1, workers.count)) * Int64(settings.jobTimeoutSeconds)
        return 600_000 + 1000 * turns + 3000 * (Int64(attempts) + ends.reduce(0) { $0 + Int64($1) })
    }
    private static let lookMilliseconds: Int64 = 2000

    func calm() {
        isCalm = true
        world.note("world", "calm")
        world.network.calm()
        for region in regions { (region.isFull, region.storeBytes) = (false, 1 << 50) }
        for worker in workers { worker.slowness = 1 }
        for node in world.nodes { node.pausedUntil = min(node.pausedUntil, world.now) }
        revive()
        let end = world.now + patienceMilliseconds * 1000
        var next = world.now
        while world.now < end, world.step() {
            guard world.now >= next else { continue }
            next = world.now + Self.lookMilliseconds * 1000
            revive()
            waitForQuiet()
            if unsettled == nil { break }
        }
        waitForQuiet()
        guard world.finding == nil else { return }
        if let (rule, detail) = unsettled { world.broken(rule, detail) }
        compareReplay()
        checkChains()
    }

    private func checkChains() {
        for store in [global.host.store] + regions.map(\.host.store) {
            do throws(StoreFailure) {
                let batches = try store.read(after: .zero, maximumFrames: .max)
                if let (rule, detail) = LogChecks.chain(batches, of: store.identity) { world.broken(rule, detail) }
            } catch {
                world.broken("durable-log-reads", "\(error)")
            }
        }
    }

    /// Until no batch is in flight anywhere, so that every state can be looked at.
    private func waitForQuiet() {
        let end = world.now + 1_000_000
        while regions.contains(where: { $0.host.state == nil }), world.now < end, world.step() {}
    }

    /// Everything is up; an operator brings back who was sent away.
    private func revive() {
        if !global.node.isUp { global.start() }
        for region in regions where !region.node.isUp { region.start() }
        for worker in workers where !worker.node.isUp { worker.start() }
        for peer in peers where !peer.node.isUp { peer.start() }
        order()
    }

    private func order() {
        for region in regions where [.suspended, .removed].contains(checks.fleet.status(region.name)) {
            operate(.fleet(.regionResume(region.name, reason: "calm")))
        }
        for worker in workers { operate(.fleet(.workerDrain(worker.name, isDraining: false))) }
    }

    private func operate(_ command: GlobalCommand) {
        global.command(command, actor: .person("operator")) { _ in }
    }

    /// What is still to come, if anything.
    private var unsettled: (rule: String, detail: String)? {
        if let job = checks.queue.open.first {
            return ("every-job-ends", "job \(job) is \(checks.queue.jobs[job].map { "\($0.phase)" } ?? "")")
        }
        if let id = checks.targets.open.keys.sorted().first {
            return ("every-deployment-ends", "deployment \(id) is open")
        }
        for region in regions {
            guard checks.fleet.status(region.name) == .live else {
                return ("every-region-returns", "region \(region.name) is not live")
            }
        }
        for build in checks.retention.retired.sorted() { if let problem = unsettled(build) { return problem } }
        for peer in peers { if let problem = unsettled(peer) { return problem } }
        return nil
    }

    /// A retired build is gone everywhere.
    private func unsettled(_ build: BuildID) -> (rule: String, detail: String)? {
        for region in regions where region.packs.keys.contains(where: { $0.build == build }) {
            return ("retired-builds-go", "\(region.name) still has build \(build)")
        }
        guard checks.targets.stored[build]?.isEmpty ?? true else {
            return ("retired-builds-go", "build \(build) is still said to be in \(checks.targets.stored[build] ?? [])")
        }
        return nil
    }

    /// A peer ends at the newest target, or says why not.
    private func unsettled(_ peer: PeerNode) -> (rule: String, detail: String)? {
        guard let state = peer.region.host.state else { return ("every-region-returns", "\(peer.region.name) is busy") }
        for app in checks.targets.named.keys.sorted() {
            guard let newest = checks.targets.newest(of: app, in: peer.region.name) else { continue }
            guard let known = state.targets[app], known.revision == newest.revision else {
                return ("regions-follow", "\(peer.region.name) does not know \(app) \(newest.revision)")
            }
            let wanted = newest.build(for: peer.name, labels: peer.labels)
            guard let machine = peer.apps[app], machine.assignment?.revision == newest.revision else {
                return ("peers-converge", "\(peer.name) does not know \(app) \(newest.revision)")
            }
            let report = state.peers[peer.name]?.apps[app]
            guard let report, report.revision == newest.revision else {
                return ("peers-report", "\(peer.name) has not reported \(app) \(newest.revision)")
            }
            if peer.oversleeps(app) { return ("rests-end", "\(peer.name) still rests from \(app)") }
            if peer.processes[app]?.launch.build == wanted, report.build == wanted?.build { continue }
            guard report.health == .failed else {
                return (
                    "peers-converge",
                    "\(peer.name) should run \(app)/\(wanted.map { "\($0.build)" } ?? "nothing"), is \(report)"
                )
            }
        }
        return nil
    }
}
