import API
import Domain
import Engine
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import Wire

/// `?at=` on the routes that show what there is.
struct PastTests {
    /// A fleet with two builds, a deployment that ended and one that goes on, and a job of each kind.
    private func fill(_ fixture: Fixture) async throws {
        try await fixture.joinWorker()
        try await fixture.submit(.fleet(.regionJoin(.us, endpoint: "http://127.0.0.1:2")), actor: .region(.us))
        var settings = Settings()
        settings.convergedShare = 5000
        try await fixture.submit(.changeSettings(settings))
        let first = try await fixture.build()
        try await fixture.submit(
            .packStored(first, .first, region: .us, manifest: .example), actor: .region(.us))
        try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: first, reason: "go"))))
        let revision = Revision(epoch: .first, number: 1)
        for region in [RegionName.eu, .us] {
            let level = RegionLevel(app: .web, revision: revision, selected: 4, healthy: 3, failed: 1, silent: 0)
            try await fixture.submit(.fleet(.regionReport(region, [level])), actor: .region(region))
        }
        try await fixture.submit(.targets(.settle(revision)))
        let second = try await fixture.build()
        try await fixture.submit(.fleet(.regionSuspend(.us, reason: "away")))
        let labels = PeerSelector(labels: ["ring": "1", "site": "a"])
        try await fixture.submit(
            .targets(.deploy(DeployRequest(app: .web, build: second, selector: labels, reason: "on"))))
        try await fixture.submit(.queue(.enqueue(.example(isForced: true))))
        try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
        try await fixture.submit(.queue(.enqueue(.example(.api))))
        try await fixture.submit(.fleet(.workerDrain(.one, isDraining: true)))
        let store = StoreLevel(usedBytes: 0, freeBytes: 0, sizeBytes: 5000)
        try await fixture.submit(.fleet(.regionStore(.eu, store)), actor: .region(.eu))
        try await fixture.submit(.retention(.settleClaims))
        try await fixture.submit(.retention(.pin(first, reason: "wanted")))
    }

    private static let routes = ["jobs", "builds", "targets", "deployments", "regions", "workers", "status"]

    /// As of each sequence, what was answered when the log ended there; but for `changed`, which grows for open
    /// deployments with everything that happens, and `kept`, which is by the hour.
    @Test func whatWasAnsweredThenIsAnsweredOfThen() async throws {
        try await Fixture.run { fixture, client async throws in
            var answered: [(LogSequence, String, NSDictionary)] = []
            func remember() async throws {
                for route in Self.routes {
                    let answer = try await client.get("/v1/\(route)")
                    answered.append((fixture.engine.head.sequence, route, try document(answer)))
                }
            }
            try await fixture.joinWorker()
            try await remember()
            try await fill(fixture)
            try await remember()
            try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: nil, reason: "back"))))
            try await fixture.submit(.queue(.cancel(JobID(rawValue: 4), reason: "no")))
            try await remember()
            try await fixture.submit(.fleet(.regionRemove(.us, reason: "gone")))
            try await remember()
            for (sequence, route, then) in answered {
                let answer = try await client.get("/v1/\(route)?at=\(sequence)")
                #expect(answer.status == 200, "\(route) at \(sequence): \(answer.text)")
                #expect(answer.headers[sequenceHeader] == sequence.description)
                #expect(try document(answer) == then, "\(route) at \(sequence)")
            }
            // The check can fail: the present is another one.
            let now = try document(try await client.get("/v1/status"))
            #expect(answered.filter { $0.1 == "status" && $0.2 == now }.count == 1)
        }
    }

    /// Without what differs on purpose: see above.
    private func document(_ answer: Answer) throws -> NSDictionary {
        func plain(_ value: Any) -> Any {
            switch value {
            case let object as [String: Any]:
                let same = object.filter { $0.key != "changed" && $0.key != "kept" }
                return same.mapValues(plain)
            case let list as [Any]: return list.map(plain)
            default: return value
            }
        }
        return try #require(plain(try JSONSerialization.jsonObject(with: answer.body)) as? NSDictionary)
    }

    @Test func beforeTheFirstEventThereIsNothing() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let status = try await client.get("/v1/status?at=0").json(StatusBody.self)
            #expect(status.jobs == StatusBody.Jobs(queued: 0, running: 0, succeeded: 0, failed: 0))
            #expect(status.regions.isEmpty && status.workers.isEmpty && status.targets.isEmpty)
            #expect(status.sequence == .zero && status.chain == .zero)
            #expect(try await client.get("/v1/jobs?at=0").json(JobList.self).jobs.isEmpty)
        }
    }

    /// Events of one command share a batch: between them there is no hash of the chain.
    @Test func withinABatchThereIsNoChain() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let rows = try await client.post(
                "/v1/query", QueryBody(sql: "SELECT min(sequence) FROM events WHERE sequence <> command")
            ).json(QueryAnswer.self)
            guard case .integer(let second)? = rows.rows.first?.first else { throw FixtureFailure() }
            #expect(try await client.get("/v1/status?at=\(second - 1)").json(StatusBody.self).chain == nil)
        }
    }

    @Test func pagesOfThePast() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let head = fixture.engine.head.sequence
            let first = try await client.get("/v1/builds?at=\(head)&limit=1").json(BuildList.self)
            #expect(first.builds.map(\.id.rawValue) == [2])
            let next = try #require(first.next)
            let second = try await client.get("/v1/builds?at=\(head)&limit=1&before=\(next)").json(BuildList.self)
            #expect(second.builds.map(\.id.rawValue) == [1])
            #expect(second.next == nil)
            #expect(try await client.get("/v1/builds?at=\(head)&app=api").json(BuildList.self).builds.isEmpty)
            let open = try await client.get("/v1/deployments?at=\(head)&open=true").json(DeploymentList.self)
            #expect(open.deployments.map(\.id.number) == [2])
        }
    }

    @Test func timesAreResolved() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let sql = "SELECT time, max(sequence) FROM events GROUP BY time ORDER BY time LIMIT 1"
            let rows = try await client.post("/v1/query", QueryBody(sql: sql)).json(QueryAnswer.self).rows
            guard case .text(let time)? = rows.first?.first, case .integer(let sequence)? = rows.first?.last else {
                throw FixtureFailure()
            }
            for route in Self.routes {
                let answer = try await client.get("/v1/\(route)?at=\(time)")
                #expect(answer.headers[sequenceHeader] == "\(sequence)", "\(route): \(answer.text)")
            }
        }
    }

    @Test(arguments: routes) func otherMomentsAreRefused(_ route: String) async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let after = fixture.engine.head.sequence.rawValue + 1
            for moment in ["\(after)", "2000-01-01T00:00:00Z", "2199-01-01T00:00:00Z"] {
                let answer = try await client.get("/v1/\(route)?at=\(moment)")
                #expect(answer.status == 422 && answer.code == "invalid", "\(moment): \(answer.text)")
            }
            for moment in ["yesterday", "-1", "1.5", "2026-13-01T00:00:00Z"] {
                let answer = try await client.get("/v1/\(route)?at=\(moment)")
                #expect(answer.status == 400 && answer.code == "bad-query", "\(moment): \(answer.text)")
                #expect(answer.text.contains("RFC 3339"))
            }
        }
    }

    /// A region is asked for what it was at a sequence of this log, whatever named the moment.
    @Test func peersOfThePastAreTheirRegions() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let answer = try await client.get("/v1/regions/eu/peers?at=3")
            #expect(answer.text == #"{"peers":[],"sequence":3}"# && answer.headers[sequenceHeader] == "3")
            #expect(try await client.get("/v1/regions/eu/peers?at=99999").code == "invalid")
            #expect(try await client.get("/v1/regions/eu/peers?at=2000-01-01T00:00:00Z").code == "invalid")
            #expect(try await client.get("/v1/regions/eu/peers?at=-1").code == "bad-query")
        }
    }

    /// A peer's story is its region's to tell.
    @Test func aPeersEventsAreItsRegions() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fill(fixture)
            let answer = try await client.get("/v1/regions/eu/peers/p1/events")
            #expect(try answer.json(PeerEventsAnswer.self).events == ["p1"])
            #expect(answer.headers[sequenceHeader] == fixture.engine.head.sequence.description)
            #expect(try await client.get("/v1/regions/us/peers/p1/events").code == "unreachable")
            #expect(try await client.get("/v1/regions/nowhere/peers/p1/events").code == "unknown-region")
            #expect(try await client.get("/v1/regions/eu/peers/P!/events").code == "bad-path")
        }
    }
}
