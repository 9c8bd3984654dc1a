package typealias TargetsDecision = Decision<TargetsEvent, TargetsAnswer>

/// What a decision about targets looks at beside the targets.
package struct TargetsWorld {
    package var builds: IdentifierTable<BuildID, Build>
    package var replication: ReplicationState
    package var fleet: FleetState
    package var retired: IdentifierTable<BuildID, Retirement>
    package var settings: Settings
    /// The log's epoch: targets of an older one are issued again.
    package var epoch: Epoch

    package init(
        builds: IdentifierTable<BuildID, Build>, replication: ReplicationState, fleet: FleetState,
        retired: IdentifierTable<BuildID, Retirement>, settings: Settings, epoch: Epoch
    ) {
        (self.builds, self.replication, self.fleet, self.retired) = (builds, replication, fleet, retired)
        (self.settings, self.epoch) = (settings, epoch)
    }

    /// Live regions of a scope, ascending.
    func live(_ scope: TargetScope) -> [RegionName] { fleet.liveRegions.filter { scope.includes($0) } }

    /// Regions of the scope that are neither live nor removed: named as skipped.
    func skipped(_ scope: TargetScope) -> [RegionName] {
        fleet.regions.filter { scope.includes($0.key) && !$0.value.status.isLive && $0.value.status != .removed }
            .keys.sorted()
    }
}

extension TargetsState {
    /// What a command leads to. Nothing changes here.
    package func decide(_ command: TargetsCommand, world: TargetsWorld, context: DecisionContext) -> TargetsDecision {
        switch command {
        case .deploy(let request): deploy(request, world: world, context: context)
        case .startWaiting(let id): startWaiting(id, world: world, context: context)
        case .settle(let id): settle(id, world: world, now: context.now)
        case .reissue(let app, let scope): reissue(app, scope, world: world, context: context)
        }
    }

    private func deploy(
        _ request: DeployRequest, world: TargetsWorld, context: DecisionContext
    ) -> TargetsDecision {
        if let problem = problem(of: request, world: world) { return .refused(problem) }
        guard let id = request.build ?? effectiveTarget(request.app, request.scope)?.previous?.build else {
            return .refused(
                Refusal(.noPrevious, "\(request.app) has no previous build in \(request.scope) to roll back to"))
        }
        guard let build = world.builds[id], build.app == request.app else {
            return .refused(
                Refusal(.unknownBuild, "there is no build \(id) of \(request.app): `drover builds` lists them"))
        }
        if world.retired[id] != nil { return .refused(GlobalState.retired(id)) }
        let live = world.live(request.scope)
        if live.isEmpty {
            return .refused(noRegion(request.scope))
        }
        if number == .max { return .refused(exhausted) }
        let opening = DeploymentOpening(
            id: Revision(epoch: context.epoch, number: following(number)), request: request,
            build: ProvedBuild(build: id, manifest: build.pack.manifest),
            deadline: context.now.adding(seconds: Int64(world.settings.deploymentDeadlineSeconds)))
        let missing = world.replication.missing(id, over: live)
        if missing.isEmpty { return begin(opening, world: world, context: context) }
        if world.replication.status(id, over: live, removed: world.fleet.removedRegions) == .gone {
            return .refused(Refusal(.buildGone, "build \(id) is gone: no region holds it any more; build it again"))
        }
        return request.whenReplicated
            ? wait(opening, world: world) : .refused(notReplicated(id, missing: missing))
    }

    private func problem(of request: DeployRequest, world: TargetsWorld) -> Refusal? {
        if let problem = request.problem { return problem }
        if case .region(let name) = request.scope, world.fleet.regions[name] == nil {
            return Refusal(.unknownRegion, "there is no region \(name): `drover regions` lists them")
        }
        if let expected = request.expected, expected != target(request.app, request.scope)?.revision ?? .zero {
            let now = target(request.app, request.scope)?.revision ?? .zero
            return Refusal(
                .revisionConflict, "the target's revision is \(now), not \(expected): look again, then retry")
        }
        return nil
    }

    private func notReplicated(_ build: BuildID, missing: [RegionName]) -> Refusal {
        let names = missing.map(\.rawValue).joined(separator: ", ")
        return Refusal(
            .notReplicated,
            "build \(build) is not yet stored in \(names): wait, or deploy with --when-replicated")
    }

    private func wait(_ opening: DeploymentOpening, world: TargetsWorld) -> TargetsDecision {
        let events = [TargetsEvent.deploymentWaiting(opening)] + superseded(by: opening, only: .waiting)
        return .accepted(
            events, .deployment(opening.id, .waiting, skipped: world.skipped(opening.request.scope)))
    }

    private func begin(
        _ opening: DeploymentOpening, world: TargetsWorld, context: DecisionContext
    ) -> TargetsDecision {
        let target = target(
            opening, revision: opening.id, actor: context.actor, settings: world.settings, now: context.now)
        let origin: TargetOrigin = opening.request.build == nil ? .rollback : .deploy
        let events = [TargetsEvent.targetChanged(target, origin, opening: opening)] + superseded(by: opening)
        return .accepted(
            events, .deployment(opening.id, .running, skipped: world.skipped(opening.request.scope)))
    }

