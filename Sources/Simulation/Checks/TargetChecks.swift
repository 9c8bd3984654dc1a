import Domain

/// Replication, targets and deployments, as the events tell.
struct TargetChecks {
    struct Open {
        var app: AppName
        var request: DeployRequest
        var build: ProvedBuild
        var revision: Revision
        var isRunning: Bool
        var deadline: Timestamp
    }

    /// Regions that say that they have stored a build, and the build's manifest.
    private(set) var stored: [BuildID: Set<RegionName>] = [:]
    private(set) var manifests: [BuildID: Digest] = [:]
    private(set) var goneBuilds: Set<BuildID> = []
    /// Every target that ever was.
    private(set) var issued: [Revision: Target] = [:]
    private(set) var newest = Revision.zero
    /// Every build that a target of an app named, as its build or as the base beside it.
    private(set) var named: [AppName: Set<ProvedBuild>] = [:]
    private var targets: [AppName: [TargetScope: Target]] = [:]
    private var bases: [AppName: [TargetScope: ProvedBuild]] = [:]
    private(set) var open: [Revision: Open] = [:]

    typealias Problem = (rule: String, detail: String)

    mutating func take(
        _ event: ReplicationEvent, jobs: QueueChecks, fleet: FleetChecks, wasReadBack: (Digest, RegionName) -> Bool
    ) -> Problem? {
        switch event {
        case .packStored(let build, let attempt, let region, let manifest):
            guard let job = jobs.jobs[build], job.attempts == attempt.rawValue, job.pack?.manifest == manifest else {
                return ("only-the-uploaded-pack", "region \(region) stores another pack of build \(build)")
            }
            if !wasReadBack(manifest, region) {
                return ("read-back", "region \(region) says that it has build \(build), and has not read it")
            }
            if fleet.status(region) == .removed { return ("removed-stays-removed", "region \(region) stores a pack") }
            stored[build, default: []].insert(region)
            manifests[build] = manifest
        case .packLost(let build, let region, _):
            stored[build]?.remove(region)
            if let left = stored[build] { noteGone(build, left, fleet) }
        case .packRemoved(let build, let region):
            guard stored[build]?.remove(region) != nil else {
                return ("removed-once", "region \(region) removes build \(build), which it does not have")
            }
        }
        return nil
    }

    /// It answers no request any more.
    mutating func noteRetired(_ build: BuildID) { goneBuilds.insert(build) }

    /// What uses a build: a target that somebody may still be told, what stands beside it, or an open deployment.
    func use(of build: BuildID) -> String? {
        for (app, scopes) in targets {
            for (scope, target) in scopes {
                if bases[app]?[scope]?.build == build { return "the base of \(app) \(scope)" }
                guard effective(app, scope) == target else { continue }
                let named = [target.current, target.base, target.previous].compactMap { $0?.build }
                if named.contains(build) { return "target \(target.revision) of \(app)" }
            }
        }
        return open.first { $0.value.build.build == build }.map { "deployment \($0.key)" }
    }

    /// Once gone, its key is free: a new job may build it again.
    private mutating func noteGone(_ build: BuildID, _ regions: Set<RegionName>, _ fleet: FleetChecks) {
        if regions.allSatisfy({ fleet.status($0) == .removed }) { goneBuilds.insert(build) }
    }

    /// A region was removed.
    mutating func noteGone(_ fleet: FleetChecks) {
        for (build, regions) in stored { noteGone(build, regions, fleet) }
    }

    mutating func take(
        _ event: TargetsEvent, _ header: FrameHeader, jobs: QueueChecks, fleet: FleetChecks, settings: Settings
    ) -> Problem? {
        switch event {
        case .deploymentWaiting(let opening):
            begin(opening, isRunning: false)
            newest = max(newest, opening.id)
            return nil
        case .targetChanged(let target, let origin, let opening):
            if let opening { begin(opening, isRunning: true) }
            return changed(target, origin, jobs, fleet)
        case .regionConverged(let id, let region): return converged(id, region, fleet, settings)
        case .deploymentEnded(let id, _, let status, _): return ended(id, status, header, fleet, settings)
        }
    }

    private mutating func begin(_ opening: DeploymentOpening, isRunning: Bool) {
        open[opening.id] = Open(
            app: opening.request.app, request: opening.request, build: opening.build, revision: opening.id,
            isRunning: isRunning, deadline: opening.deadline)
    }

