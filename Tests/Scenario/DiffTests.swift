import Domain
import Foundation
import Testing
import Wire

@testable import Commands

/// What differs between two moments of recorded logs.
@Suite struct DiffTests {
    private func changes(_ scenario: String, _ before: UInt64, _ after: UInt64) async throws -> [LogDifference.Change] {
        let file = RecordedLog(scenario: scenario, name: RecordedLog.global).folder.appending(path: "log.ndjson").path
        return try await LogPlace.with(file) { log in
            var changes: [LogDifference.Change] = []
            let (from, to) = (LogSequence(rawValue: before), LogSequence(rawValue: after))
            try await LogDifference(before: (log, from), after: (log, to)).changes { changes.append($0) }
            return changes
        }
    }

    /// In first-deploy job 2 is claimed by event 24 and fails by event 26.
    @Test func aJobThatFailedIsOneRow() async throws {
        let changes = try await changes("first-deploy", 24, 26)
        #expect(changes.map(\.view) == ["jobs", "workers"])
        let job = try #require(changes.first)
        #expect(job.kind == .changed && job.key == "2")
        let status = LogDifference.Column(name: "status", before: .text("running"), after: .text("failed"))
        #expect(job.columns.contains(status))
        #expect(DiffCommand.rows(job).contains(["*", "jobs", "2", "status: running -> failed"]))
        #expect(DiffCommand.rows(job).allSatisfy { $0.allSatisfy { !$0.contains("\n") } })
    }

    /// Event 43 makes build 4 the target, in the place of build 1.
    @Test func aDeploymentChangesItsTarget() async throws {
        let changes = try await changes("first-deploy", 42, 43)
        let target = try #require(changes.first { $0.view == "targets" })
        #expect(target.key == "hello global")
        #expect(target.columns.contains { $0 == .init(name: "current_build", before: .integer(1), after: .integer(4)) })
        let deployment = try #require(changes.first { $0.view == "deployments" })
        #expect(deployment.columns == [.init(name: "status", before: .text("waiting"), after: .text("running"))])
    }

    @Test func fromTheStartEverythingCame() async throws {
        let changes = try await changes("first-deploy", 0, 61)
        #expect(changes.allSatisfy { $0.kind == .added })
        let counts = Dictionary(grouping: changes, by: \.view).mapValues(\.count)
        #expect(
            counts == ["jobs": 4, "builds": 2, "deployments": 3, "targets": 1, "regions": 2, "workers": 1], "\(counts)")
    }

    /// Backwards, what came has gone and each column's values are swapped.
    @Test(arguments: ["first-deploy", "crash"])
    func backwardsIsTheReverse(_ scenario: String) async throws {
        let (there, back) = (try await changes(scenario, 20, 50), try await changes(scenario, 50, 20))
        func swapped(_ change: LogDifference.Change) -> LogDifference.Change {
            var change = change
            change.kind = change.kind == .added ? .removed : change.kind == .removed ? .added : .changed
            change.columns = change.columns.map { .init(name: $0.name, before: $0.after, after: $0.before) }
            return change
        }
        #expect(!there.isEmpty)
        #expect(Set(there.map(swapped)) == Set(back))
    }

    /// A heartbeat alone is no change; nothing differs from itself.
    @Test func signsOfLifeAreNoChange() async throws {
        #expect(try await changes("first-deploy", 40, 40) == [])
        #expect(try await changes("first-deploy", 54, 55) == [])
    }

    @Test func momentsOfFilesAreInTheirSpan() async throws {
        let file = RecordedLog(scenario: "first-deploy", name: RecordedLog.global).folder.appending(path: "log.ndjson")
        try await LogPlace.with(file.path) { log in
            for (text, sequence) in [
                ("61", UInt64(61)), ("0", 0), ("2026-11-25T16:23:16.393Z", 1), ("2026-11-25T16:23:27.900Z", 26),
                ("2026-11-25T16:23:20.380Z", 10),
            ] {
                let moment = try #require(LogMoment(text))
                #expect(try await log.sequence(of: moment).rawValue == sequence, "\(text)")
            }
            for text in ["62", "2026-11-25T16:23:16.392Z", "2030-01-01T00:00:00Z"] {
                let moment = try #require(LogMoment(text))
                await #expect(throws: CommandStop.self, "\(text)") { try await log.sequence(of: moment) }
            }
        }
    }

    @Test func aRegionsLogIsRefused() async throws {
        let file = RecordedLog(scenario: "crash", name: "region-one").folder.appending(path: "log.ndjson").path
        await #expect(throws: CommandStop.self) {
            try await LogPlace.with(file) { log in
                try await LogDifference(before: (log, .zero), after: (log, LogSequence(rawValue: 9))).changes { _ in }
            }
        }
    }
}
