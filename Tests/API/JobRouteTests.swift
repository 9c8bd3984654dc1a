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

struct JobRouteTests {
    @Test func enqueuesOnceAndSaysWhen() async throws {
        try await Fixture.run { fixture, client async throws in
            let first = try await client.post("/v1/jobs", EnqueueBody(.example()))
            #expect(first.status == 201)
            let job = try first.json(EnqueueAnswer.self)
            #expect(job.job.rawValue == 1)
            #expect(first.headers[sequenceHeader] == job.sequence.description)
            #expect(job.sequence == fixture.engine.head.sequence)
            let again = try await client.post("/v1/jobs", EnqueueBody(.example()))
            #expect(again.status == 200)
            #expect(try again.json(EnqueueAnswer.self).reused)
            let shown = try await client.get("/v1/jobs/1").json(JobBody.self)
            #expect(shown.status == .queued)
            #expect(shown.repository == "/srv/web")
            #expect(shown.recipe == "drover.yml")
            #expect(shown.sequence >= job.sequence)
        }
    }

    @Test func aKeyMakesAChangeOnce() async throws {
        try await Fixture.run { _, client async throws in
            let body = EnqueueBody(.example(isForced: true))
            let first = try await client.post("/v1/jobs", body, headers: ["Idempotency-Key": "k1"])
            let second = try await client.post("/v1/jobs", body, headers: ["Idempotency-Key": "k1"])
            #expect(try first.json(EnqueueAnswer.self).job == second.json(EnqueueAnswer.self).job)
            #expect(second.status == 201)
            let other = try await client.post(
                "/v1/jobs", EnqueueBody(.example(.api)), headers: ["Idempotency-Key": "k1"])
            #expect(other.status == 422)
            #expect(other.code == "key-reused")
            let otherActor = try await client.post(
                "/v1/jobs", body, headers: ["Idempotency-Key": "k1", "Drover-Actor": "person:ada"])
            #expect(try otherActor.json(EnqueueAnswer.self).job.rawValue == 2)
        }
    }

    @Test func listsNewestFirstInPages() async throws {
        try await Fixture.run { fixture, client async throws in
            for index in 0..<7 {
                try await fixture.submit(.queue(.enqueue(.example(index < 5 ? .web : .api, isForced: true))))
            }
            let first = try await client.get("/v1/jobs?limit=3").json(JobList.self)
            #expect(first.jobs.map(\.id.rawValue) == [7, 6, 5])
            let next = try #require(first.next)
            let second = try await client.get("/v1/jobs?limit=3&before=\(next)").json(JobList.self)
            #expect(second.jobs.map(\.id.rawValue) == [4, 3, 2])
            let last = try await client.get("/v1/jobs?limit=3&before=2").json(JobList.self)
            #expect(last.jobs.map(\.id.rawValue) == [1])
            #expect(last.next == nil)
            #expect(try await client.get("/v1/jobs?app=api").json(JobList.self).jobs.count == 2)
            #expect(try await client.get("/v1/jobs?app=web&status=failed").json(JobList.self).jobs.isEmpty)
        }
    }

    @Test func cancelsAndShowsTheEnd() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.submit(.queue(.enqueue(.example())))
            let answer = try await client.post(
                "/v1/jobs/1/cancel", ReasonBody(reason: "enough"), headers: ["Drover-Actor": "person:ada"])
            #expect(answer.status == 200)
            let job = try await client.get("/v1/jobs/1").json(JobBody.self)
            #expect(job.status == .failed)
            #expect(job.reason == .cancelled)
            #expect(job.detail == "enough")
            #expect(job.endedAt != nil)
            let again = try await client.post("/v1/jobs/1/cancel", ReasonBody(reason: "enough"))
            #expect(again.status == 410)
            #expect(again.code == "job-ended")
            let unknown = try await client.post("/v1/jobs/9/cancel", ReasonBody(reason: "enough"))
            #expect(unknown.status == 404)
            #expect(unknown.code == "unknown-job")
            #expect(try await client.get("/v1/jobs/9").code == "unknown-job")
        }
    }

    @Test func aWaitEndsWithTheChange() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            let known = try await client.get("/v1/jobs/1").json(JobBody.self)
            async let waited = client.get("/v1/jobs/1?after=\(known.changed)&wait=20s").json(JobBody.self)
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            let job = try await waited
            #expect(job.status == .running)
            #expect(job.worker == .one)
            #expect(job.changed > known.changed)
        }
    }

    @Test func aWaitWithoutChangeEndsByItself() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.submit(.queue(.enqueue(.example())))
            let known = try await client.get("/v1/jobs/1").json(JobBody.self)
            let waited = try await client.get("/v1/jobs/1?after=\(known.changed)&wait=50ms").json(JobBody.self)
            #expect(waited.changed == known.changed)
            #expect(waited.status == .queued)
        }
    }

    @Test func readsOutputFromTheWorkersRegion() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            #expect(try await client.get("/v1/jobs/1/output").status == 404)
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            let output = try await client.get("/v1/jobs/1/output?object=1")
            #expect(output.text == "hello\n")
            #expect(output.headers[.contentType] == "application/octet-stream")
            let place = fixture.region.asked.withLock { $0.last }
            #expect(place?.region == .eu)
            #expect(place?.endpoint == "http://127.0.0.1:1")
            #expect(place?.attempt == .first)
            #expect(try await client.get("/v1/jobs/1/output?object=2").code == "not-found")
            #expect(try await client.get("/v1/jobs/1/output?attempt=2").code == "not-found")
        }
    }

    @Test func anEarlierAttemptsOutputIsItsOwnWorkers() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            try await fixture.submit(.queue(.claim(.one)), actor: .worker(.one))
            try await fixture.submit(.queue(.release(JobID(rawValue: 1), .first, detail: "restart")))
            let output = try await client.get("/v1/jobs/1/output?attempt=1&object=1")
            #expect(output.text == "hello\n")
            #expect(try await client.get("/v1/jobs/1/output").status == 404)
        }
    }
}
