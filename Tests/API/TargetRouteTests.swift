import API
import Domain
import Engine
import EventLog
import Foundation
import HTTPTypes
import HummingbirdTesting
import Serving
import Synchronization
import Testing
import Views
import Wire

struct TargetRouteTests {
    @Test func deploysComparesAndRollsBack() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let (one, two) = (try await fixture.build(), try await fixture.build())
            #expect(try await client.get("/v1/targets/web").code == "not-found")
            let first = try await client.post(
                "/v1/deployments", DeployBody(DeployRequest(app: .web, build: one, reason: "first")),
                headers: ["If-Match": "\"0.0\"", "Drover-Actor": "person:ada"])
            #expect(first.status == 201)
            let revision = try first.json(DeployAnswer.self).deployment
            let target = try await client.get("/v1/targets/web").json(TargetBody.self)
            #expect(target.build == one)
            #expect(target.revision == revision)
            #expect(target.actor == "person:ada")
            let request = DeployBody(DeployRequest(app: .web, build: two, reason: "second"))
            let conflict = try await client.post("/v1/deployments", request, headers: ["If-Match": "\"1.99\""])
            #expect(conflict.status == 412)
            #expect(conflict.code == "revision-conflict")
            let second = try await client.post("/v1/deployments", request, headers: ["If-Match": "\"\(revision)\""])
            #expect(second.status == 201)
            let back = try await client.post("/v1/deployments", #"{"app":"web","rollback":true,"reason":"bad"}"#)
            #expect(back.status == 201)
            #expect(try await client.get("/v1/targets/web").json(TargetBody.self).build == one)
            let list = try await client.get("/v1/deployments?app=web").json(DeploymentList.self)
            #expect(list.deployments.map(\.status) == [.running, .superseded, .superseded])
            #expect(try await client.get("/v1/deployments?open=true").json(DeploymentList.self).deployments.count == 1)
            #expect(try await client.get("/v1/deployments?app=api").json(DeploymentList.self).deployments.isEmpty)
        }
    }

    @Test func refusalsHaveTheirCodes() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            func deploy(_ request: DeployRequest) async throws -> Answer {
                try await client.post("/v1/deployments", DeployBody(request))
            }
            let unknown = try await deploy(DeployRequest(app: .web, build: JobID(rawValue: 99), reason: ""))
            #expect(unknown.code == "unknown-build")
            #expect(unknown.status == 404)
            #expect(try await deploy(DeployRequest(app: .web, build: nil, reason: "")).code == "no-previous")
            let nowhere = DeployRequest(app: .web, build: build, scope: .region(.us), reason: "")
            #expect(try await deploy(nowhere).code == "unknown-region")
            let labels = PeerSelector(labels: ["Zone A": "x"])
            #expect(
                try await deploy(DeployRequest(app: .web, build: build, selector: labels, reason: "")).status == 422)
            try await fixture.submit(.fleet(.regionJoin(.us, endpoint: "http://127.0.0.1:2")))
            let missing = try await deploy(DeployRequest(app: .web, build: build, reason: ""))
            #expect(missing.code == "not-replicated")
            #expect(missing.status == 409)
            #expect(try missing.json(Problem.self).detail.contains("us"))
            var waiting = DeployRequest(app: .web, build: build, reason: "")
            waiting.whenReplicated = true
            #expect(try await deploy(waiting).json(DeployAnswer.self).status == .waiting)
        }
    }

    @Test func aTargetIsAwaited() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            async let awaited = client.get("/v1/targets/web?after_revision=0.0&wait=20s").json(TargetBody.self)
            try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: build, reason: ""))))
            let target = try await awaited
            #expect(target.build == build)
            let same = try await client.get("/v1/targets/web?after_revision=\(target.revision)&wait=20ms")
            #expect(try same.json(TargetBody.self).revision == target.revision)
            #expect(try await client.get("/v1/targets/web?scope=region/eu").code == "not-found")
        }
    }

    @Test func aDeploymentShowsItsRegionsUntilItEnds() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            let request = DeployBody(DeployRequest(app: .web, build: build, reason: "go"))
            let id = try await client.post("/v1/deployments", request).json(DeployAnswer.self).deployment
            let open = try await client.get("/v1/deployments/\(id)").json(DeploymentBody.self)
            #expect(open.status == .running)
            #expect(open.regions.map(\.converged) == [false])
            async let awaited = client.get("/v1/deployments/\(id)?after=\(open.changed)&wait=20s")
                .json(DeploymentBody.self)
            let level = RegionLevel(app: .web, revision: id, selected: 3, healthy: 3, failed: 0, silent: 0)
            let report = try await client.post("/v1/regions/eu/report", RegionReportBody(levels: [level]))
            #expect(report.status == 200)
            #expect(try await awaited.regions.map(\.healthy) == [3])
            try await fixture.submit(.targets(.settle(id)), actor: .projector("deployments"))
            let ended = try await client.get("/v1/deployments/\(id)").json(DeploymentBody.self)
            #expect(ended.status == .succeeded)
            #expect(ended.endedAt != nil)
            #expect(ended.regions.isEmpty)
            #expect(try await client.get("/v1/deployments/9.9").code == "unknown-deployment")
            let status = try await client.get("/v1/status").json(StatusBody.self)
            #expect(status.targets.first?.regions.first?.converged == true)
        }
    }
}

