import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Metrics
import Ports
import Serving
import Wire

extension GlobalAPI {
    func addStatusRoutes(to router: Router<ServingContext>) {
        router.get("/v1/status", use: status)
        router.post("/v1/query", use: query)
        router.get("/healthz", use: health)
        router.get("/readyz", use: ready)
        router.get("/metrics", use: metrics)
    }

    /// One page of everything a person wants to know first.
    @Sendable private func status(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["at"])
        if let past = try await past(query) {
            let position = try await log.position(at: past.sequence)
            let status = try await past.status(
                log: engine.store.identity, position: position, version: settings.version)
            return try .json(status, at: status.sequence)
        }
        try await waitForViews()
        let counts = try await ViewReading(views: world.views).counts()
        let version = settings.version
        var status = try await look { state, position in
            let jobs = StatusBody.Jobs(
                queued: state.queue.jobs.count - state.queue.running.count, running: state.queue.running.count,
                succeeded: counts[.succeeded] ?? 0, failed: counts[.failed] ?? 0)
            var status = StatusBody(
                position: position, version: version, jobs: jobs, builds: state.queue.builds.count,
                regions: Self.regions(state), workers: Self.workers(state),
                targets: Self.targets(state, position.sequence),
                deployments: Self.openDeployments(state, position.sequence))
            if let region = state.retention.claimsStoppedBy, let problem = state.claimsProblem {
                status.claimsStopped = ClaimsStoppedBody(region: region, detail: problem.message)
            }
            return status
        }
        status.backup = world.backup()
        return try .json(status, at: status.sequence)
    }

    /// Newest first.
    private static func openDeployments(_ state: GlobalState, _ sequence: LogSequence) -> [DeploymentBody] {
        state.targets.open.values.sorted { $0.id > $1.id }.map { deployment in
            let request = deployment.request
            var body = DeploymentBody(
                id: deployment.id, app: request.app, scope: request.scope, build: deployment.build.build,
                status: deployment.status, actor: deployment.actor.description, reason: request.reason,
                startedAt: WireTime(deployment.startedAt), deadline: WireTime(deployment.deadline), changed: sequence,
                sequence: sequence)
            body.regions = progress(request.app, request.scope, wanted: deployment.revision, state)
            return body
        }
    }

    /// The process answers.
    @Sendable private func health(_ request: Request, _ context: ServingContext) async throws -> Response {
        let head = engine.head.sequence
        return try .json(HealthBody(status: "ok", sequence: head), at: head)
    }

    /// The process may be sent work.
    @Sendable private func ready(_ request: Request, _ context: ServingContext) async throws -> Response {
        if let failure = engine.notReady { throw Problem(.notReady, failure.message) }
        if let missing = await world.readiness.notReady { throw Problem(.notReady, missing) }
        let head = engine.head.sequence
        return try .json(HealthBody(status: "ok", sequence: head), at: head)
    }

    @Sendable private func metrics(_ request: Request, _ context: ServingContext) async throws -> Response {
        let head = engine.head
        let gauges = try await look { state, _ in Self.gauges(state) }
        for (label, value) in gauges + [("drover_log_sequence", Double(head.sequence.rawValue))] {
            Gauge(label: label, dimensions: [], factory: world.metrics).record(value)
        }
        return .bytes(
            Array(world.metrics.text.utf8), type: "text/plain; version=0.0.4; charset=utf-8", at: head.sequence)
    }

    private static func gauges(_ state: GlobalState) -> [(String, Double)] {
        let counts: [(String, Int)] = [
            ("drover_jobs_queued", state.queue.jobs.count - state.queue.running.count),
            ("drover_jobs_running", state.queue.running.count),
            ("drover_builds", state.queue.builds.count),
            ("drover_deployments_open", state.targets.open.count),
            ("drover_regions_live", state.fleet.liveRegions.count),
            ("drover_workers", state.fleet.workers.count),
            ("drover_claims_stopped", state.retention.claimsStoppedBy == nil ? 0 : 1),
            ("drover_impossible_events", Int(clamping: state.impossible)),
        ]
        return counts.map { ($0.0, Double($0.1)) }
    }
}
