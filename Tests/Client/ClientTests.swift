import Client
import Domain
import Foundation
import HTTPTypes
import NIOCore
import Synchronization
import Testing
import Wire

private let ada = EventActor.person("ada")
private let web = AppName(unchecked: "web")

private var quick: ClientSettings {
    var settings = ClientSettings()
    settings.firstBackoffMilliseconds = 1
    settings.maximumBackoffMilliseconds = 5
    return settings
}

private func request() throws -> JobRequest {
    let commit = try #require(CommitID(rawValue: String(repeating: "b", count: 40)))
    return JobRequest(app: web, repository: "/r", commit: commit)
}

struct RetryTests {
    @Test func aRepeatedChangeKeepsItsKey() async throws {
        let server = FlakyServer([
            FlakyServer.problem(Problem(.outcomeUnknown, "perhaps")), FlakyServer.problem(Problem(.busy, "later")),
            FlakyServer.json(#"{"job":4,"reused":false,"sequence":9}"#, status: .created),
        ])
        let wanted = try request()
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            #expect(try await client.enqueue(wanted).job.rawValue == 4)
            _ = try await client.enqueue(wanted)
        }
        let seen = server.seen.withLock { $0 }
        #expect(seen.count == 4)
        #expect(Set(seen.prefix(3).map(\.key)).count == 1)
        #expect(seen[3].key != seen[0].key)
        #expect(seen[0].key?.count == 36)
        #expect(Set(seen.map(\.body)).count == 1)
        #expect(seen.allSatisfy { $0.actor == "person:ada" && $0.contentType == "application/json" })
    }

    @Test func aRefusalIsNotRepeated() async throws {
        let server = FlakyServer([
            FlakyServer.problem(Problem(Refusal(.jobEnded, "over"), at: LogSequence(rawValue: 3)))
        ])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            await #expect(throws: ClientFailure.self) { try await client.cancel(JobID(rawValue: 1), reason: "x") }
            do throws(ClientFailure) {
                _ = try await client.cancel(JobID(rawValue: 1), reason: "x", key: "mine")
            } catch {
                #expect(error.code == "job-ended")
                #expect(error.asProblem.status == 410)
            }
        }
        #expect(server.seen.withLock { $0.map(\.key).last } == "mine")
        #expect(server.seen.withLock { $0.count } == 2)
    }

    @Test func retriesEnd() async throws {
        let server = FlakyServer([FlakyServer.problem(Problem(.notReady, "starting"))])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            do throws(ClientFailure) {
                _ = try await client.status()
                Issue.record("answered")
            } catch {
                #expect(error.code == "not-ready")
            }
        }
        #expect(server.seen.withLock { $0.count } == ClientSettings().maximumRetries + 1)
    }

    @Test func nobodyThereIsUnreachable() async throws {
        // Port 1 is reserved; nothing listens there.
        let client = GlobalClient(endpoint: "http://127.0.0.1:1", actor: ada, settings: .withoutRetries)
        do throws(ClientFailure) {
            _ = try await client.status()
            Issue.record("answered")
        } catch {
            guard case .unreachable(let message) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(message.contains("127.0.0.1:1"))
            #expect(error.asProblem.code == "unreachable")
        }
    }

    @Test func aMuteServerTimesOut() async throws {
        var settings = ClientSettings.withoutRetries
        settings.requestTimeoutMilliseconds = 50
        let listener = try ListeningSocket()
        defer { listener.close() }
        let client = GlobalClient(endpoint: "http://127.0.0.1:\(listener.port)", actor: ada, settings: settings)
        do throws(ClientFailure) {
            _ = try await client.status()
            Issue.record("answered")
        } catch {
            guard case .unreachable = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test(arguments: [
        "", "{", "[]", "<html>", #"{"job":"x","reused":false,"sequence":1}"#, #"{"job":1}"#,
    ])
    func aStrangeAnswerIsBad(_ text: String) async throws {
        let server = FlakyServer([FlakyServer.json(text)])
        let wanted = try request()
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            do throws(ClientFailure) {
                _ = try await client.enqueue(wanted)
                Issue.record("understood")
            } catch {
                guard case .badAnswer = error else {
                    Issue.record("\(error)")
                    return
                }
            }
        }
        #expect(server.seen.withLock { $0.count } == 1)
    }

    @Test func backoffGrowsToItsLimit() {
        let settings = ClientSettings()
        let whole = (0..<60).map { settings.backoffMilliseconds(retry: $0, random: 1) }
        let half = (0..<60).map { settings.backoffMilliseconds(retry: $0, random: 0) }
        #expect(whole.prefix(4) == [100, 200, 400, 800])
        #expect(whole.max() == settings.maximumBackoffMilliseconds)
        #expect(zip(whole, half).allSatisfy { $0 == $1 * 2 })
    }

    @Test func aCancelledCallEnds() async throws {
        let server = FlakyServer([FlakyServer.problem(Problem(.notReady, "starting"))])
        try await server.run { endpoint async throws in
            var settings = ClientSettings()
            settings.firstBackoffMilliseconds = 600_000
            settings.maximumBackoffMilliseconds = 600_000
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: settings)
            let task = Task { () async throws -> Void in _ = try await client.status() }
            while server.seen.withLock({ $0.isEmpty }) { await Task.yield() }
            task.cancel()
            await #expect(throws: ClientFailure.cancelled) { try await task.value }
        }
    }
}

