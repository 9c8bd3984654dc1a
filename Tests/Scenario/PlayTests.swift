import ArgumentParser
import Domain
import Foundation
import Testing

@testable import Commands

/// Playing recorded logs again: what each event changed in the state.
@Suite struct PlayTests {
    private func file(_ scenario: String, _ name: String = RecordedLog.global) -> String {
        RecordedLog(scenario: scenario, name: name).folder.appending(path: "log.ndjson").path
    }

    private func changes(
        _ scenario: String, _ name: String = RecordedLog.global, shown: [String]? = nil, after first: UInt64,
        upTo last: UInt64
    ) async throws -> [String] {
        try await LogPlace.with(file(scenario, name)) { log in
            let changes = try await StateChanges(log: log, shown: shown)
                .changes(after: LogSequence(rawValue: first), upTo: LogSequence(rawValue: last))
            return changes.sorted { $0.key < $1.key }.flatMap { sequence, changes in
                changes.map { "\(sequence) \($0.words)" }
            }
        }
    }

    /// In crash a worker is lost with job 1; another one takes it.
    @Test func aJobsWayIsToldInItsStates() async throws {
        let changes = try await changes("crash", shown: ["jobs"], after: 0, upTo: 24)
        #expect(
            changes.filter { $0.contains(" job 1:") } == [
                "7 job 1: queued", "8 job 1: queued -> running (attempt 1 on builder-1)",
                "13 job 1: running (attempt 1 on builder-1) -> queued",
                "14 job 1: queued -> running (attempt 2 on builder-2)",
                "20 job 1: running (attempt 2 on builder-2) -> running (attempt 2 on builder-2, uploaded)",
                "24 job 1: running (attempt 2 on builder-2, uploaded) -> succeeded",
            ], "\(changes)")
    }

    @Test func everyPartOfTheStateIsTold() async throws {
        let changes = try await changes("first-deploy", after: 0, upTo: 61)
        for words in [
            "job 2: running (attempt 1 on builder-1) -> failed (exit)", ", to be cancelled",
            "build 1 in region two: stored",
            "deployment 1.1: waiting -> running", "target of hello (global): build 1 at revision",
            "region one: live", "worker builder-1: idle -> waiting", "2 of 2 healthy",
        ] { #expect(changes.contains { $0.contains(words) }, "\(words)") }
        let regional = try await self.changes("crash", "region-one", after: 0, upTo: 1000)
        for words in [
            "pack 3: wanted, its job goes on", "hello on peer one-1: ", "peer one-2: live", "region two: live",
        ] {
            #expect(regional.contains { $0.contains(words) }, "\(words)")
        }
    }

    /// Whatever the pages, the changes are the same; and those of a row follow on each other.
    @Test(arguments: Seeds.logs) func changesFollowOnEachOther(_ log: RecordedLog) async throws {
        try await LogPlace.with(log.folder.appending(path: "log.ndjson").path) { asked in
            let head = try await asked.head()
            let changes = try StateChanges(log: asked)
            let whole = try await changes.changes(after: .zero, upTo: head)
            var (paged, last) = ([LogSequence: [StateChanges.Change]](), UInt64(0))
            while last < head.rawValue {
                let next = min(last + 7, head.rawValue)
                let page = try await changes.changes(
                    after: LogSequence(rawValue: last), upTo: LogSequence(rawValue: next))
                paged.merge(page) { $0 + $1 }
                last = next
            }
            #expect(whole == paged)
            var states: [String: String] = [:]
            for (sequence, changes) in whole.sorted(by: { $0.key < $1.key }) {
                for change in changes {
                    let name = "\(change.of) \(change.subject)"
                    #expect(change.before == nil || states[name] == change.before, "\(sequence): \(change.words)")
                    states[name] = change.after
                }
            }
            #expect(!states.isEmpty)
        }
    }

    @Test func otherPartsAreRefusedWithTheNamesOfThoseThereAre() async throws {
        try await LogPlace.with(file("crash")) { log in
            let stop = #expect(throws: CommandStop.self) { try StateChanges(log: log, shown: ["jobs", "peers"]) }
            #expect(stop?.exit == .refused && stop?.message.contains("jobs, packs, deployments") == true)
        }
        try await LogPlace.with(file("crash", "region-one")) { log in
            #expect(throws: CommandStop.self) { try StateChanges(log: log, shown: ["jobs"]) }
            _ = try StateChanges(log: log, shown: ["peers"])
        }
    }

    @Test(arguments: [
        ["--until", "SELECT 0"], ["--until", "SELECT nothing"], ["--from", "30", "--until", "20"], ["--until", "88"],
        ["--from", "2000-01-01T00:00:00Z"], ["--step", "--json"], ["--show", "nothing"],
    ]) func whatCannotBePlayedIsRefused(_ arguments: [String]) async throws {
        let command = try ReplayCommand.parse([file("crash")] + arguments)
        await #expect(throws: CommandStop.self, "\(arguments)") { try await command.run() }
    }

    @Test func untilAStatementEndsWhereItFirstHolds() async throws {
        try await LogPlace.with(file("crash")) { log in
            var bisection = Bisection(log: log, statement: "SELECT count(*) FROM jobs WHERE status = 'running'")
            for (start, found) in [(UInt64(0), UInt64(8)), (10, 10), (13, 14)] {
                let truth = try await bisection.firstTruth(from: LogSequence(rawValue: start))
                #expect(truth?.rawValue == found)
            }
        }
    }
}
