import API
import Codec
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

struct StatusTests {
    @Test func onePageOfEverything() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let build = try await fixture.build()
            try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: build, reason: "go"))))
            try await fixture.submit(.queue(.enqueue(.example(isForced: true))))
            try await fixture.submit(.queue(.enqueue(.example(.api))))
            try await fixture.submit(.queue(.cancel(JobID(rawValue: 3), reason: "no")))
            let status = try await client.get("/v1/status").json(StatusBody.self)
            #expect(status.jobs == StatusBody.Jobs(queued: 1, running: 0, succeeded: 1, failed: 1))
            #expect(status.regions.map(\.name) == [.eu])
            #expect(status.workers.map(\.name) == [.one])
            #expect(status.targets.map(\.build) == [build])
            #expect(status.deployments.map(\.status) == [.running])
            #expect(status.log == fixture.log.identity)
            #expect(status.sequence == fixture.engine.head.sequence)
            #expect(status.chain == fixture.engine.head.chain)
        }
    }

    @Test func stoppedClaimsAreSeen() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            #expect(try await client.get("/v1/status").json(StatusBody.self).claimsStopped == nil)
            let store = StoreLevel(usedBytes: 0, freeBytes: 0, sizeBytes: 5000)
            try await fixture.submit(.fleet(.regionStore(.eu, store)), actor: .region(.eu))
            try await fixture.submit(.retention(.settleClaims))
            let stopped = try await client.get("/v1/status").json(StatusBody.self).claimsStopped
            #expect(stopped?.region == .eu && stopped?.detail.contains("free the disk") == true)
            #expect(try await client.get("/metrics").text.contains("drover_claims_stopped 1.0"))
        }
    }

    @Test func queriesNowAndThen() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.submit(.queue(.enqueue(.example())))
            let before = fixture.engine.head.sequence
            try await fixture.submit(.queue(.cancel(JobID(rawValue: 1), reason: "no")))
            let sql = "SELECT id, status FROM jobs"
            let now = try await client.post("/v1/query", QueryBody(sql: sql)).json(QueryAnswer.self)
            #expect(now.columns == ["id", "status"])
            #expect(now.rows == [[.integer(1), .text("failed")]])
            let then = try await client.post("/v1/query", QueryBody(sql: sql, at: .sequence(before))).json(
                QueryAnswer.self)
            #expect(then.rows == [[.integer(1), .text("queued")]])
            #expect(then.sequence == before)
        }
    }

    @Test(arguments: [
        "", "DROP TABLE job_requests", "SELECT", "DELETE FROM jobs", "SELECT 1; SELECT 2", "PRAGMA journal_mode=DELETE",
        "ATTACH '/etc/passwd' AS x", "SELECT load_extension('x')", "SELECT * FROM nothing",
    ])
    func otherSQLIsRefused(_ sql: String) async throws {
        try await Fixture.run { fixture, client async throws in
            let answer = try await client.post("/v1/query", QueryBody(sql: sql))
            #expect(answer.status == 400, "\(answer.text)")
            #expect(answer.code == "bad-sql")
            try await fixture.submit(.queue(.enqueue(.example())))
            #expect(try await client.get("/v1/jobs/1").status == 200)
        }
    }

    @Test func readinessIsTheWorldsAndTheEngines() async throws {
        try await Fixture.run { fixture, client async throws in
            #expect(try await client.get("/healthz").status == 200)
            #expect(try await client.get("/readyz").status == 200)
            fixture.readiness.missing.withLock { $0 = "the views are being made again" }
            let missing = try await client.get("/readyz")
            #expect(missing.status == 503)
            #expect(missing.code == "not-ready")
            #expect(missing.headers[.retryAfter] == "1")
            #expect(try await client.get("/healthz").status == 200)
        }
    }

    @Test func aStoppedEngineIsNotReady() async throws {
        try await Fixture.run { fixture, client async throws in
            fixture.engine.stop()
            try await fixture.engine.waitForEnd()
            #expect(try await client.post("/v1/jobs", EnqueueBody(.example())).code == "not-ready")
            #expect(try await client.get("/v1/regions").code == "not-ready")
            #expect(try await client.get("/v1/targets/web?wait=20s").code == "not-ready")
        }
    }

    @Test func metricsAreExposed() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.submit(.queue(.enqueue(.example())))
            for _ in 0..<3 { _ = try await client.get("/v1/regions") }
            _ = try await client.get("/nowhere/at/all")
            let answer = try await client.get("/metrics")
            #expect(answer.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
            let lines = answer.text.split(separator: "\n")
            #expect(lines.contains("drover_jobs_queued 1.0"))
            #expect(lines.contains("# TYPE drover_http_requests_total counter"))
            #expect(
                lines.contains(
                    #"drover_http_requests_total{method="GET",route="/v1/regions",status="200"} 3.0"#))
            #expect(
                lines.contains(
                    #"drover_http_request_duration_seconds_count{method="GET",route="/v1/regions"} 3"#))
            #expect(!answer.text.contains("nowhere"))
        }
    }
}