struct CallTests {
    @Test func parametersAreEncoded() async throws {
        let server = FlakyServer([FlakyServer.json(#"{"jobs":[],"sequence":1}"#)])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint + "/", actor: ada, settings: quick)
            _ = try await client.jobs(app: web, status: .failed, limit: 5, before: JobID(rawValue: 9))
            _ = try? await client.target(web, scope: .region(RegionName(unchecked: "eu")), wait: .seconds(2))
        }
        let paths = server.seen.withLock { $0.map(\.path) }
        #expect(paths.first == "/v1/jobs?app=web&status=failed&limit=5&before=9")
        #expect(paths.last == "/v1/targets/web?scope=region%2Feu&wait=2s")
    }

    @Test func aDeploymentCarriesWhatItExpects() async throws {
        let server = FlakyServer([
            FlakyServer.json(#"{"deployment":"1.2","status":"running","skipped":[],"sequence":3}"#, status: .created)
        ])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            let expected = Revision(epoch: .first, number: 1)
            let request = DeployRequest(app: web, build: nil, reason: "r", expected: expected)
            #expect(try await client.deploy(request).deployment.number == 2)
        }
        let seen = try #require(server.seen.withLock { $0.first })
        #expect(seen.ifMatch == "\"1.1\"")
        #expect(seen.body.contains(#""rollback":true"#))
    }

    @Test func nothingToClaimIsNil() async throws {
        let server = FlakyServer([FlakyServer.json("", status: .noContent)])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            #expect(try await client.claim(WorkerName(unchecked: "w"), wait: .seconds(1)) == nil)
        }
        #expect(server.seen.withLock { $0.first?.body } == #"{"wait":"1s"}"#)
    }

    @Test func whatIsNotThereIsNil() async throws {
        let server = FlakyServer([FlakyServer.problem(Problem(.notFound, "no"))])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            #expect(try await client.target(web) == nil)
            #expect(try await client.output(JobID(rawValue: 1), object: 1) == nil)
            let region = RegionClient(endpoint: endpoint, actor: ada, settings: quick)
            #expect(try await region.output(JobID(rawValue: 1), .first, object: 1) == nil)
            #expect(try await region.manifest(.zero) == nil)
        }
    }

    @Test func theReleaseKeyIsThirtyTwoBytes() async throws {
        let short = FlakyServer([FlakyServer.json(#"{"algorithm":"ed25519","release_key":"00"}"#)])
        try await short.run { endpoint async throws in
            await #expect(throws: ClientFailure.self) {
                try await GlobalClient(endpoint: endpoint, actor: ada, settings: quick).releaseKey()
            }
        }
    }

    @Test func anUploadIsMadeAnewForEachTry() async throws {
        let server = FlakyServer([FlakyServer.problem(Problem(.busy, "later")), FlakyServer.json("{}")])
        let made = Mutex(0)
        try await server.run { endpoint async throws in
            let connection = Connection(endpoint: endpoint, actor: ada, settings: quick)
            _ = try await connection.upload(Call(.put, "/x"), bytes: 6) {
                made.withLock { $0 += 1 }
                return AsyncThrowingStream<ByteBuffer, any Error> { stream in
                    stream.yield(ByteBuffer(string: "abc"))
                    stream.yield(ByteBuffer(string: "def"))
                    stream.finish()
                }
            }
        }
        #expect(made.withLock { $0 } == 2)
        #expect(server.seen.withLock { $0.map(\.body) } == ["abcdef", "abcdef"])
    }
}

struct EventStreamTests {
    private static func line(_ sequence: Int) -> String { #"{"sequence":\#(sequence),"type":"x"}"# + "\n" }

    @Test func aBrokenStreamGoesOnBehindTheLastEvent() async throws {
        let server = FlakyServer([
            FlakyServer.broken(Self.line(3) + Self.line(4) + #"{"sequence":5,"ty"#),
            FlakyServer.problem(Problem(.notReady, "starting")),
            FlakyServer.broken("\n" + Self.line(4) + Self.line(5) + #"{"batch":{}}"# + "\n"),
            FlakyServer.json(Self.line(6) + Self.line(7)),
        ])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            var sequences: [UInt64] = []
            for try await event in client.events(after: LogSequence(rawValue: 2), follow: true) {
                sequences.append(event.sequence.rawValue)
                if sequences.count == 5 { break }
            }
            #expect(sequences == [3, 4, 5, 6, 7])
        }
        let paths = server.seen.withLock { $0.map(\.path) }
        #expect(
            paths == [
                "/v1/events?after=2&follow=true", "/v1/events?after=4&follow=true", "/v1/events?after=4&follow=true",
                "/v1/events?after=5&follow=true",
            ])
    }

    @Test func aWholeStreamEnds() async throws {
        let server = FlakyServer([FlakyServer.json(Self.line(1) + Self.line(2))])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            var lines: [String] = []
            for try await event in client.events(after: .zero, follow: false) { lines.append(event.json + "\n") }
            #expect(lines == [Self.line(1), Self.line(2)])
        }
        #expect(server.seen.withLock { $0.count } == 1)
    }

    @Test func aLineWithoutEndIsBad() async throws {
        let server = FlakyServer([FlakyServer.json(String(repeating: "x", count: 1 << 20))])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            await #expect(throws: ClientFailure.self) {
                for try await _ in client.events(after: .zero, follow: false) {}
            }
        }
    }

    @Test func aStreamThatBreaksAgainAndAgainEnds() async throws {
        let server = FlakyServer([FlakyServer.broken("")])
        try await server.run { endpoint async throws in
            let client = GlobalClient(endpoint: endpoint, actor: ada, settings: quick)
            await #expect(throws: ClientFailure.self) {
                for try await _ in client.events(after: .zero, follow: false) {}
            }
        }
    }
}