    private func startWaiting(
        _ id: Revision, world: TargetsWorld, context: DecisionContext
    ) -> TargetsDecision {
        guard let deployment = open[id], deployment.status == .waiting else { return .refused(ended(id)) }
        guard context.now < deployment.deadline else {
            return .refused(Refusal(.deploymentEnded, "deployment \(id) is past its deadline: deploy again"))
        }
        let live = world.live(deployment.request.scope)
        if live.isEmpty { return .refused(noRegion(deployment.request.scope)) }
        let missing = world.replication.missing(deployment.build.build, over: live)
        guard missing.isEmpty else { return .refused(notReplicated(deployment.build.build, missing: missing)) }
        let opening = DeploymentOpening(
            id: id, request: deployment.request, build: deployment.build, deadline: deployment.deadline)
        let revision =
            number == id.number && context.epoch == id.epoch
            ? id : Revision(epoch: context.epoch, number: following(number))
        if number == .max, revision != id { return .refused(exhausted) }
        let target = target(
            opening, revision: revision, actor: deployment.actor, settings: world.settings, now: context.now)
        return .accepted([.targetChanged(target, .waitingOver, opening: nil)] + superseded(by: opening), .done)
    }

    private func target(
        _ opening: DeploymentOpening, revision: Revision, actor: EventActor, settings: Settings, now: Timestamp
    ) -> Target {
        let (app, scope) = (opening.request.app, opening.request.scope)
        let old = effectiveTarget(app, scope)
        return Target(
            app: app, scope: scope, revision: revision, deployment: opening.id, current: opening.build,
            base: base(app, scope), previous: old?.current.build == opening.build.build ? old?.previous : old?.current,
            selector: opening.request.selector, admittedShare: Target.wholeShare, actor: actor,
            reason: opening.request.reason, issued: now,
            expires: now.adding(seconds: Int64(settings.targetLifetimeSeconds)))
    }

    /// The other open deployments that the new one ends: of its own scope, or of all when it is global. One that waits
    /// is no target yet: it ends only those that wait, until it starts.
    private func superseded(by opening: DeploymentOpening, only status: DeploymentStatus? = nil) -> [TargetsEvent] {
        openDeployments(of: opening.request.app)
            .filter { $0.id != opening.id && (status == nil || $0.status == status) }
            .filter { opening.request.scope == .global || $0.request.scope == opening.request.scope }
            .map { .deploymentEnded($0.id, $0.request.app, .superseded, detail: "by deployment \(opening.id)") }
    }

    private func reissue(
        _ app: AppName, _ scope: TargetScope, world: TargetsWorld, context: DecisionContext
    ) -> TargetsDecision {
        guard let target = target(app, scope), !isOvertaken(target) else {
            return .refused(Refusal(.invalid, "\(app) has no target of its own in \(scope)"))
        }
        guard context.now >= reissueDue(target, epoch: context.epoch) else { return .accepted([], .done) }
        let again = [target] + (scope == .global ? regionTargets(of: app, after: target.revision) : [])
        guard number <= .max - UInt64(again.count) else { return .refused(exhausted) }
        let lifetime = Int64(world.settings.targetLifetimeSeconds)
        let events = again.enumerated().map { place, old in
            var target = old
            target.revision = Revision(epoch: context.epoch, number: number + UInt64(place) + 1)
            (target.issued, target.expires) = (context.now, context.now.adding(seconds: lifetime))
            return TargetsEvent.targetChanged(target, .reissue, opening: nil)
        }
        return .accepted(events, .done)
    }

    /// Regions' own targets that are newer than the global one, oldest first: issued again behind it, so that a region
    /// never falls back to the global build.
    private func regionTargets(of app: AppName, after revision: Revision) -> [Target] {
        (apps[app] ?? [:]).values.map(\.target).filter { $0.scope != .global && $0.revision > revision }
            .sorted { $0.revision < $1.revision }
    }

    private func noRegion(_ scope: TargetScope) -> Refusal {
        Refusal(.noRegion, "no live region in scope \(scope): `drover regions` says why")
    }

    private var exhausted: Refusal {
        Refusal(.limitReached, "no revision is greater than \(number): the log is damaged, restore a backup")
    }

    /// Half of its life, or at once when its epoch is over: followers of the older epoch may hold a greater number.
    func reissueDue(_ target: Target, epoch: Epoch) -> Timestamp {
        guard target.revision.epoch >= epoch else { return target.issued }
        return target.issued.adding(milliseconds: target.expires.millisecondsSince(target.issued) / 2)
    }

    func ended(_ id: Revision) -> Refusal {
        id.number <= number
            ? Refusal(.deploymentEnded, "deployment \(id) has ended: `drover status` shows how")
            : Refusal(.unknownDeployment, "there is no deployment \(id): `drover status` lists them")
    }
}
