import Domain
import Foundation
import Hummingbird
import HummingbirdTesting
import Logging
import Ports
import Processes
import Synchronization
import Testing
import Wire

@testable import Agent

/// A region's side of the talk with one peer. What it does with the answers is the region's own tests' matter.
private final class TalkingRegion: Sendable {
    struct State {
        var isEnrolled = false
        var enrolments: [EnrolBody] = []
        var build: ProvedBuild?
        var reports: [PeerApp] = []
    }

    let state = Mutex(State())

    var lastHealth: PeerHealth? { state.withLock { $0.reports.last?.health } }

    /// Its disk is lost, and with it whom it knew and what they said.
    func forgets(thenAssigns build: ProvedBuild? = nil) {
        state.withLock { state in
            (state.isEnrolled, state.reports) = (false, [])
            if let build { state.build = build }
        }
    }

    func run(_ test: @escaping @Sendable (String) async throws -> Void) async throws {
        let router = Router()
        router.post("/v1/peers/:name/enrol") { request, _ in
            let body = try await request.body.collect(upTo: 1 << 16)
            let enrolment = try WireJSON.decodeStrictly(EnrolBody.self, from: Data(body.readableBytesView))
            self.state.withLock { state in
                state.enrolments.append(enrolment)
                state.isEnrolled = true
            }
            return try Self.json(DoneAnswer(sequence: .zero))
        }
        router.get("/v1/peers/:name/assignments") { request, _ in
            try await self.assignments(isNew: request.uri.queryParameters.get("after_revision") == "0.0")
        }
        router.post("/v1/peers/:name/report") { request, _ in
            let body = try await request.body.collect(upTo: 1 << 16)
            let reports = try WireJSON.decodeStrictly(PeerReportBody.self, from: Data(body.readableBytesView))
            let isKnown = self.state.withLock { state in
                if state.isEnrolled { state.reports += reports.apps.map(\.report) }
                return state.isEnrolled
            }
            return try isKnown ? Self.json(DoneAnswer(sequence: .zero)) : Self.unknown()
        }
        let app = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: quietLogger)
        try await app.test(.live) { client in
            let port = try #require(client.port)
            try await test("http://127.0.0.1:\(port)")
        }
    }

    private func assignments(isNew: Bool) async throws -> Response {
        if !isNew { try await Task.sleep(for: .milliseconds(100)) }
        let state = state.withLock { ($0.isEnrolled, $0.build) }
        guard state.0 else { return try Self.unknown() }
        let revision = Revision(epoch: Epoch(rawValue: 1), number: 1)
        return try Self.json(
            AssignmentsAnswer(
                assignments: [Assignment(app: web, revision: revision, build: state.1, expires: .distantFuture)],
                revision: revision, now: WireTime(Timestamp(milliseconds: 1_000)), sequence: .zero))
    }

    private static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try WireJSON.encode(value))))
    }

    private static func unknown() throws -> Response {
        try json(Problem(Refusal(.unknownPeer, "enrol first")), status: .notFound)
    }
}

/// The whole agent: it enrols, follows, runs, reports.
@Suite(.serialized) struct ServiceTests {
    private static let server = """
        echo "start $DROVER_BUILD" >> "$JOURNAL"
        exec sleep 600
        """

    private static func service(_ home: Home, _ region: String, ready: @escaping @Sendable () -> Void = {}) -> Task<
        Void, any Error
    > {
        let service = AgentService(
            configuration: AgentConfiguration(
                name: PeerName(unchecked: "p1"), control: region, directory: home.directory.root,
                labels: ["zone": "a"], advertiseHost: "peer.example", advertisePort: 77),
            clock: MachineClock(), logger: quietLogger, ready: ready)
        return Task { try await service.run() }
    }

    @Test func aRegionThatLostItsDiskLearnsWhatRuns() async throws {
        let (home, region, readies) = (try Home(), TalkingRegion(), RecordedReadies())
        let build = try home.keep(home.pack(1, Self.server))
        region.forgets(thenAssigns: build)
        try await region.run { endpoint in
            let agent = Self.service(home, endpoint) { readies.add() }
            await eventually("it is healthy") { region.lastHealth == .healthy }
            let leader = home.leader
            region.forgets()
            await eventually("it is told again") { region.lastHealth == .healthy }
            let enrolments = region.state.withLock { $0.enrolments }
            #expect(enrolments.count == 2)
            #expect(enrolments.allSatisfy { $0.endpoint == "http://peer.example:77" && $0.labels == ["zone": "a"] })
            #expect(home.leader == leader && home.journal == ["start 1"], "nothing was started again")
            #expect(readies.count == 1, "ready is told once")
            agent.cancel()
            try await agent.value
        }
    }

    /// Labels have changed: the same target means another build for this peer.
    @Test func anEqualRevisionWithAnotherBuildIsFollowed() async throws {
        let (home, region) = (try Home(), TalkingRegion())
        let (one, two) = (try home.keep(home.pack(1, Self.server)), try home.keep(home.pack(2, Self.server)))
        region.forgets(thenAssigns: one)
        try await region.run { endpoint in
            let agent = Self.service(home, endpoint)
            await eventually("the first is healthy") { region.lastHealth == .healthy }
            region.forgets(thenAssigns: two)
            await eventually("the other runs") {
                home.journal == ["start 1", "start 2"] && region.lastHealth == .healthy
            }
            #expect(region.state.withLock { $0.reports.last?.build } == two.build)
            agent.cancel()
            try await agent.value
        }
    }
}

private final class RecordedReadies: Sendable {
    private let number = Mutex(0)

    func add() { number.withLock { $0 += 1 } }
    var count: Int { number.withLock { $0 } }
}
