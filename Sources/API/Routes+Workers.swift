import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Serving
import Wire

extension GlobalAPI {
    func addWorkerRoutes(to router: Router<ServingContext>) {
        router.get("/v1/workers", use: listWorkers)
        router.post("/v1/workers/{name}/join", use: joinWorker)
        router.post("/v1/workers/{name}/claim", use: claim)
        router.post("/v1/workers/{name}/drain") { try await setDraining($0, $1, true) }
        router.post("/v1/workers/{name}/resume") { try await setDraining($0, $1, false) }
    }

    @Sendable private func listWorkers(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["at"])
        if let past = try await past(query) { return try .json(try await past.workers(), at: past.sequence) }
        let list = try await look { state, position in
            WorkerList(workers: Self.workers(state), sequence: position.sequence)
        }
        return try .json(list, at: list.sequence)
    }

    /// By name; a job that has ended is not named.
    static func workers(_ state: GlobalState) -> [WorkerBody] {
        state.fleet.workers.sorted { $0.key < $1.key }.map { name, record in
            let job = record.job.flatMap { state.queue.jobs[$0]?.attempt?.worker == name ? $0 : nil }
            return WorkerBody(name: name, record, job: job)
        }
    }

    @Sendable private func joinWorker(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: WorkerName.self)
        let body = try await request.strictBody(WorkerJoinBody.self, settings.serving)
        return try await done(
            .fleet(.workerJoin(name, body.region)), actor: .worker(name), key: request.idempotencyKey())
    }

    @Sendable private func setDraining(
        _ request: Request, _ context: ServingContext, _ isDraining: Bool
    ) async throws -> Response {
        let name = try context.name("name", as: WorkerName.self)
        _ = try await request.strictBody(EmptyBody.self, settings.serving)
        return try await done(
            .fleet(.workerDrain(name, isDraining: isDraining)), actor: request.actor(), key: request.idempotencyKey())
    }

    /// The next job for a worker, or 204 when none came within the wait. While it waits, a caller that goes claims
    /// nothing; one that goes at the very moment of its claim asks again under the same key, or its lease ends.
    @Sendable private func claim(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: WorkerName.self)
        let key = try request.idempotencyKey()
        let wait = try claimWait(try await request.strictBody(ClaimBody.self, settings.serving))
        var claimed = try await submitClaim(name, key: key)
        if claimed == nil, wait == 0 { claimed = try await claimOnce(name, key: key) }
        if claimed == nil, wait > 0 {
            claimed = try await context.whileCallerStays {
                try await waitFor(milliseconds: wait) { try await claimOnce(name, key: key) }
            }
        }
        guard let claimed else { return .nothing(at: engine.head.sequence) }
        return try .json(claimed, at: claimed.sequence)
    }

    private func claimWait(_ body: ClaimBody) throws(Problem) -> Int64 {
        guard let text = body.wait else { return 0 }
        guard let wait = WireDuration(text) else {
            throw Problem(.invalid, "wait must be a duration such as 500ms, 10s or 3m")
        }
        return min(wait.milliseconds, settings.serving.maximumWaitSeconds * 1000)
    }

    /// Claims if there is something to claim; nil when there is not. A worker that waits already is not told again.
    private func claimOnce(_ name: WorkerName, key: String?) async throws -> ClaimAnswer? {
        let step = try await claimStep(name, key: key)
        guard case .submit(let key) = step else { return nil }
        return try await submitClaim(name, key: key)
    }

    /// Nil when there is nothing to claim, or when that was the answer to this key before.
    private func submitClaim(_ name: WorkerName, key: String?) async throws -> ClaimAnswer? {
        let (accepted, place) = try await submit(.queue(.claim(name)), actor: .worker(name), key: key) {
            $0.claimPlace(name)
        }
        switch accepted.answer {
        case .queue(.nothingToClaim): return nil
        case .queue(.claimed(let job, let attempt, let request, let leaseSeconds, let heartbeatSeconds)):
            return ClaimAnswer(
                job: job, attempt: attempt, request: request, leaseSeconds: leaseSeconds,
                heartbeatSeconds: heartbeatSeconds, jobTimeoutSeconds: place.timeoutSeconds,
                regionEndpoint: place.endpoint,
                sequence: accepted.sequence)
        case .queue, .targets, .done: throw unexpected(accepted.answer)
        }
    }

    private func claimStep(_ name: WorkerName, key: String?) async throws(Problem) -> ClaimStep {
        do throws(EngineFailure) {
            return try await engine.readNow { state, _, now in state.claimStep(name, key: key, now: now) }
        } catch {
            throw problem(error)
        }
    }
}