struct EventRouteTests {
    @Test func givesTheLogAsLines() async throws {
        try await Fixture.run(settings: { $0.logFramesAtOnce = 2 }) { fixture, client async throws in
            for _ in 0..<5 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
            let answer = try await client.get("/v1/events")
            #expect(answer.headers[.contentType] == "application/x-ndjson")
            var frames: [Frame] = []
            var last: LogPosition?
            for line in answer.text.split(separator: "\n") {
                switch try NDJSON.parse(Array(line.utf8)) {
                case .event(let frame): frames.append(frame)
                case .batch(let end): last = end
                }
            }
            #expect(frames == (try fixture.log.read(after: .zero, maximumFrames: .max).flatMap(\.frames)))
            #expect(last == fixture.engine.head)
            let rest = try await client.get("/v1/events?after=\(fixture.engine.head.sequence)")
            #expect(rest.text.isEmpty)
            #expect(try await client.get("/v1/events?after=18446744073709551615").text.isEmpty)
        }
    }

    @Test func givesServerSentEvents() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.submit(.queue(.enqueue(.example())))
            let head = fixture.engine.head.sequence
            let answer = try await client.get("/v1/events", headers: ["Accept": "text/event-stream"])
            #expect(answer.headers[.contentType] == "text/event-stream")
            let events = answer.text.components(separatedBy: "\n\n").dropLast()
            #expect(events.count == Int(head.rawValue))
            #expect(events.last?.hasPrefix("id: \(head)\ndata: {") == true)
            let resumed = try await client.get(
                "/v1/events", headers: ["Accept": "text/event-stream", "Last-Event-ID": "\(head.rawValue - 1)"])
            #expect(resumed.text.components(separatedBy: "\n\n").dropLast().count == 1)
        }
    }

    @Test func aQueryAtWhatIsNotThereYetSaysTheHead() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head.sequence
            let now = try await client.post("/v1/query", QueryBody(sql: "SELECT 1", at: .sequence(head)))
            #expect(now.status == 200)
            let future = try await client.post("/v1/query", QueryBody(sql: "SELECT 1", at: .sequence(head.next)))
            #expect(future.status == 422)
            #expect(try future.json(Problem.self).detail.contains("ends at \(head)"))
        }
    }

    @Test func aTimeIsItsLastEventAtOrBefore() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.queue(.enqueue(.example())))
            let frames = try fixture.log.read(after: .zero, maximumFrames: .max).flatMap(\.frames)
            let (first, last) = (try #require(frames.first).header, try #require(frames.last).header)
            for time in Set(frames.map(\.header.time)) {
                let wanted = try #require(frames.last { $0.header.time <= time }).header.sequence
                let answer = try await client.post("/v1/query", QueryBody(sql: "SELECT 1", at: .time(time)))
                #expect(try answer.json(QueryAnswer.self).sequence == wanted)
                #expect(answer.headers[sequenceHeader] == wanted.description)
            }
            let now = Timestamp(milliseconds: SystemClock().read().wallMilliseconds)
            let answer = try await client.post("/v1/query", QueryBody(sql: "SELECT 1", at: .time(now)))
            #expect(try answer.json(QueryAnswer.self).sequence == last.sequence)
            for (time, word) in [
                (first.time.adding(milliseconds: -1), "before the log's first event"),
                (now.adding(seconds: 3600), "leave it out to see the present"),
            ] {
                let refused = try await client.post("/v1/query", QueryBody(sql: "SELECT 1", at: .time(time)))
                #expect(refused.status == 422)
                #expect(try refused.json(Problem.self).detail.contains(word))
            }
            for at in ["\"yesterday\"", "-1", "1.5", "true"] {
                let refused = try await client.post("/v1/query", #"{"sql":"SELECT 1","at":\#(at)}"#)
                #expect((400..<500).contains(refused.status), "\(refused.text)")
            }
        }
    }

    @Test func aCutAnswerSaysSo() async throws {
        try await Fixture.run(settings: { $0.maximumQueryRows = 2 }) { _, client async throws in
            let sql = "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3"
            let cut = try await client.post("/v1/query", QueryBody(sql: sql))
            #expect(cut.text.contains(#""truncated":true"#))
        }
    }
}
