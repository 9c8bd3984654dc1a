import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Ports
import Serving
import Wire

extension GlobalAPI {
    func addBuildRoutes(to router: Router<ServingContext>) {
        router.get("/v1/builds", use: listBuilds)
        router.get("/v1/builds/{id}", use: showBuild)
        router.post("/v1/builds/{id}/pin") { request, context in
            try await changePin(request, context) { .pin($0, reason: $1) }
        }
        router.post("/v1/builds/{id}/unpin") { request, context in
            try await changePin(request, context) { .unpin($0, reason: $1) }
        }
        router.get("/v1/manifests/{digest}", use: showManifest)
        router.get("/v1/keys", use: showKeys)
    }

    /// Newest first. Ids are dense, so a page walks down from `before` instead of sorting everything.
    @Sendable private func listBuilds(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["app", "limit", "before", "at"])
        let (app, limit) = (try query.app(), try query.limit(settings.serving))
        let before = try query.number("before")
        if let past = try await past(query) {
            let list = try await past.builds(app: app, before: before, limit: limit)
            return try .json(list, at: list.sequence)
        }
        let most = settings.maximumScannedBuilds
        let list = try await lookNow { state, position, now in
            var list = BuildList(builds: [], next: nil, sequence: position.sequence)
            let end = min(before ?? .max, state.queue.enqueued.rawValue &+ 1)
            var id = end
            while id > 1, list.builds.count < limit, end - id < most {
                id -= 1
                let key = BuildID(rawValue: id)
                guard let build = state.queue.builds[key], app == nil || build.app == app else { continue }
                list.builds.append(BuildBody(key, build, in: state, sequence: position.sequence, now: now))
            }
            if id > 1 { list.next = BuildID(rawValue: id) }
            return list
        }
        return try .json(list, at: list.sequence)
    }

    @Sendable private func showBuild(_ request: Request, _ context: ServingContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        let id = try context.id("id", as: BuildID.self)
        let build = try await lookNow { state, position, now in
            state.queue.builds[id].map { BuildBody(id, $0, in: state, sequence: position.sequence, now: now) }
        }
        guard let build else {
            throw Problem(Refusal(.unknownBuild, "there is no build \(id): `drover builds` lists them"))
        }
        return try .json(build, at: build.sequence)
    }

    @Sendable private func changePin(
        _ request: Request, _ context: ServingContext, _ command: (BuildID, String) -> RetentionCommand
    ) async throws -> Response {
        let id = try context.id("id", as: BuildID.self)
        let body = try await request.strictBody(ReasonBody.self, settings.serving)
        return try await done(
            .retention(command(id, body.reason)), actor: request.actor(), key: request.idempotencyKey())
    }

    /// A signed manifest's bytes; their SHA-256 is the name they are asked by.
    @Sendable private func showManifest(_ request: Request, _ context: ServingContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        guard let digest = context.parameters.get("digest").flatMap({ Digest(hex: $0) }) else {
            throw Problem(.badPath, "digest must be 64 of 0-9 a-f")
        }
        let head = engine.head.sequence
        do throws(BlobFailure) {
            guard let found = try await world.blobs.information(.content(digest)) else {
                throw BlobFailure(.notFound, "there is no manifest \(digest)")
            }
            guard found.bytes <= UInt64(settings.maximumManifestBytes) else {
                throw BlobFailure(.tooLarge, "blob \(digest) is no manifest")
            }
            let bytes = try await world.blobs.read(.content(digest), offset: 0, count: Int(found.bytes))
            return .bytes(bytes, type: "application/octet-stream", at: head)
        } catch {
            switch error.code {
            case .notFound, .tooLarge, .badKey: throw Problem(.notFound, "there is no manifest \(digest)")
            case .exists, .mismatch, .full, .io: throw Problem(.internalFailure, error.message)
            }
        }
    }

    @Sendable private func showKeys(_ request: Request, _ context: ServingContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        return try .json(KeysBody(releaseKey: world.manifests.publicKey), at: engine.head.sequence)
    }
}
