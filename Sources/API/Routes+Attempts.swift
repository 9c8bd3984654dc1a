import Domain
import Foundation
import HTTPTypes
import Hummingbird
import Serving
import Wire

/// The path of a call about one attempt.
private struct AttemptPath {
    var job: JobID
    var attempt: AttemptNumber

    init(_ context: ServingContext) throws(Problem) {
        job = try context.id("id")
        attempt = try context.id("n")
    }
}

extension GlobalAPI {
    func addAttemptRoutes(to router: Router<ServingContext>) {
        router.post("/v1/jobs/{id}/attempts/{n}/heartbeat", use: heartbeat)
        router.post("/v1/jobs/{id}/attempts/{n}/uploaded", use: uploaded)
        router.post("/v1/jobs/{id}/attempts/{n}/failed", use: failed)
        router.post("/v1/jobs/{id}/attempts/{n}/released", use: released)
    }

    /// The counter makes it idempotent; no key is remembered for it.
    @Sendable private func heartbeat(_ request: Request, _ context: ServingContext) async throws -> Response {
        let path = try AttemptPath(context)
        let body = try await request.strictBody(HeartbeatBody.self, settings.serving)
        let accepted = try await submit(
            .queue(.heartbeat(path.job, path.attempt, counter: body.counter, stage: body.stage)),
            actor: request.actor(), key: nil)
        guard case .queue(.heartbeat(let isCancelled)) = accepted.answer else { throw unexpected(accepted.answer) }
        return try .json(
            HeartbeatAnswer(cancelled: isCancelled, sequence: accepted.sequence), at: accepted.sequence)
    }

    /// Signs and stores the manifest first, so that an accepted report always names one that can be read.
    @Sendable private func uploaded(_ request: Request, _ context: ServingContext) async throws -> Response {
        let path = try AttemptPath(context)
        let body = try await request.strictBody(UploadedBody.self, maximum: settings.maximumUploadedBodyBytes)
        let (actor, key) = (try request.actor(), try request.idempotencyKey())
        let known = try await knownAttempt(path, region: body.region, of: actor)
        let digest: Digest
        if let known {
            digest = try await world.manifests.sign(
                UnsignedUpload(
                    manifest: body.manifest, job: path.job, attempt: path.attempt, app: known.app,
                    commit: known.commit, rawBytes: body.rawBytes, packedBytes: body.packedBytes))
        } else {
            // No longer current, and never again: the engine refuses whatever is reported, and records that it did.
            digest = .zero
        }
        let pack = UploadedPack(
            manifest: digest, region: body.region, rawBytes: body.rawBytes, packedBytes: body.packedBytes)
        let accepted = try await submit(
            .queue(.reportUploaded(path.job, path.attempt, pack)), actor: actor, key: known == nil ? nil : key)
        return try .json(UploadedAnswer(manifest: digest, sequence: accepted.sequence), at: accepted.sequence)
    }

    private func knownAttempt(
        _ path: AttemptPath, region: RegionName, of actor: EventActor
    ) async throws(Problem) -> KnownAttempt? {
        let (known, hasRegion) = try await look { state, _ in
            (state.knownAttempt(path.job, path.attempt, of: actor), state.fleet.regions[region] != nil)
        }
        guard hasRegion else {
            throw Problem(Refusal(.unknownRegion, "there is no region \(region): `drover regions` lists them"))
        }
        return known
    }

    @Sendable private func failed(_ request: Request, _ context: ServingContext) async throws -> Response {
        let path = try AttemptPath(context)
        let body = try await request.strictBody(FailedBody.self, settings.serving)
        return try await done(
            .queue(.reportFailed(path.job, path.attempt, body.reason, detail: body.detail)), actor: request.actor(),
            key: request.idempotencyKey())
    }

    @Sendable private func released(_ request: Request, _ context: ServingContext) async throws -> Response {
        let path = try AttemptPath(context)
        let body = try await request.strictBody(DetailBody.self, settings.serving)
        return try await done(
            .queue(.release(path.job, path.attempt, detail: body.detail)), actor: request.actor(),
            key: request.idempotencyKey())
    }
}