struct BuildRouteTests {
    @Test func listsInPagesByApp() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            for index in 0..<5 { try await fixture.build(index == 2 ? .api : .web) }
            let first = try await client.get("/v1/builds?limit=2").json(BuildList.self)
            #expect(first.builds.map(\.id.rawValue) == [5, 4])
            let next = try #require(first.next)
            let rest = try await client.get("/v1/builds?before=\(next)&app=web").json(BuildList.self)
            #expect(rest.builds.map(\.id.rawValue) == [2, 1])
            #expect(rest.next == nil)
            #expect(try await client.get("/v1/builds?app=api").json(BuildList.self).builds.map(\.name) == ["api/3"])
            #expect(try await client.get("/v1/builds/9").code == "unknown-build")
        }
    }

    @Test func givesTheReleaseKey() async throws {
        try await Fixture.run { _, client async throws in
            let keys = try await client.get("/v1/keys").json(KeysBody.self)
            #expect(keys.algorithm == "ed25519")
            #expect(keys.releaseKey == String(repeating: "07", count: 32))
            #expect(try await client.get("/v1/manifests/xyz").code == "bad-path")
        }
    }
}

struct RegionRouteTests {
    @Test func joinsReportsAndIsSuspended() async throws {
        try await Fixture.run { _, client async throws in
            let joined = try await client.post("/v1/regions/eu/join", #"{"endpoint":"http://10.0.0.1:7071"}"#)
            #expect(joined.status == 200)
            for endpoint in ["ftp://x", "http://a b", "", "http://" + String(repeating: "x", count: 300)] {
                let refused = try await client.post("/v1/regions/us/join", RegionJoinBody(endpoint: endpoint))
                #expect(refused.code == "invalid", "\(endpoint)")
            }
            #expect(try await client.post("/v1/regions/eu/suspend", ReasonBody(reason: "flood")).status == 200)
            var regions = try await client.get("/v1/regions").json(RegionList.self).regions
            #expect(regions.map(\.status) == [.suspended])
            #expect(try await client.post("/v1/regions/eu/resume", ReasonBody(reason: "dry")).status == 200)
            #expect(try await client.post("/v1/regions/eu/remove", ReasonBody(reason: "sold")).status == 200)
            regions = try await client.get("/v1/regions").json(RegionList.self).regions
            #expect(regions.map(\.status) == [.removed])
            let late = try await client.post("/v1/regions/eu/report", #"{"levels":[]}"#)
            #expect(late.status == 410)
            #expect(try await client.post("/v1/regions/us/suspend", ReasonBody(reason: "x")).code == "unknown-region")
        }
    }

    @Test func losesAPackAndTellsItsPeers() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            let lost = try await client.post("/v1/regions/eu/packs/\(build)/lost", DetailBody(detail: "disk"))
            #expect(lost.status == 200)
            #expect(try await client.get("/v1/builds/\(build)").json(BuildBody.self).replication == .gone)
            #expect(try await client.get("/v1/regions/eu/peers").text.hasPrefix(#"{"peers""#))
            #expect(try await client.get("/v1/regions/us/peers").code == "unknown-region")
            try await fixture.submit(.fleet(.regionJoin(.us, endpoint: "http://127.0.0.1:2")))
            #expect(try await client.get("/v1/regions/us/peers").status == 502)
        }
    }

    /// A build whose only region is removed is gone, not pending for ever.
    @Test func aBuildThatIsGoneSaysSo() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            #expect(try await client.get("/v1/builds/\(build)").json(BuildBody.self).replication == .complete)
            try await fixture.submit(.fleet(.regionJoin(.us, endpoint: "http://us")), actor: .region(.us))
            try await fixture.submit(.fleet(.regionRemove(.eu, reason: "sold")))
            #expect(try await client.get("/v1/builds/\(build)").json(BuildBody.self).replication == .gone)
            let list = try await client.get("/v1/builds").json(BuildList.self)
            #expect(list.builds.map(\.replication) == [.gone])
        }
    }
}
