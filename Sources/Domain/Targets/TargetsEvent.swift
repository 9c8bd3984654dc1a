package enum TargetsEvent: Hashable, Sendable {
    /// A recorded deployment that waits for its build to be replicated. Its revision is its id, and later its target's.
    case deploymentWaiting(DeploymentOpening)
    /// The scope's target from here on. The first of a deployment carries what was asked.
    case targetChanged(Target, TargetOrigin, opening: DeploymentOpening?)
    case regionConverged(Revision, RegionName)
    case deploymentEnded(Revision, AppName, DeploymentStatus, detail: String)
}

/// What begins a deployment.
package struct DeploymentOpening: Hashable, Sendable, Codable {
    package var id: Revision
    package var request: DeployRequest
    package var build: ProvedBuild
    package var deadline: Timestamp

    package init(id: Revision, request: DeployRequest, build: ProvedBuild, deadline: Timestamp) {
        (self.id, self.request, self.build, self.deadline) = (id, request, build, deadline)
    }
}

package enum TargetsCommand: Hashable, Sendable {
    case deploy(DeployRequest)
    /// The waiting deployment's build is replicated: make it the target.
    case startWaiting(Revision)
    /// Look again at an open deployment: regions that converged, its end, its deadline.
    case settle(Revision)
    /// Issue the same target again, at half of its life.
    case reissue(AppName, TargetScope)
}

package enum TargetsAnswer: Hashable, Sendable, Codable {
    case deployment(Revision, DeploymentStatus, skipped: [RegionName])
    case done
}

package struct TargetsState: Hashable, Sendable, Codable {
    /// The last number given, in any epoch: numbers grow without end, whoever leads.
    package internal(set) var number: UInt64 = 0
    package internal(set) var apps: [AppName: [TargetScope: ScopeTarget]] = [:]
    package internal(set) var open: [Revision: Deployment] = [:]
    package internal(set) var impossible: UInt64 = 0

    package init() {}

    package func target(_ app: AppName, _ scope: TargetScope) -> Target? { apps[app]?[scope]?.target }

    /// What machines of the scope act on: its own target, or the global one where that is the newer.
    package func effectiveTarget(_ app: AppName, _ scope: TargetScope) -> Target? {
        guard let own = target(app, scope) else { return target(app, .global) }
        return isOvertaken(own) ? target(app, .global) : own
    }

    /// Whether a newer global target took a region's own one's place: it must never be issued again.
    func isOvertaken(_ target: Target) -> Bool {
        guard target.scope != .global, let global = self.target(target.app, .global) else { return false }
        return global.revision > target.revision
    }

    /// Open deployments of an app, oldest first.
    package func openDeployments(of app: AppName) -> [Deployment] {
        open.values.filter { $0.request.app == app }.sorted { $0.id < $1.id }
    }

    /// Takes one fact. Total.
    package mutating func reduce(_ event: TargetsEvent, actor: EventActor, at time: Timestamp) {
        switch event {
        case .deploymentWaiting(let opening):
            guard open[opening.id] == nil else { return note() }
            number = max(number, opening.id.number)
            begin(opening, status: .waiting, actor: actor, at: time)
        case .targetChanged(let target, _, let opening):
            number = max(number, target.revision.number)
            changed(target, opening: opening, actor: actor, at: time)
        case .regionConverged(let id, let region):
            guard let deployment = open[id], !deployment.converged.contains(region) else { return note() }
            open[id]?.converged.insert(
                region, at: deployment.converged.firstIndex { $0 > region } ?? deployment.converged.count)
        case .deploymentEnded(let id, _, let status, _):
            guard let deployment = open.removeValue(forKey: id) else { return note() }
            if status == .succeeded { becomeBase(deployment) }
        }
    }

    private mutating func begin(
        _ opening: DeploymentOpening, status: DeploymentStatus, actor: EventActor, at time: Timestamp
    ) {
        open[opening.id] = Deployment(
            id: opening.id, request: opening.request, actor: actor, build: opening.build, status: status,
            startedAt: time, deadline: opening.deadline, revision: opening.id, converged: [])
    }

    private mutating func changed(
        _ target: Target, opening: DeploymentOpening?, actor: EventActor, at time: Timestamp
    ) {
        if let old = self.target(target.app, target.scope), old.revision >= target.revision { return note() }
        let base = base(target.app, target.scope)
        apps[target.app, default: [:]][target.scope] = ScopeTarget(target: target, base: base)
        if let opening, open[opening.id] == nil {
            begin(opening, status: .running, actor: actor, at: time)
        } else if open[target.deployment]?.status == .waiting {
            open[target.deployment]?.status = .running
        }
        open[target.deployment]?.revision = target.revision
    }

    /// The last build whose deployment to all of the scope succeeded, be it the region's own or a global one.
    func base(_ app: AppName, _ scope: TargetScope) -> ProvedBuild? {
        (apps[app]?[scope] ?? apps[app]?[.global])?.base
    }

    /// A deployment for everyone that succeeded is what unselected peers run from now on; a global one in every scope.
    private mutating func becomeBase(_ deployment: Deployment) {
        let (app, scope) = (deployment.request.app, deployment.request.scope)
        guard let now = apps[app]?[scope], now.target.deployment == deployment.id, now.target.selector.selectsAll,
            now.target.admittedShare == Target.wholeShare
        else { return }
        for place in scope == .global ? Array((apps[app] ?? [:]).keys) : [scope] {
            apps[app]?[place]?.base = deployment.build
        }
    }

    private mutating func note() { impossible += 1 }
}
