import API
import Client
import Domain
import Engine
import EventLog
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Serving
import Synchronization
import Testing
import Views
import Wire

/// What no honest caller sends. Every answer is a problem document, and nothing changes.
struct HostileTests {
    private func expectRefused(
        _ answer: Answer, _ status: Int, _ code: String? = nil, _ comment: Comment? = nil
    ) {
        #expect(answer.status == status, comment)
        #expect(answer.headers[.contentType] == "application/problem+json", comment)
        if let code { #expect(answer.code == code, comment) } else { #expect(answer.code != nil, comment) }
    }

    @Test func foreignSitesAreRefused() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head
            let body = EnqueueBody(.example())
            for origin in [
                "http://evil.example", "null", "https://localhost.evil.example", "http://localhost:3000",
                "file://", "http://evil.example@localhost",
            ] {
                let answer = try await client.post("/v1/jobs", body, headers: ["Origin": origin])
                expectRefused(answer, 403, "foreign-origin", "\(origin)")
                expectRefused(
                    try await client.get("/v1/status", headers: ["Origin": origin]), 403, "foreign-origin", "\(origin)")
            }
            #expect(fixture.engine.head == head)
            #expect(try await client.post("/v1/jobs", body, headers: ["Origin": "http://localhost"]).status == 201)
        }
    }

    @Test func foreignHostsAreRefused() async throws {
        let fixture = try Fixture()
        let app = Application(
            router: fixture.api.router(), configuration: .init(address: .hostname("127.0.0.1", port: 0)))
        try await app.test(.live) { client async throws in
            let port = try #require(client.port)
            let connection = Connection(endpoint: "http://127.0.0.1:\(port)", actor: .person("ada"))
            for (host, isAllowed) in [
                ("evil.example", false), ("localhost.evil.example", false), ("127.0.0.1.evil.example:80", false),
                ("[::2]:7070", false), ("evil.example@localhost", false), ("drover.example", true),
                ("DROVER.example:7070", true), ("[::1]:7070", true), ("localhost", true),
            ] {
                var call = Call(.get, "/v1/regions")
                call.headers = [("Host", host)]
                do throws(ClientFailure) {
                    _ = try await connection.data(call)
                    #expect(isAllowed, "\(host)")
                } catch {
                    #expect(!isAllowed && error.code == "foreign-host", "\(host): \(error)")
                }
            }
        }
        try await fixture.close()
    }

    @Test func changesMustBeJSON() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head
            let body = try WireJSON.encode(EnqueueBody(.example()))
            for type in [
                "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx",
            ] {
                let answer = try await client.call(.post, "/v1/jobs", body, headers: ["Content-Type": type])
                expectRefused(answer, 415, "bad-content-type", "\(type)")
            }
            #expect(fixture.engine.head == head)
            let withCharset = ["Content-Type": "Application/JSON; charset=utf-8"]
            #expect(try await client.call(.post, "/v1/jobs", body, headers: withCharset).status == 201)
        }
    }

    @Test func hugeAndDeepBodiesAreRefused() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head
            let tenMegabytes = String(repeating: "{", count: 10 << 20)
            expectRefused(try await client.post("/v1/jobs", tenMegabytes), 413, "too-large")
            let deep = String(repeating: #"{"app":"#, count: 100_000)
            expectRefused(try await client.post("/v1/jobs", deep), 400, "bad-json")
            let closed = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
            expectRefused(try await client.post("/v1/jobs", #"{"app":\#(closed)}"#), 400, "bad-json")
            expectRefused(try await client.post("/v1/jobs", "\u{0}"), 400, "bad-json")
            let long = #"{"reason":"\#(String(repeating: "x", count: 100_000))"}"#
            try await fixture.submit(.queue(.enqueue(.example())))
            expectRefused(try await client.post("/v1/jobs/1/cancel", long), 413, "too-large")
            #expect(fixture.engine.head.sequence == head.sequence.next)
        }
    }

    @Test func wrongTypesAndValuesAreNamed() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head
            let commit = String(repeating: "a", count: 40)
            let bodies = [
                "[]", "null", "7", #""x""#, #"{"app":1,"repository":"r","commit":"\#(commit)"}"#,
                #"{"app":"web","repository":["r"],"commit":"\#(commit)"}"#,
                #"{"app":"web","repository":"-upload-pack=x","commit":"\#(commit)"}"#,
                #"{"app":"web","repository":"r","commit":"main"}"#,
                #"{"app":"web","repository":"r","commit":"\#(commit)","recipe":"../../etc/passwd"}"#,
                #"{"app":"web","repository":"r","commit":"\#(commit)","recipe":"/etc/passwd"}"#,
                #"{"app":"web","repository":"r","commit":"\#(commit)","priority":1e99}"#,
                #"{"app":"web","repository":"r","commit":"\#(commit)","priority":4000}"#,
                #"{"app":"..","repository":"r","commit":"\#(commit)"}"#,
                #"{"app":"web","repository":"r","commit":"\#(commit)","extra":1}"#,
            ]
            for body in bodies {
                let answer = try await client.post("/v1/jobs", body)
                expectRefused(answer, answer.status == 400 ? 400 : 422, nil, "\(body): \(answer.text)")
            }
            #expect(fixture.engine.head == head)
        }
    }

    @Test(arguments: [
        ("/v1/workers/..%2F..%2Fetc/join", 400), ("/v1/workers/%2e%2e/join", 400), ("/v1/workers/a%00b/join", 400),
        ("/v1/workers/A/join", 400), ("/v1/workers/\(String(repeating: "x", count: 64))/join", 400),
        ("/v1/workers//join", 404), ("/v1/workers/../../etc/passwd", 404), ("/v1/jobs/-1/cancel", 400),
        ("/v1/jobs/1e3/cancel", 400), ("/v1/jobs/99999999999999999999/cancel", 400),
        ("/v1/jobs/1/attempts/x/failed", 400),
        ("/v1/regions/eu/packs/-5/lost", 400), ("/v1/nothing", 404), ("/", 404),
    ])
    func pathsAreStrict(_ path: String, _ status: Int) async throws {
        try await Fixture.run { _, client async throws in
            expectRefused(try await client.post(path), status, nil, "\(path)")
        }
    }

    @Test(arguments: [
        "/v1/jobs?limit=-1", "/v1/jobs?limit=0", "/v1/jobs?limit=1.5", "/v1/jobs?limit=99999999999999999999",
        "/v1/jobs?before=x", "/v1/jobs?status=done", "/v1/jobs?app=../x", "/v1/jobs?sort=id",
        "/v1/jobs?limit=1&limit=2",
        "/v1/jobs/1?after=-1", "/v1/jobs/1?wait=-5s", "/v1/jobs/1?wait=1e9s", "/v1/jobs/1?wait=99999999999999999999s",
        "/v1/jobs/1?wait=forever", "/v1/targets/web?scope=region/..", "/v1/targets/web?after_revision=1",
        "/v1/events?after=-1", "/v1/events?follow=1", "/v1/deployments?open=yes", "/v1/status?x=1",
        "/v1/jobs/1/output?object=-1", "/v1/builds?before=0x10",
    ])
    func queriesAreStrict(_ path: String) async throws {
        try await Fixture.run { _, client async throws in
            expectRefused(try await client.get(path), 400, "bad-query", "\(path)")
        }
    }

    @Test func anAbsurdWaitIsCapped() async throws {
        try await Fixture.run(settings: { $0.serving.maximumWaitSeconds = 0 }) { fixture, client async throws in
            try await fixture.joinWorker()
            #expect(try await client.post("/v1/workers/w1/claim", #"{"wait":"8000h"}"#).status == 204)
            #expect(try await client.get("/v1/targets/web?after_revision=0.0&wait=8000h").status == 404)
            expectRefused(try await client.post("/v1/workers/w1/claim", #"{"wait":"9000h"}"#), 422, "invalid")
            expectRefused(try await client.post("/v1/workers/w1/claim", #"{"wait":"-1s"}"#), 422, "invalid")
        }
    }

    @Test func badHeadersAreRefused() async throws {
        try await Fixture.run { fixture, client async throws in
            let head = fixture.engine.head
            let body = EnqueueBody(.example())
            for key in ["", String(repeating: "k", count: 101), "a b", "clé"] {
                let answer = try await client.post("/v1/jobs", body, headers: ["Idempotency-Key": key])
                expectRefused(answer, 400, "bad-header", "\(key)")
            }
            for actor in ["system:engine", "projector:x", "ada", "person:", "worker:A"] {
                let answer = try await client.post("/v1/jobs", body, headers: ["Drover-Actor": actor])
                expectRefused(answer, 400, "bad-header", "\(actor)")
            }
            for tag in ["1.1", "*", "W/\"1.1\"", "\"1\"", "\"\"", "\"1.1\", \"1.2\""] {
                let answer = try await client.post(
                    "/v1/deployments", #"{"app":"web","build":1,"reason":""}"#, headers: ["If-Match": tag])
                expectRefused(answer, 400, "bad-header", "\(tag)")
            }
            #expect(fixture.engine.head == head)
        }
    }

    @Test func otherMethodsFindNothing() async throws {
        try await Fixture.run { _, client async throws in
            for method in [HTTPRequest.Method.delete, .put, .patch, .options] {
                expectRefused(try await client.call(method, "/v1/jobs"), 404, "not-found", "\(method)")
            }
        }
    }

    /// Views that nobody brings up to date.
    @Test func viewsThatStandStillAreSaidToBeBehind() async throws {
        try await Fixture.run(settings: { $0.viewsBehindSeconds = 0 }) { fixture, client async throws in
            fixture.views.close()
            try await fixture.submit(.queue(.enqueue(.example())))
            let answer = try await client.get("/v1/jobs")
            #expect(answer.status == 503)
            #expect(["views-behind", "not-ready"].contains(answer.code))
            #expect(try await client.get("/v1/regions").status == 200)
        }
    }
}
