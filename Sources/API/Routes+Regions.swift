import Domain
import Foundation
import HTTPTypes
import Hummingbird
import Serving
import Wire

extension GlobalAPI {
    func addRegionRoutes(to router: Router<ServingContext>) {
        router.get("/v1/regions", use: listRegions)
        router.post("/v1/regions/{name}/join", use: joinRegion)
        router.post("/v1/regions/{name}/report", use: reportRegion)
        router.post("/v1/regions/{name}/suspend") { request, context in
            try await changeRegion(request, context) { .regionSuspend($0, reason: $1) }
        }
        router.post("/v1/regions/{name}/resume") { request, context in
            try await changeRegion(request, context) { .regionResume($0, reason: $1) }
        }
        router.post("/v1/regions/{name}/remove") { request, context in
            try await changeRegion(request, context) { .regionRemove($0, reason: $1) }
        }
        router.post("/v1/regions/{name}/packs/{build}/stored", use: packStored)
        router.post("/v1/regions/{name}/packs/{build}/lost", use: packLost)
        router.post("/v1/regions/{name}/packs/{build}/removed", use: packRemoved)
        router.post("/v1/regions/{name}/store", use: reportStore)
        router.get("/v1/regions/{name}/peers", use: listPeers)
        router.get("/v1/regions/{name}/peers/{peer}/events", use: listPeerEvents)
    }

    @Sendable private func listRegions(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["at"])
        if let past = try await past(query) { return try .json(try await past.regions(), at: past.sequence) }
        let list = try await look { state, position in
            RegionList(regions: Self.regions(state), sequence: position.sequence)
        }
        return try .json(list, at: list.sequence)
    }

    static func regions(_ state: GlobalState) -> [RegionBody] {
        state.fleet.regions.sorted { $0.key < $1.key }.map { RegionBody(name: $0.key, $0.value) }
    }

    @Sendable private func joinRegion(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let body = try await request.strictBody(RegionJoinBody.self, settings.serving)
        guard body.endpoint.hasPrefix("http://") || body.endpoint.hasPrefix("https://"),
            WireActor.isPrintable(body.endpoint, maximumBytes: FleetState.maximumEndpointBytes)
        else { throw Problem(.invalid, "endpoint must be a URL such as http://10.0.0.1:7071") }
        return try await done(
            .fleet(.regionJoin(name, endpoint: body.endpoint)), actor: .region(name), key: request.idempotencyKey())
    }

    @Sendable private func reportRegion(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let body = try await request.strictBody(RegionReportBody.self, settings.serving)
        world.heard(name)
        // Levels are their own repeats: no key is remembered for them.
        return try await done(.fleet(.regionReport(name, body.levels)), actor: .region(name), key: nil)
    }

    @Sendable private func changeRegion(
        _ request: Request, _ context: ServingContext, _ command: (RegionName, String) -> FleetCommand
    ) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let body = try await request.strictBody(ReasonBody.self, settings.serving)
        return try await done(
            .fleet(command(name, body.reason)), actor: request.actor(), key: request.idempotencyKey())
    }

    @Sendable private func packStored(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let build = try context.id("build", as: BuildID.self)
        let body = try await request.strictBody(PackStoredBody.self, settings.serving)
        return try await done(
            .packStored(build, body.attempt, region: name, manifest: body.manifest), actor: .region(name),
            key: request.idempotencyKey())
    }

    @Sendable private func packLost(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let build = try context.id("build", as: BuildID.self)
        let body = try await request.strictBody(DetailBody.self, settings.serving)
        return try await done(
            .packLost(build, region: name, detail: body.detail), actor: .region(name), key: request.idempotencyKey())
    }

    @Sendable private func packRemoved(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let build = try context.id("build", as: BuildID.self)
        _ = try await request.strictBody(EmptyBody.self, settings.serving)
        return try await done(
            .packRemoved(build, region: name), actor: .region(name), key: request.idempotencyKey())
    }

    @Sendable private func reportStore(_ request: Request, _ context: ServingContext) async throws -> Response {
        let name = try context.name("name", as: RegionName.self)
        let body = try await request.strictBody(RegionStoreBody.self, settings.serving)
        // A level is its own repeat: no key is remembered for it.
        return try await done(.fleet(.regionStore(name, body.store)), actor: .region(name), key: nil)
    }

    /// The region's own list: the global log holds no row a peer.
    @Sendable private func listPeers(_ request: Request, _ context: ServingContext) async throws -> Response {
        let past = try await pastSequence(try QueryParameters(request, allowed: ["at"]))
        let (name, endpoint, sequence) = try await askedRegion(context)
        let document = try await world.peers.peers(of: name, endpoint: endpoint, at: past)
        return .bytes(document, type: "application/json", at: past ?? sequence)
    }

    /// One peer's story, which is in its region's log.
    @Sendable private func listPeerEvents(_ request: Request, _ context: ServingContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        let peer = try context.name("peer", as: PeerName.self)
        let (name, endpoint, sequence) = try await askedRegion(context)
        let document = try await world.peers.events(of: peer, in: name, endpoint: endpoint)
        return .bytes(document, type: "application/json", at: sequence)
    }

    private func askedRegion(_ context: ServingContext) async throws -> (RegionName, String, LogSequence) {
        let name = try context.name("name", as: RegionName.self)
        let (endpoint, sequence) = try await look { state, position in
            (state.fleet.regions[name]?.endpoint, position.sequence)
        }
        guard let endpoint else {
            throw Problem(Refusal(.unknownRegion, "there is no region \(name): `drover regions` lists them"))
        }
        return (name, endpoint, sequence)
    }
}
