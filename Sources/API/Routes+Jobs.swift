import Domain
import Foundation
import HTTPTypes
import Hummingbird
import Serving
import Wire

extension GlobalAPI {
    func addJobRoutes(to router: Router<ServingContext>) {
        router.post("/v1/jobs", use: enqueue)
        router.get("/v1/jobs", use: listJobs)
        router.get("/v1/jobs/{id}", use: showJob)
        router.post("/v1/jobs/{id}/cancel", use: cancelJob)
        router.get("/v1/jobs/{id}/output", use: showOutput)
    }

    @Sendable private func enqueue(_ request: Request, _ context: ServingContext) async throws -> Response {
        let body = try await request.strictBody(EnqueueBody.self, settings.serving)
        let accepted = try await submit(
            .queue(.enqueue(body.request)), actor: request.actor(), key: request.idempotencyKey())
        guard case .queue(.enqueued(let job, let isReused)) = accepted.answer else {
            throw unexpected(accepted.answer)
        }
        return try .json(
            EnqueueAnswer(job: job, reused: isReused, sequence: accepted.sequence), status: isReused ? .ok : .created,
            at: accepted.sequence)
    }

    @Sendable private func listJobs(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["app", "status", "limit", "before", "at"])
        let words = "one of \(JobStatus.allCases.map(\.rawValue).joined(separator: ", "))"
        let filter = JobFilter(
            app: try query.app(), status: try query.value("status", words) { JobStatus(rawValue: $0) },
            before: try query.number("before").map(JobID.init(rawValue:)), limit: try query.limit(settings.serving))
        let sequence = try await pastSequence(query)
        let list = try await ViewReading(views: world.views, sequence: sequence).jobs(filter)
        return try .json(list, at: list.sequence)
    }

    /// With `after` and `wait`, blocks until the job changes after that sequence, or has ended.
    @Sendable private func showJob(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["after", "wait"])
        let id = try context.id("id", as: JobID.self)
        let after = try query.number("after").map(LogSequence.init(rawValue:))
        let wait = try query.waitMilliseconds(settings.serving)
        let glance = try await look { state, _ in JobGlance(id, state) }
        var job = try await readJob(id)
        if let after, job.changed <= after, !job.status.hasEnded {
            _ = try await waitFor(milliseconds: wait) {
                try await look { state, _ in JobGlance(id, state) == glance ? nil : true }
            }
            job = try await readJob(id)
        }
        return try .json(job, at: job.sequence)
    }

    func readJob(_ id: JobID) async throws -> JobBody {
        try await waitForViews()
        guard let job = try await ViewReading(views: world.views).job(id) else {
            throw Problem(Refusal(.unknownJob, "there is no job \(id): `drover jobs` lists them"))
        }
        return job
    }

    @Sendable private func cancelJob(_ request: Request, _ context: ServingContext) async throws -> Response {
        let id = try context.id("id", as: JobID.self)
        let body = try await request.strictBody(ReasonBody.self, settings.serving)
        return try await done(
            .queue(.cancel(id, reason: body.reason)), actor: request.actor(), key: request.idempotencyKey())
    }

    /// One numbered object of an attempt's output; the latest attempt's where none is named.
    @Sendable private func showOutput(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["attempt", "object", "wait"])
        let id = try context.id("id", as: JobID.self)
        let object = try query.number("object") ?? 0
        let wanted = try query.number("attempt").map(AttemptNumber.init(rawValue:))
        let wait = try query.waitMilliseconds(settings.serving)
        let (place, sequence) = try await outputPlace(id, attempt: wanted, object: object)
        guard let bytes = try await world.output.output(place, waitMilliseconds: wait) else {
            throw Problem(.notFound, "output object \(object) of attempt \(place.attempt) is not there yet")
        }
        return .bytes(bytes, type: "application/octet-stream", at: sequence)
    }

    private func outputPlace(
        _ id: JobID, attempt: AttemptNumber?, object: UInt64
    ) async throws -> (OutputPlace, LogSequence) {
        let job = try await readJob(id)
        guard let number = attempt ?? job.attempt else {
            throw Problem(.notFound, "job \(id) has no output yet: no worker has claimed it")
        }
        var worker = number == job.attempt ? job.worker : nil
        if worker == nil { worker = try await ViewReading(views: world.views).worker(id, number) }
        guard let worker else { throw Problem(.notFound, "job \(id) has no attempt \(number)") }
        let home = try await look { state, _ in
            state.fleet.workers[worker].map { ($0.region, state.fleet.regions[$0.region]?.endpoint ?? "") }
        }
        guard let home else { throw Problem(.notFound, "worker \(worker) of attempt \(number) is not known any more") }
        let place = OutputPlace(job: id, attempt: number, object: object, region: home.0, endpoint: home.1)
        return (place, job.sequence)
    }
}

/// What of an open job a follower waits for: everything but its heartbeats' counters and times.
private struct JobGlance: Equatable, Sendable {
    var attempt: AttemptNumber?
    var stage: AttemptStage?
    var isCancelled: Bool
    var isOpen: Bool

    init(_ id: JobID, _ state: GlobalState) {
        let open = state.queue.jobs[id]
        (attempt, stage) = (open?.attempt?.number, open?.attempt?.stage)
        (isCancelled, isOpen) = (open?.cancel != nil, open != nil)
    }
}
