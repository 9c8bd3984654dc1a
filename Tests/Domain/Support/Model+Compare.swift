@testable import Domain

extension Model {
    /// The first thing in which a state differs from what the rules say; nil when there is none.
    func difference(from state: GlobalState) -> String? {
        if state.impossible > 0 { return "\(state.impossible) events were impossible" }
        return queueDifference(state) ?? fleetDifference(state) ?? targetsDifference(state.targets)
            ?? deploymentsDifference(state.targets)
    }

    private func queueDifference(_ state: GlobalState) -> String? {
        let queue = state.queue
        if queue.enqueued.rawValue != UInt64(jobs.count) { return "\(queue.enqueued) ids given, not \(jobs.count)" }
        if queue.waiting.all != line { return "waiting are \(queue.waiting.all), not \(line)" }
        let running = jobs.filter { $0.status == .running }
        if queue.running != running.map(\.id) { return "running are \(queue.running), not \(running.map(\.id))" }
        let built = jobs.filter { $0.status == .succeeded }.map(\.id)
        if queue.builds.keys.sorted() != built { return "built are \(queue.builds.keys.sorted()), not \(built)" }
        if queue.jobs.count != jobs.filter(\.isOpen).count { return "\(queue.jobs.count) jobs are open" }
        for job in jobs where job.isOpen {
            guard let open = queue.jobs[job.id] else { return "job \(job.id) is lost" }
            if (open.cancel != nil) != (job.cancelled != nil) { return "job \(job.id)'s cancel differs" }
            if open.lostAttempts != job.lost { return "job \(job.id) lost \(open.lostAttempts), not \(job.lost)" }
            if open.attempts.rawValue != job.attempts {
                return "job \(job.id) had \(open.attempts), not \(job.attempts)"
            }
            guard let attempt = open.attempt else { continue }
            if attempt.worker != job.worker || attempt.counter != job.counter || attempt.pack != job.pack {
                return "job \(job.id)'s attempt is \(attempt), not \(job)"
            }
            let world = state.queueWorld(now: Timestamp(milliseconds: now))
            let end = queue.expiry(open, attempt, world: world).milliseconds
            if end != self.end(of: job) { return "job \(job.id)'s lease ends at \(end), not \(self.end(of: job))" }
        }
        return nil
    }

    private func fleetDifference(_ state: GlobalState) -> String? {
        for region in regions {
            guard let record = state.fleet.regions[region.name] else { return "region \(region.name) is missing" }
            if record.status != region.status { return "\(region.name) is \(record.status), not \(region.status)" }
            for level in region.levels where record.levels[level.app] != level {
                return "\(region.name)'s level is \(String(describing: record.levels[level.app])), not \(level)"
            }
        }
        for job in jobs where job.status == .succeeded {
            let held = copies.filter { $0.build == job.id }.map(\.region).sorted()
            let stored = state.replication.packs[job.id]?.stored ?? []
            if stored != held { return "build \(job.id) is in \(stored), not \(held)" }
            let lacking = missing(job.id, .global).count
            let status: ReplicationStatus =
                !isHeld(job.id)
                ? .gone
                : live.isEmpty || lacking == live.count ? .pending : lacking == 0 ? .complete : .partial
            if state.replicationStatus(job.id) != status {
                return "build \(job.id) is \(state.replicationStatus(job.id)), not \(status)"
            }
        }
        return nil
    }

    private func targetsDifference(_ targets: TargetsState) -> String? {
        if targets.number != number { return "the last number is \(targets.number), not \(number)" }
        for app in Universe.apps {
            for scope in Set(Universe.scopes).sorted(by: { $0.description < $1.description }) {
                let name = "\(app) \(scope)"
                let target = targets.target(app, scope)
                let own = own(app, scope)
                if target?.current.build != own?.build { return "\(name) is build \(target?.current.build as Any)" }
                if target?.revision != own?.revision {
                    return "\(name) is at \(target?.revision as Any), not \(own as Any)"
                }
                if target?.deployment != own?.deployment { return "\(name) is of \(target?.deployment as Any)" }
                if target?.previous?.build != own?.previous { return "\(name) was \(target?.previous as Any)" }
                if target?.base?.build != own?.base {
                    return "\(name)'s base is \(target?.base as Any), not \(own as Any)"
                }
                if target?.expires.milliseconds != own?.expires { return "\(name) expires at another time" }
                let effective = targets.effectiveTarget(app, scope)
                if effective?.deployment != self.effective(app, scope)?.deployment {
                    return "\(name) acts on \(effective as Any), not on \(self.effective(app, scope) as Any)"
                }
            }
        }
        return nil
    }

    private func deploymentsDifference(_ targets: TargetsState) -> String? {
        let open = deployments.filter(\.status.isOpen)
        if targets.open.keys.sorted() != open.map(\.id) {
            return "open are \(targets.open.keys.sorted()), not \(open.map(\.id))"
        }
        for deploying in open {
            guard let deployment = targets.open[deploying.id] else { continue }
            if deployment.status != deploying.status { return "\(deploying.id) is \(deployment.status)" }
            if deployment.revision != deploying.revision { return "\(deploying.id) is at \(deployment.revision)" }
            if deployment.converged != deploying.converged.sorted() {
                return "\(deploying.id) converged in \(deployment.converged), not \(deploying.converged)"
            }
        }
        return nil
    }
}
