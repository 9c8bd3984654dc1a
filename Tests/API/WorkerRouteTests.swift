import API
import Domain
import Engine
import EventLog
import Foundation
import HTTPTypes
import HummingbirdTesting
import Ports
import Serving
import Synchronization
import Testing
import Views
import Wire

struct WorkerRouteTests {
    @Test func aClaimWaitsForAJob() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            async let claim = client.post("/v1/workers/w1/claim", #"{"wait":"20s"}"#)
            let waiting = try await eventually { try await fixture.isWaiting() }
            #expect(waiting)
            try await fixture.submit(.queue(.enqueue(.example())))
            let answer = try await claim
            #expect(answer.status == 200)
            let claimed = try answer.json(ClaimAnswer.self)
            #expect(claimed.job.rawValue == 1)
            #expect(claimed.attempt == .first)
            #expect(claimed.regionEndpoint == "http://127.0.0.1:1")
            #expect(claimed.leaseSeconds == Settings().leaseSeconds)
            #expect(claimed.jobTimeoutSeconds == Settings().jobTimeoutSeconds)
        }
    }

    @Test func aClaimWithNothingToDoIsEmptyAndWaitingIsOneEvent() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let first = try await client.post("/v1/workers/w1/claim", "")
            #expect(first.status == 204)
            let head = fixture.engine.head.sequence
            for _ in 0..<5 { #expect(try await client.post("/v1/workers/w1/claim", #"{"wait":"10ms"}"#).status == 204) }
            #expect(fixture.engine.head.sequence == head)
        }
    }

    @Test func aWaitingWorkerHearsThatItsRegionHasGone() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            #expect(try await client.post("/v1/workers/w1/claim", "").status == 204)
            try await fixture.submit(.fleet(.regionSuspend(.eu, reason: "maintenance")))
            let suspended = try await client.post("/v1/workers/w1/claim", #"{"wait":"20s"}"#)
            #expect(try suspended.json(Problem.self).code == "region-suspended")
            try await fixture.submit(.fleet(.regionRemove(.eu, reason: "closed")))
            #expect(try await client.post("/v1/workers/w1/claim", "").json(Problem.self).code == "region-removed")
        }
    }

    @Test func aRepeatedClaimGetsItsJobAgain() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let key = ["Idempotency-Key": "claim-1"]
            async let waiting = client.post("/v1/workers/w1/claim", #"{"wait":"20s"}"#, headers: key)
            #expect(try await eventually { try await fixture.isWaiting() })
            for _ in 0..<2 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
            let first = try await waiting.json(ClaimAnswer.self)
            let again = try await client.post("/v1/workers/w1/claim", #"{"wait":"20s"}"#, headers: key)
            #expect(try again.json(ClaimAnswer.self).job == first.job)
            #expect(try again.json(ClaimAnswer.self).attempt == first.attempt)
            let other = try await client.post("/v1/workers/w1/claim", "", headers: ["Idempotency-Key": "claim-2"])
            #expect(try other.json(ClaimAnswer.self).job.rawValue == 2)
        }
    }

    @Test func aKeyThatSaidNothingStillClaimsLater() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let key = ["Idempotency-Key": "claim-1"]
            #expect(try await client.post("/v1/workers/w1/claim", "", headers: key).status == 204)
            try await fixture.submit(.queue(.enqueue(.example())))
            let claimed = try await client.post("/v1/workers/w1/claim", "", headers: key)
            #expect(claimed.status == 200)
        }
    }

    /// 4 MiB of lines and quotes, which JSON writes with two bytes each.
    @Test func aLargeManifestIsTaken() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            try await fixture.submit(.queue(.claim(.one)))
            let start = "web 1 1\n"
            let manifest = start + String(repeating: "\"\n", count: ((4 << 20) - start.utf8.count) / 2)
            let body = UploadedBody(region: .eu, rawBytes: 9, packedBytes: 7, manifest: manifest)
            #expect(try await client.post("/v1/jobs/1/attempts/1/uploaded", body).status == 200)
        }
    }

    @Test func onlyOneOfManyGetsAJob() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            for index in 2...8 {
                try await fixture.submit(.fleet(.workerJoin(WorkerName(unchecked: "w\(index)"), .eu)))
            }
            let claims = try await withThrowingTaskGroup(of: Answer.self) { group in
                for index in 1...8 {
                    group.addTask {
                        try await client.post(
                            "/v1/workers/w\(index)/claim", #"{"wait":"2s"}"#,
                            headers: ["Idempotency-Key": "claim-\(index)"])
                    }
                }
                #expect(try await eventually { try await fixture.waitingWorkers() == 8 })
                for _ in 0..<3 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let jobs = try claims.filter { $0.status == 200 }.map { try $0.json(ClaimAnswer.self).job.rawValue }
            #expect(jobs.sorted() == [1, 2, 3])
            #expect(claims.filter { $0.status == 204 }.count == 5)
        }
    }

    @Test func unknownAndDrainingWorkersAreRefused() async throws {
        try await Fixture.run { fixture, client async throws in
            let unknown = try await client.post("/v1/workers/w9/claim", "")
            #expect(unknown.code == "unknown-worker")
            #expect(try await client.post("/v1/workers/w1/join", #"{"region":"eu"}"#).code == "unknown-region")
            try await fixture.joinWorker()
            #expect(try await client.post("/v1/workers/w1/drain").status == 200)
            #expect(try await client.post("/v1/workers/w1/claim", "").code == "worker-draining")
            #expect(try await client.get("/v1/workers").json(WorkerList.self).workers.first?.isDraining == true)
            #expect(try await client.post("/v1/workers/w1/resume").status == 200)
            #expect(try await client.post("/v1/workers/w1/claim", "").status == 204)
        }
    }

    @Test func anAttemptReportsUntilItsEnd() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            let actor = ["Drover-Actor": "worker:w1"]
            let path = "/v1/jobs/1/attempts/1"
            let beat = try await client.post("\(path)/heartbeat", #"{"counter":1,"stage":"build"}"#, headers: actor)
            #expect(try beat.json(HeartbeatAnswer.self).cancelled == false)
            let body = UploadedBody(region: .eu, rawBytes: 10, packedBytes: 5, manifest: "web 1 1 text")
            let uploaded = try await client.post("\(path)/uploaded", body, headers: actor)
            #expect(uploaded.status == 200)
            let digest = try uploaded.json(UploadedAnswer.self).manifest
            #expect(try await client.get("/v1/manifests/\(digest)").text == "signed web 1 1 text")
            let again = try await client.post("\(path)/uploaded", body, headers: actor)
            #expect(try again.json(UploadedAnswer.self).manifest == digest)
            let stored = try await client.post(
                "/v1/regions/eu/packs/1/stored", PackStoredBody(attempt: .first, manifest: digest))
            #expect(stored.status == 200)
            let job = try await client.get("/v1/jobs/1").json(JobBody.self)
            #expect(job.status == .succeeded)
            let build = try await client.get("/v1/builds/1").json(BuildBody.self)
            #expect(build.replication == .complete)
            #expect(build.manifest == digest)
            let late = try await client.post("\(path)/heartbeat", #"{"counter":2,"stage":"build"}"#, headers: actor)
            #expect(late.status == 409)
            #expect(late.code == "stale-attempt")
            #expect(try await client.post("\(path)/uploaded", body, headers: actor).status == 200)
        }
    }

    @Test func aStaleUploadIsNotSignedAndIsRecorded() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            try await fixture.submit(.queue(.release(JobID(rawValue: 1), .first, detail: "")))
            let head = fixture.engine.head.sequence
            let body = UploadedBody(region: .eu, rawBytes: 10, packedBytes: 5, manifest: "web 1 1 text")
            let answer = try await client.post("/v1/jobs/1/attempts/1/uploaded", body)
            #expect(answer.code == "stale-attempt")
            #expect(fixture.engine.head.sequence > head)
            let digest = Digest(words: 12, 1, 0, 9)
            #expect(try await fixture.blobs.information(.content(digest)) == nil)
            #expect(try await client.get("/v1/manifests/\(digest)").code == "not-found")
        }
    }

    @Test func aWrongManifestIsRefusedBeforeAnythingHappens() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            let head = fixture.engine.head.sequence
            let other = UploadedBody(region: .eu, rawBytes: 10, packedBytes: 5, manifest: "api 1 1 text")
            #expect(try await client.post("/v1/jobs/1/attempts/1/uploaded", other).status == 422)
            let elsewhere = UploadedBody(region: .us, rawBytes: 10, packedBytes: 5, manifest: "web 1 1 text")
            #expect(try await client.post("/v1/jobs/1/attempts/1/uploaded", elsewhere).code == "unknown-region")
            #expect(fixture.engine.head.sequence == head)
        }
    }

    @Test func failuresAndReleasesEndAttempts() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            for _ in 0..<2 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
            for _ in 0..<2 { try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one)) }
            let key = ["Idempotency-Key": "f1", "Drover-Actor": "worker:w1"]
            for _ in 0..<2 {
                let failed = try await client.post(
                    "/v1/jobs/1/attempts/1/failed", FailedBody(reason: .exit, detail: "exit 1"), headers: key)
                #expect(failed.status == 200)
            }
            #expect(try await client.get("/v1/jobs/1").json(JobBody.self).reason == .exit)
            let released = try await client.post("/v1/jobs/2/attempts/1/released", DetailBody(detail: "drain"))
            #expect(released.status == 200)
            #expect(try await client.get("/v1/jobs/2").json(JobBody.self).status == .queued)
            #expect(
                try await client.post("/v1/jobs/2/attempts/1/failed", #"{"reason":"rain","detail":""}"#).status == 422)
        }
    }
}

extension Fixture {
    func isWaiting() async throws -> Bool { try await waitingWorkers() > 0 }

    func waitingWorkers() async throws -> Int {
        try await engine.read { state, _ in state.fleet.workers.values.count { $0.waitingSince != nil } }
    }
}

/// Whether something becomes true within ten seconds.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now.advanced(by: .seconds(10))
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return false
}
