extension TargetsState {
    /// Whether an open deployment has newly converged regions or an end; the events that say so.
    func settle(_ id: Revision, world: TargetsWorld, now: Timestamp) -> TargetsDecision {
        guard let deployment = open[id] else { return .refused(ended(id)) }
        var events: [TargetsEvent] = []
        let app = deployment.request.app
        if deployment.status == .running {
            let live = world.live(deployment.request.scope)
            let converged = live.filter { hasConverged($0, deployment, world: world) }
            events = converged.filter { !deployment.converged.contains($0) }.map { .regionConverged(id, $0) }
            let selected = live.map { UInt64(level($0, deployment, world: world)?.selected ?? 0) }.reduce(0, +)
            if !live.isEmpty, converged == live, selected > 0 || deployment.request.allowEmpty {
                let detail = "\(selected) peers in \(live.count) regions"
                return .accepted(events + [.deploymentEnded(id, app, .succeeded, detail: detail)], .done)
            }
        }
        if now >= deployment.deadline {
            let detail = overdue(deployment, world: world)
            events.append(.deploymentEnded(id, app, .failed, detail: detail))
        }
        return .accepted(events, .done)
    }

    /// A region has converged when it reports, at this revision or later, that enough live selected peers run it.
    private func hasConverged(_ region: RegionName, _ deployment: Deployment, world: TargetsWorld) -> Bool {
        guard let level = level(region, deployment, world: world) else { return false }
        return UInt64(level.healthy) * UInt64(Target.wholeShare)
            >= UInt64(level.selected) * UInt64(world.settings.convergedShare)
    }

    /// The region's latest numbers, if they are about this deployment's latest revision or a later one.
    private func level(_ region: RegionName, _ deployment: Deployment, world: TargetsWorld) -> RegionLevel? {
        guard let level = world.fleet.regions[region]?.levels[deployment.request.app],
            level.revision >= deployment.revision
        else { return nil }
        return level
    }

    private func overdue(_ deployment: Deployment, world: TargetsWorld) -> String {
        let live = world.live(deployment.request.scope)
        if deployment.status == .waiting {
            let names = world.replication.missing(deployment.build.build, over: live).map(\.rawValue)
            return short("its build was not replicated by the deadline: missing in \(names.joined(separator: ", "))")
        }
        let lines = live.filter { !hasConverged($0, deployment, world: world) }.map { region in
            guard let level = level(region, deployment, world: world) else { return "\(region): no report yet" }
            let detail = level.detail.isEmpty ? "" : " (\(level.detail))"
            return "\(region): \(level.healthy) of \(level.selected) healthy, \(level.failed) failed\(detail)"
        }
        let text = lines.isEmpty ? "no live peer is selected" : lines.joined(separator: "; ")
        return short("not converged by the deadline: \(text)")
    }

    /// At most 900 bytes and a broken character's replacement: the event must fit in a frame.
    private func short(_ text: String) -> String { String(decoding: Array(text.utf8.prefix(900)), as: UTF8.self) }

    /// The deployments projector's work. Costs the open deployments.
    package func planDeployments(world: TargetsWorld, now: Timestamp) -> Plan<TargetsCommand> {
        var plan = Plan<TargetsCommand>()
        for id in open.keys.sorted() {
            guard let deployment = open[id] else { continue }
            planDeployment(deployment, world: world, now: now, into: &plan)
        }
        return plan
    }

    /// The reissue projector's work. Costs the targets: asked again when it says, not at every change, as whatever is
    /// issued meanwhile is due later.
    package func planReissues(epoch: Epoch, now: Timestamp) -> Plan<TargetsCommand> {
        var plan = Plan<TargetsCommand>()
        for app in apps.keys.sorted() {
            for scope in (apps[app] ?? [:]).keys.sorted(by: { $0.description < $1.description }) {
                planReissue(app, scope, epoch: epoch, now: now, into: &plan)
            }
        }
        return plan
    }

    private func planDeployment(
        _ deployment: Deployment, world: TargetsWorld, now: Timestamp, into plan: inout Plan<TargetsCommand>
    ) {
        let live = world.live(deployment.request.scope)
        let isReady =
            deployment.status == .waiting && !live.isEmpty
            && world.replication.missing(deployment.build.build, over: live).isEmpty
        if isReady, now < deployment.deadline {
            plan.effects.append(.startWaiting(deployment.id))
        } else if case .accepted(let events, _) = settle(deployment.id, world: world, now: now), !events.isEmpty {
            plan.effects.append(.settle(deployment.id))
        } else {
            plan.askAgainAt = min(plan.askAgainAt ?? deployment.deadline, deployment.deadline)
        }
    }

    private func planReissue(
        _ app: AppName, _ scope: TargetScope, epoch: Epoch, now: Timestamp, into plan: inout Plan<TargetsCommand>
    ) {
        guard let target = target(app, scope), !isOvertaken(target) else { return }
        let due = reissueDue(target, epoch: epoch)
        if due <= now {
            plan.effects.append(.reissue(app, scope))
        } else {
            plan.askAgainAt = min(plan.askAgainAt ?? due, due)
        }
    }
}
