import API
import Client
import Domain
import Engine
import Foundation
import Hummingbird
import HummingbirdTesting
import Logging
import Serving
import Synchronization
import Testing
import Wire

/// The typed client against the routes, over a real socket.
struct EndToEndTests {
    private func run(_ test: @Sendable (Fixture, GlobalClient) async throws -> Void) async throws {
        let fixture = try Fixture()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = Application(
            router: fixture.api.router(), server: .watchful(hot: HotClaims(fixture.api)),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            logger: logger)
        try await app.test(.live) { client async throws in
            let port = try #require(client.port)
            try await test(fixture, GlobalClient(endpoint: "http://127.0.0.1:\(port)", actor: .person("ada")))
        }
        try await fixture.close()
    }

    /// The connection breaks while the claim waits: the job is for somebody who hears of it.
    @Test func aCallerThatHasGoneClaimsNothing() async throws {
        try await run { fixture, client async throws in
            _ = try await client.joinRegion(.eu, endpoint: "http://127.0.0.1:1")
            _ = try await client.joinWorker(.one, region: .eu)
            let claim = Task { try await client.claim(.one, wait: .seconds(20)) }
            #expect(try await eventually { try await fixture.isWaiting() })
            claim.cancel()
            _ = try? await claim.value
            try await Task.sleep(for: .seconds(1))
            _ = try await client.enqueue(.example())
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await fixture.engine.read { state, _ in state.queue.running.isEmpty })
            #expect(try await client.claim(.one, wait: .seconds(5))?.job.rawValue == 1)
        }
    }

    /// Answered at once, after a wait, or with nothing: the next claim goes over the same connection.
    @Test func aClaimLeavesItsConnectionOpen() async throws {
        try await run { fixture, client async throws in
            _ = try await client.joinRegion(.eu, endpoint: "http://127.0.0.1:1")
            _ = try await client.joinWorker(.one, region: .eu)
            let port = try #require(URLComponents(string: client.connection.endpoint)?.port)
            try await RawCaller.with(port: port) { caller in
                #expect(try await caller.ask(.claim(wait: "10ms")).hasPrefix("HTTP/1.1 204"))
                async let enqueued: Void = {
                    #expect(try await eventually { try await fixture.isWaiting() })
                    for _ in 0..<2 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
                }()
                #expect(try await caller.ask(.claim(wait: "20s")).contains("\"job\":1,"))
                try await enqueued
                let atOnce = try await caller.ask(.claim(wait: "20s"))
                #expect(atOnce.contains("\"job\":2,"))
                #expect(!atOnce.lowercased().contains("connection: close"))
            }
        }
    }

    @Test func fromACommitToATarget() async throws {
        try await run { fixture, client async throws in
            _ = try await client.joinRegion(.eu, endpoint: "http://127.0.0.1:1")
            _ = try await client.joinWorker(.one, region: .eu)
            async let waiting = client.claim(.one, wait: .seconds(20))
            #expect(try await eventually { try await fixture.isWaiting() })
            let job = try await client.enqueue(.example()).job
            let claim = try #require(try await waiting)
            #expect(claim.job == job)
            #expect(try await client.heartbeat(job, claim.attempt, counter: 1, stage: .build).cancelled == false)
            #expect(try await client.output(job, object: 1) == Data("hello\n".utf8))
            let known = try await client.job(job)
            async let ended = client.job(job, changedAfter: known.changed, wait: .seconds(20))
            let body = UploadedBody(region: .eu, rawBytes: 9, packedBytes: 7, manifest: "web 1 1")
            let manifest = try await client.reportUploaded(job, claim.attempt, body).manifest
            #expect(try await ended.changed > known.changed)
            #expect(try await client.manifest(manifest) == Data("signed web 1 1".utf8))
            #expect(try await client.releaseKey().count == 32)
            _ = try await client.packStored(.eu, job, claim.attempt, manifest: manifest)
            #expect(try await client.job(job).status == .succeeded)
            #expect(try await client.builds(app: .web).builds.map(\.replication) == [.complete])
            let request = DeployRequest(app: .web, build: job, reason: "go", expected: .zero)
            let deployment = try await client.deploy(request)
            let target = try #require(try await client.target(.web, newerThan: .zero, wait: .seconds(5)))
            #expect(target.revision == deployment.deployment)
            #expect(target.actor == "person:ada")
            #expect(try await client.deployment(deployment.deployment).status == .running)
            #expect(try await client.deployments(isOpen: true).deployments.count == 1)
            #expect(try await client.target(.api) == nil)
            #expect(try await client.status().targets.count == 1)
            #expect(try await client.query("SELECT count(*) FROM jobs").rows == [[.integer(1)]])
            #expect(try await client.peers(of: .eu).peers.isEmpty)
            #expect(try await client.ready().status == "ok")
        }
    }

    @Test func refusalsArriveAsProblems() async throws {
        try await run { _, client async throws in
            do throws(ClientFailure) {
                _ = try await client.cancel(JobID(rawValue: 4), reason: "x")
                Issue.record("cancelled")
            } catch {
                #expect(error.code == "unknown-job")
            }
            do throws(ClientFailure) {
                _ = try await client.feed(for: .us, after: nil, wait: .seconds(0))
                Issue.record("fed")
            } catch {
                #expect(error.code == "unknown-region")
            }
        }
    }

    @Test func aFeedIsFollowed() async throws {
        try await run { fixture, client async throws in
            _ = try await client.joinRegion(.eu, endpoint: "http://127.0.0.1:1")
            let first = try await client.feed(for: .eu, after: nil, wait: .seconds(5))
            #expect(first.facts.count == 1)
            async let next = client.feed(for: .eu, after: first.position, wait: .seconds(20))
            _ = try await client.changeRegion(.eu, .suspend, reason: "x")
            #expect(try await next.facts.count == 1)
            #expect(try await next.position == fixture.engine.head)
        }
    }

    @Test func eventsAreFollowedAsTheyHappen() async throws {
        try await run { fixture, client async throws in
            let start = fixture.engine.head.sequence
            let seen = Mutex<[UInt64]>([])
            let reading = Task {
                for try await event in client.events(after: start, follow: true) {
                    seen.withLock { $0.append(event.sequence.rawValue) }
                    if event.sequence.rawValue == start.rawValue + 20 { return }
                }
            }
            for _ in 0..<20 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
            try await reading.value
            #expect(seen.withLock { $0 } == Array(start.rawValue + 1...start.rawValue + 20))
            var whole = 0
            for try await _ in client.events(after: .zero, follow: false) { whole += 1 }
            #expect(UInt64(whole) == fixture.engine.head.sequence.rawValue)
        }
    }

    /// What came back, and the calls that are still under way.
    private final class Waiting: Sendable {
        let answers = Mutex<[String]>([])
        let tasks = Mutex<[Task<Void, Never>]>([])

        func note(_ answer: String) { answers.withLock { $0.append(answer) } }
        func has(_ answer: String) -> Bool { answers.withLock { $0.contains(answer) } }
    }

    /// A shutdown answers long polls and ends streams; it waits for none of them.
    @Test func aShutdownEndsWhatWaits() async throws {
        let waiting = Waiting()
        try await run { fixture, client async throws in
            try await fixture.joinWorker()
            let claim = Task {
                do {
                    waiting.note(try await client.claim(.one, wait: .seconds(30)) == nil ? "nothing" : "job")
                } catch { waiting.note("\(error)") }
            }
            let once = GlobalClient(
                endpoint: client.connection.endpoint, actor: .person("ada"), settings: .withoutRetries)
            let follow = Task {
                do {
                    for try await _ in once.events(after: .zero, follow: true) { waiting.note("event") }
                } catch {}
            }
            waiting.tasks.withLock { $0 = [claim, follow] }
            #expect(try await eventually { try await fixture.isWaiting() })
            #expect(try await eventually { waiting.has("event") })
        }
        for task in waiting.tasks.withLock({ $0 }) {
            if !waiting.has("nothing") { await task.value }
            task.cancel()
            await task.value
        }
        #expect(waiting.has("nothing"))
    }
}
