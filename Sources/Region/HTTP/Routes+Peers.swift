import Domain
import Engine
import Foundation
import Hummingbird
import Projectors
import ServiceLifecycle
import Serving
import Swarm
import Transfer
import Wire

/// What peers ask and say.
extension RegionAPI {
    func addPeerRoutes(to router: Router<ServingContext>) {
        router.get("/v1/peers", use: peers)
        router.get("/v1/peers/:name/events", use: events)
        router.post("/v1/peers/:name/enrol", use: enrol)
        router.get("/v1/peers/:name/assignments", use: assignments)
        router.post("/v1/peers/:name/report", use: report)
        router.post("/v1/swarms/:app/:build/announce", use: announce)
    }

    @Sendable private func peers(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["at"])
        let words = "a sequence of the global log, or an RFC 3339 time in UTC such as 2026-01-31T12:00:00Z"
        let list: PeerList
        if let moment = try query.value("at", words, LogMoment.init(_:)) {
            let now = try await look { _, _, now in now }
            let past = try await RegionPast(store: engine.store).state(at: moment, now: now)
            list = Self.peers(past.state, of: name, at: past.sequence)
        } else {
            let region = name
            list = try await look { state, position, _ in Self.peers(state, of: region, at: position.sequence) }
        }
        return try .json(list, at: list.sequence)
    }

    private static func peers(_ state: RegionState, of region: RegionName, at sequence: LogSequence) -> PeerList {
        let peers = state.peers.sorted { $0.key < $1.key }.map { PeerBody(name: $0.key, region: region, $0.value) }
        return PeerList(peers: peers, sequence: sequence)
    }

    @Sendable private func events(_ request: Request, _ context: ServingContext) async throws -> Response {
        let peer = try context.name("name", as: PeerName.self)
        guard let answer = try await PeerHistory(store: engine.store).events(of: peer) else {
            throw Problem(Refusal(.unknownPeer, "region \(name) has no peer \(peer): `drover peers` lists them"))
        }
        return try .json(answer, at: answer.sequence)
    }

    @Sendable private func enrol(_ request: Request, _ context: ServingContext) async throws -> Response {
        let peer = try context.name("name", as: PeerName.self)
        let body = try await request.strictBody(EnrolBody.self, settings)
        presence.note(peer)
        let sequence = try await submit(
            .enrol(peer, labels: body.labels, endpoint: body.endpoint), actor: .peer(peer))
        return try .json(DoneAnswer(sequence: sequence), at: sequence)
    }

    /// A poll is no event, but the peer was heard: one that was silent has returned.
    private func heard(_ peer: PeerName) async throws(Problem) {
        presence.note(peer)
        let isSilent = try await look { state, _, _ in state.peers[peer].map(\.isSilent) }
        switch isSilent {
        case nil: throw Problem(Refusal(.unknownPeer, "peer \(peer) is not enrolled in \(name): enrol first"))
        case true?: try await submit(.peerReturn(peer), actor: .peer(peer))
        case false?: break
        }
    }

    @Sendable private func assignments(_ request: Request, _ context: ServingContext) async throws -> Response {
        let peer = try context.name("name", as: PeerName.self)
        let query = try QueryParameters(request, allowed: ["after_revision", "wait"])
        let after = try query.value("after_revision", "a revision such as 1.7", { Revision($0) })
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(try query.waitMilliseconds(settings)))
        while true {
            try await heard(peer)
            let answer = try await look { state, position, now in
                Self.assignments(of: peer, state, at: position, now: now)
            }
            let left = ContinuousClock.now.duration(to: deadline)
            if after == nil || answer.revision > after ?? .zero || left <= .zero || Task.isShuttingDownGracefully {
                return try .json(answer, at: answer.sequence)
            }
            // Wakes often enough that a waiting peer is heard well within its silence.
            let pause = min(Int64(left / .milliseconds(1)), Self.heardMilliseconds)
            await cancelWhenGracefulShutdown {
                _ = await engine.waitForChange(after: answer.sequence, timeoutMilliseconds: max(1, pause))
            }
        }
    }

    private static var heardMilliseconds: Int64 { 5000 }

    private static func assignments(
        of peer: PeerName, _ state: RegionState, at position: LogPosition, now: Timestamp
    ) -> AssignmentsAnswer {
        let assignments = state.assignments(of: peer)
        return AssignmentsAnswer(
            assignments: assignments, revision: assignments.map(\.revision).max() ?? .zero, now: WireTime(now),
            sequence: position.sequence)
    }

    @Sendable private func report(_ request: Request, _ context: ServingContext) async throws -> Response {
        let peer = try context.name("name", as: PeerName.self)
        let body = try await request.strictBody(PeerReportBody.self, settings)
        try await heard(peer)
        var sequence = engine.head.sequence
        for app in body.apps {
            sequence = try await submit(.peerReport(peer, app.app, app.report), actor: .peer(peer))
        }
        return try .json(DoneAnswer(sequence: sequence), at: sequence)
    }

    @Sendable private func announce(_ request: Request, _ context: ServingContext) async throws -> Response {
        let pack = PackName(app: try context.name("app"), build: try context.id("build"))
        let body = try await request.strictBody(AnnounceBody.self, settings)
        let labels = try await look { state, _, _ in state.peers[body.peer]?.labels }
        guard let labels else {
            throw Problem(Refusal(.unknownPeer, "peer \(body.peer) is not enrolled in \(name): enrol first"))
        }
        presence.note(body.peer)
        guard let answer = swarms.announced(pack, peer: body.peer, endpoint: body.endpoint, labels: labels) else {
            throw Problem(.busy, "too many packs are being fetched at once: try again shortly")
        }
        let head = engine.head.sequence
        return try .json(
            AnnounceAnswer(
                neighbours: answer.neighbours.map { AnnounceAnswer.Neighbour(name: $0.name, endpoint: $0.endpoint) },
                mirrorEndpoint: mirrorEndpoint(), mirrorRequests: answer.mirrorRequests,
                announceMilliseconds: answer.announceMilliseconds, sequence: head),
            at: head)
    }
}