    /// What a region should act on.
    func newest(of app: AppName, in region: RegionName) -> Target? { effective(app, .region(region)) }

    private func effective(_ app: AppName, _ scope: TargetScope) -> Target? {
        let found = [targets[app]?[scope], targets[app]?[.global]].compactMap { $0 }
        return found.max { $0.revision < $1.revision }
    }

    private mutating func changed(
        _ target: Target, _ origin: TargetOrigin, _ jobs: QueueChecks, _ fleet: FleetChecks
    ) -> Problem? {
        let (app, scope) = (target.app, target.scope)
        let own = open[target.deployment]?.revision
        guard target.revision > (targets[app]?[scope]?.revision ?? .zero), issued[target.revision] == nil,
            target.revision > newest || (own == target.revision && target.revision == newest) || origin == .waitingOver
        else { return ("revisions-grow", "\(app) has \(target.revision) after \(newest)") }
        if origin != .reissue {
            guard jobs.jobs[target.current.build]?.phase == .succeeded,
                manifests[target.current.build] == target.current.manifest
            else { return ("targets-are-builds", "\(app) should run \(target.current.build), no build") }
            let live = fleet.live(scope)
            let missing = live.filter { stored[target.current.build]?.contains($0) != true }
            if live.isEmpty || !missing.isEmpty {
                return (
                    "deploys-replicated", "\(app) \(target.revision): build \(target.current.build) lacks \(missing)"
                )
            }
            if origin == .rollback, effective(app, scope)?.previous?.build != target.current.build {
                return ("rolls-back-to-the-previous", "\(app) \(target.revision)")
            }
        }
        let base = bases[app]?[scope] ?? (targets[app]?[scope] == nil ? bases[app]?[.global] : nil)
        if origin != .reissue, target.base != base { return ("base-succeeded", "\(app) \(target.revision)") }
        (issued[target.revision], newest) = (target, max(newest, target.revision))
        named[app, default: []].formUnion([target.current, target.base].compactMap { $0 })
        if targets[app]?[scope] == nil, let base { bases[app, default: [:]][scope] = base }
        targets[app, default: [:]][scope] = target
        open[target.deployment]?.isRunning = true
        open[target.deployment]?.revision = target.revision
        return nil
    }

    private func converged(
        _ id: Revision, _ region: RegionName, _ fleet: FleetChecks, _ settings: Settings
    ) -> Problem? {
        guard let deployment = open[id] else { return ("deployments-end-once", "\(id) converges at its end") }
        guard let level = fleet.levels[region]?[deployment.app], level.revision >= deployment.revision,
            UInt64(level.healthy) * 10_000 >= UInt64(level.selected) * UInt64(settings.convergedShare)
        else { return ("converges-by-report", "\(region) has not reported \(id)") }
        return nil
    }

    private mutating func ended(
        _ id: Revision, _ status: DeploymentStatus, _ header: FrameHeader, _ fleet: FleetChecks, _ settings: Settings
    ) -> Problem? {
        guard let deployment = open.removeValue(forKey: id) else {
            return ("deployments-end-once", "\(id) ends and was not open")
        }
        switch status {
        case .succeeded:
            let live = fleet.live(deployment.request.scope)
            open[id] = deployment
            defer { open[id] = nil }
            for region in live { if let problem = converged(id, region, fleet, settings) { return problem } }
            if live.isEmpty { return ("converges-by-report", "\(id) succeeded nowhere") }
            if let now = targets[deployment.app]?[deployment.request.scope], now.deployment == id,
                now.selector.selectsAll, now.admittedShare == 10_000
            {
                becomeBase(deployment)
            }
        case .failed:
            if header.time < deployment.deadline { return ("deadlines-last", "\(id) fails before its deadline") }
        case .superseded:
            let others = issued.values.filter { $0.app == deployment.app && $0.deployment > id }
            let waits = open.values.contains { $0.app == deployment.app && $0.revision > id }
            if others.isEmpty, !waits { return ("superseded-by-newer", "\(id) by none") }
        case .waiting, .running: return ("deployments-end-once", "\(id) ends \(status.rawValue)")
        }
        return nil
    }

    private mutating func becomeBase(_ deployment: Open) {
        let scope = deployment.request.scope
        let places = scope == .global ? Array((targets[deployment.app] ?? [:]).keys) : [scope]
        for place in places { bases[deployment.app, default: [:]][place] = deployment.build }
    }
}
