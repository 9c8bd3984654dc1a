import Domain
import Foundation
import Testing

@testable import Commands

/// The stories of jobs and deployments in recorded logs.
@Suite struct ExplainTests {
    private func story(_ scenario: String, _ subject: Story.Subject) async throws -> [Story.Line] {
        let file = RecordedLog(scenario: scenario, name: RecordedLog.global).folder.appending(path: "log.ndjson").path
        return try await LogPlace.with(file) { try await Story(log: $0).lines(of: subject) }
    }

    private func states(_ lines: [Story.Line]) -> [String] {
        lines.compactMap { line in line.state.map { "\(line.sequence) \($0)" } }
    }

    @Test func aFailedJob() async throws {
        let lines = try await story("first-deploy", .job(JobID(rawValue: 2)))
        #expect(states(lines) == ["23 queued", "24 running", "26 failed"])
        #expect(lines.map(\.sequence.rawValue) == [23, 24, 25, 26])
        #expect(lines.first?.time == "2026-11-25T16:23:26.414Z")
        #expect(lines.first?.words.hasPrefix("ada asked for job 2: build hello at 530221329802 from ") == true)
        #expect(lines.last?.words.hasPrefix("job 2 failed (exit): `cc -o hello no-such-file.c`") == true)
    }

    /// Its only sign of life is where its stage begins.
    @Test func aCancelledJob() async throws {
        let lines = try await story("first-deploy", .job(JobID(rawValue: 3)))
        #expect(states(lines) == ["28 queued", "29 running", "33 failed"])
        #expect(lines.contains { $0.sequence.rawValue == 30 && $0.words == "ada asked to cancel job 3: not needed" })
        #expect(lines.contains { $0.type == "job-heartbeat" })
    }

    /// A worker was lost with the first attempt: the job was queued again.
    @Test func aJobThatLostItsWorker() async throws {
        let lines = try await story("crash", .job(JobID(rawValue: 1)))
        let words = states(lines).map { $0.split(separator: " ")[1] }
        #expect(words == ["queued", "running", "queued", "running", "succeeded"])
        let requeued = try #require(lines.first { $0.type == "job-requeued" })
        #expect(requeued.state == "queued")
    }

    @Test func aDeploymentThatWaited() async throws {
        let id = try #require(Revision("1.2"))
        let lines = try await story("first-deploy", .deployment(id))
        #expect(states(lines) == ["41 waiting", "43 running", "52 succeeded"])
        #expect(lines.contains { $0.sequence.rawValue == 42 && $0.type == "pack-stored" })
        #expect(lines.filter { $0.type == "region-converged" }.map(\.sequence.rawValue) == [49, 51])
        #expect(lines.map(\.sequence) == lines.map(\.sequence).sorted())
    }

    @Test func whatIsNotThereIsRefused() async throws {
        let id = try #require(Revision("7.7"))
        await #expect(throws: CommandStop.self) { try await story("crash", .job(JobID(rawValue: 99))) }
        await #expect(throws: CommandStop.self) { try await story("crash", .deployment(id)) }
    }

    /// Of a peer whose region was cut off: it enrolled, ran the first build, and much later the second.
    @Test func aPeersStoryIsInItsRegionsLog() async throws {
        let log = RecordedLog(scenario: "incident", name: "region-two").folder.appending(path: "log.ndjson").path
        let peer = try #require(PeerName(rawValue: "two-1"))
        let lines = try await LogPlace.with(log) { try await Story(log: $0).lines(of: .peer(peer)) }
        #expect(lines.first?.state == "live" && lines.first?.type == "peer-enrolled")
        let states = lines.compactMap(\.state)
        #expect(states.contains("hello build 1 healthy") && states.last == "hello build 2 healthy", "\(states)")
        #expect(
            lines.contains { $0.state == nil && $0.words.hasSuffix("the target of hello is build 2, revision 1.2") })
        #expect(lines.allSatisfy { !$0.words.contains("two-2") })
    }

    @Test func peersAreNotInTheGlobalLog() async throws {
        let peer = try #require(PeerName(rawValue: "two-1"))
        await #expect(throws: CommandStop.self) { try await story("crash", .peer(peer)) }
        let regional = RecordedLog(scenario: "incident", name: "region-one").folder.appending(path: "log.ndjson").path
        await #expect(throws: CommandStop.self) {
            try await LogPlace.with(regional) { try await Story(log: $0).lines(of: .peer(peer)) }
        }
        await #expect(throws: CommandStop.self) {
            try await LogPlace.with(regional) { try await Story(log: $0).lines(of: .job(JobID(rawValue: 1))) }
        }
    }
}
