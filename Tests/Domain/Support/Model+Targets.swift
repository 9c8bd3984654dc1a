import Domain

extension Model {
    mutating func targets(_ command: TargetsCommand) -> Verdict {
        switch command {
        case .deploy(let request): deploy(request)
        case .startWaiting(let id): start(id)
        case .settle(let id): settle(id)
        case .reissue(let app, let scope): reissue(app, scope)
        }
    }

    /// The scope's own target.
    func own(_ app: AppName, _ scope: TargetScope) -> Change? {
        changes.last { $0.app == app && $0.scope == scope }
    }

    /// What machines of the scope should run: whatever was said last, to them or to all.
    func effective(_ app: AppName, _ scope: TargetScope) -> Change? {
        changes.last { $0.app == app && ($0.scope == scope || $0.scope == .global) }
    }

    func missing(_ build: JobID, _ scope: TargetScope) -> [RegionName] {
        live(scope).filter { !holds($0, build) }
    }

    private func skipped(_ scope: TargetScope) -> [RegionName] {
        regions.filter { $0.status == .silent || $0.status == .suspended }.map(\.name)
            .filter { scope == .global || scope == .region($0) }.sorted()
    }

    private mutating func deploy(_ request: DeployRequest) -> Verdict {
        let (app, scope) = (request.app, request.scope)
        if case .region(let name) = scope, !regions.contains(where: { $0.name == name }) {
            return .refused(.unknownRegion)
        }
        if let expected = request.expected, expected != own(app, scope)?.revision ?? .zero {
            return .refused(.revisionConflict)
        }
        guard let build = request.build ?? effective(app, scope)?.previous else { return .refused(.noPrevious) }
        guard jobs.contains(where: { $0.id == build && $0.status == .succeeded && $0.request.app == app }) else {
            return .refused(.unknownBuild)
        }
        if live(scope).isEmpty { return .refused(.noRegion) }
        let isReplicated = missing(build, scope).isEmpty
        if !isReplicated, !isHeld(build) { return .refused(.buildGone) }
        if !isReplicated, !request.whenReplicated { return .refused(.notReplicated) }
        number += 1
        let id = Revision(epoch: epoch, number: number)
        deployments.append(
            Deploying(
                id: id, request: request, build: build, status: .waiting,
                deadline: now + Int64(settings.deploymentDeadlineSeconds) * 1000, revision: id))
        if isReplicated {
            begin(deployments.count - 1, at: id)
        } else {
            supersede(by: deployments.count - 1) { $0.status == .waiting }
        }
        return .done(
            .targets(.deployment(id, isReplicated ? .running : .waiting, skipped: skipped(scope))), changed: true)
    }

    private mutating func begin(_ place: Int, at revision: Revision) {
        let deploying = deployments[place]
        let (app, scope) = (deploying.request.app, deploying.request.scope)
        let old = effective(app, scope)
        let base = successes.last { $0.app == app && ($0.scope == scope || $0.scope == .global) }?.build
        changes.append(
            Change(
                app: app, scope: scope, build: deploying.build,
                previous: old?.build == deploying.build ? old?.previous : old?.build, base: base,
                deployment: deploying.id, revision: revision, issued: now,
                expires: now + Int64(settings.targetLifetimeSeconds) * 1000))
        deployments[place].status = .running
        deployments[place].revision = revision
        supersede(by: place) { _ in true }
    }

    private mutating func supersede(by newer: Int, _ condition: (Deploying) -> Bool) {
        let request = deployments[newer].request
        for place in deployments.indices where place != newer {
            let old = deployments[place]
            if old.status.isOpen, old.request.app == request.app, condition(old),
                request.scope == .global || request.scope == old.request.scope
            {
                deployments[place].status = .superseded
            }
        }
    }

    private func ended(_ id: Revision) -> Verdict {
        .refused(id.number <= number ? .deploymentEnded : .unknownDeployment)
    }

    private mutating func start(_ id: Revision) -> Verdict {
        guard let place = deployments.firstIndex(where: { $0.id == id && $0.status == .waiting }) else {
            return ended(id)
        }
        let deploying = deployments[place]
        if now >= deploying.deadline { return .refused(.deploymentEnded) }
        if live(deploying.request.scope).isEmpty { return .refused(.noRegion) }
        if !missing(deploying.build, deploying.request.scope).isEmpty { return .refused(.notReplicated) }
        if number != id.number || epoch != id.epoch { number += 1 }
        begin(place, at: Revision(epoch: epoch, number: number))
        return .done(.targets(.done), changed: true)
    }

    /// The region's report, if it is about the deployment's revision or a later one.
    private func level(_ region: RegionName, _ deploying: Deploying) -> RegionLevel? {
        let level = regions.first { $0.name == region }?.levels.first { $0.app == deploying.request.app }
        return level.flatMap { $0.revision >= deploying.revision ? $0 : nil }
    }

    private mutating func settle(_ id: Revision) -> Verdict {
        guard let place = deployments.firstIndex(where: { $0.id == id && $0.status.isOpen }) else { return ended(id) }
        let deploying = deployments[place]
        let before = deploying.converged
        if deploying.status == .running {
            let live = live(deploying.request.scope)
            let levels = live.map { level($0, deploying) }
            let isThere = levels.map {
                $0.map { UInt64($0.healthy) * 10_000 >= UInt64($0.selected) * UInt64(settings.convergedShare) } ?? false
            }
            for (name, there) in zip(live, isThere) where there && !before.contains(name) {
                deployments[place].converged.append(name)
            }
            let somebody = levels.contains { ($0?.selected ?? 0) > 0 } || deploying.request.allowEmpty
            if !live.isEmpty, !isThere.contains(false), somebody {
                deployments[place].status = .succeeded
                if deploying.request.selector.labels.isEmpty {
                    successes.append((deploying.request.app, deploying.request.scope, deploying.build))
                }
                return .done(.targets(.done), changed: true)
            }
        }
        if now >= deploying.deadline { deployments[place].status = .failed }
        let isChange = deployments[place].status == .failed || deployments[place].converged != before
        return .done(.targets(.done), changed: isChange)
    }

    /// When a target must be said again: at once in a new epoch, else at half of its life.
    func due(_ change: Change) -> Int64 {
        change.revision.epoch < epoch ? change.issued : change.issued + (change.expires - change.issued) / 2
    }

    private mutating func reissue(_ app: AppName, _ scope: TargetScope) -> Verdict {
        guard let own = own(app, scope), effective(app, scope)?.deployment == own.deployment else {
            return .refused(.invalid)
        }
        if now < due(own) { return .done(.targets(.done), changed: false) }
        for place in changes.indices {
            let change = changes[place]
            let isIt = change.deployment == own.deployment
            let isNewerRegion =
                scope == .global && change.app == app && change.revision > own.revision
                && self.own(app, change.scope)?.deployment == change.deployment
            guard isIt || isNewerRegion else { continue }
            number += 1
            changes[place].revision = Revision(epoch: epoch, number: number)
            changes[place].issued = now
            changes[place].expires = now + Int64(settings.targetLifetimeSeconds) * 1000
            for open in deployments.indices where deployments[open].id == change.deployment {
                deployments[open].revision = changes[place].revision
            }
        }
        return .done(.targets(.done), changed: true)
    }
}
