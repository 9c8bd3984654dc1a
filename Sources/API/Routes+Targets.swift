import Domain
import Foundation
import HTTPTypes
import Hummingbird
import Serving
import Wire

extension GlobalAPI {
    func addTargetRoutes(to router: Router<ServingContext>) {
        router.get("/v1/targets", use: listTargets)
        router.get("/v1/targets/{app}", use: showTarget)
        router.post("/v1/deployments", use: deploy)
        router.get("/v1/deployments", use: listDeployments)
        router.get("/v1/deployments/{id}", use: showDeployment)
    }

    @Sendable private func listTargets(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["at"])
        if let past = try await past(query) { return try .json(try await past.targets(), at: past.sequence) }
        let list = try await look { state, position in
            TargetList(targets: Self.targets(state, position.sequence), sequence: position.sequence)
        }
        return try .json(list, at: list.sequence)
    }

    /// By app, then scope.
    static func targets(_ state: GlobalState, _ sequence: LogSequence) -> [TargetBody] {
        state.targets.apps.sorted { $0.key < $1.key }.flatMap { _, scopes in
            scopes.sorted { $0.key.description < $1.key.description }
                .map { body($0.value.target, state, sequence) }
        }
    }

    private static func body(_ target: Target, _ state: GlobalState, _ sequence: LogSequence) -> TargetBody {
        TargetBody(
            target, regions: progress(target.app, target.scope, wanted: target.revision, state), sequence: sequence)
    }

    /// What every region of a scope says of an app, by name; removed ones are left out.
    static func progress(
        _ app: AppName, _ scope: TargetScope, wanted: Revision, _ state: GlobalState
    ) -> [RegionProgress] {
        state.fleet.regions.filter { scope.includes($0.key) && $0.value.status != .removed }
            .sorted { $0.key < $1.key }
            .map { name, record in
                RegionProgress(
                    region: name, status: record.status, level: record.levels[app], wanted: wanted,
                    convergedShare: state.log.settings.convergedShare)
            }
    }

    /// With `after_revision` and `wait`, blocks until the target is greater than that.
    @Sendable private func showTarget(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["scope", "after_revision", "wait"])
        let app = try context.name("app", as: AppName.self)
        let scope = try query.value("scope", "global or region/NAME", TargetScope.init(_:)) ?? .global
        let after = try query.value("after_revision", "a revision, EPOCH.NUMBER", Revision.init(_:))
        let now: @Sendable () async throws -> TargetBody? = {
            try await look { state, position in
                state.targets.target(app, scope).map { Self.body($0, state, position.sequence) }
            }
        }
        let newer = try await waitFor(milliseconds: try query.waitMilliseconds(settings.serving)) { () -> TargetBody? in
            guard let target = try await now() else { return nil }
            return after.map { target.revision > $0 } ?? true ? target : nil
        }
        let known: TargetBody? = if let newer { newer } else { try await now() }
        guard let target = known else {
            throw Problem(.notFound, "\(app) has no target in \(scope): `drover deploy` makes one")
        }
        return try .json(target, at: target.sequence)
    }

    @Sendable private func deploy(_ request: Request, _ context: ServingContext) async throws -> Response {
        let body = try await request.strictBody(DeployBody.self, settings.serving)
        let wanted = try body.request(expected: request.expectedRevision())
        let accepted = try await submit(
            .targets(.deploy(wanted)), actor: request.actor(), key: request.idempotencyKey())
        guard case .targets(.deployment(let id, let status, let skipped)) = accepted.answer else {
            throw unexpected(accepted.answer)
        }
        return try .json(
            DeployAnswer(deployment: id, status: status, skipped: skipped, sequence: accepted.sequence),
            status: .created, at: accepted.sequence)
    }

    @Sendable private func listDeployments(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["app", "open", "limit", "at"])
        let (app, isOpen) = (try query.app(), try query.flag("open"))
        let limit = try query.limit(settings.serving)
        let reading = ViewReading(views: world.views, sequence: try await pastSequence(query))
        let list = try await reading.deployments(app: app, isOpen: isOpen, limit: limit)
        return try .json(list, at: list.sequence)
    }

    /// With `after` and `wait`, blocks until the deployment or a region's numbers change, or it has ended.
    @Sendable private func showDeployment(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["after", "wait"])
        guard let id = context.parameters.get("id").flatMap({ Revision($0) }) else {
            throw Problem(.badPath, "id must be a deployment's id, EPOCH.NUMBER")
        }
        let after = try query.number("after").map(LogSequence.init(rawValue:))
        let wait = try query.waitMilliseconds(settings.serving)
        let glance = try await look { state, _ in DeploymentGlance(id, state) }
        var deployment = try await readDeployment(id)
        if let after, deployment.changed <= after, deployment.status.isOpen {
            _ = try await waitFor(milliseconds: wait) {
                try await look { state, _ in DeploymentGlance(id, state) == glance ? nil : true }
            }
            deployment = try await readDeployment(id)
        }
        return try .json(deployment, at: deployment.sequence)
    }

    private func readDeployment(_ id: Revision) async throws -> DeploymentBody {
        try await waitForViews()
        guard var deployment = try await ViewReading(views: world.views).deployment(id) else {
            throw Problem(
                Refusal(.unknownDeployment, "there is no deployment \(id): `drover status` lists the open ones"))
        }
        if deployment.status.isOpen {
            let (app, scope) = (deployment.app, deployment.scope)
            deployment.regions = try await look { state, _ in
                Self.progress(app, scope, wanted: state.targets.open[id]?.revision ?? id, state)
            }
        }
        return deployment
    }
}

/// What of an open deployment a follower waits for.
private struct DeploymentGlance: Equatable, Sendable {
    var deployment: Deployment?
    var levels: [RegionName: RegionLevel]

    init(_ id: Revision, _ state: GlobalState) {
        deployment = state.targets.open[id]
        let app = deployment?.request.app
        levels = app.map { app in state.fleet.regions.compactMapValues { $0.levels[app] } } ?? [:]
    }
}
