import Codec
import Domain
import EventLog
import Foundation
import Testing
import Wire

@testable import Commands

/// Looking for the event that made a statement true, in recorded logs.
@Suite struct BisectTests {
    private static let failed = "SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'failed')"

    private func export(_ scenario: String, _ name: String = RecordedLog.global) -> String {
        RecordedLog(scenario: scenario, name: name).folder.appending(path: "log.ndjson").path
    }

    private func any(_ statement: String, in log: String) async throws -> LogSequence {
        try await LogPlace.with(log) { log in
            var bisection = Bisection(log: log, statement: statement)
            return try await bisection.anyChange()
        }
    }

    private func first(_ statement: String, in log: String) async throws -> LogSequence {
        try await LogPlace.with(log) { log in
            var bisection = Bisection(log: log, statement: statement)
            return try await bisection.firstChange()
        }
    }

    private func number(_ number: UInt64) -> LogSequence { LogSequence(rawValue: number) }

    /// In first-deploy job 2 fails at event 26, job 3 at 33.
    @Test func findsTheFirstFailure() async throws {
        #expect(try await any(Self.failed, in: export("first-deploy")) == number(26))
        #expect(try await first(Self.failed, in: export("first-deploy")) == number(26))
    }

    /// It holds from 24 to 25 (job 2 runs), and at three other times: binary search finds none that way.
    @Test func aPassingStateIsFoundByScanning() async throws {
        let running = "SELECT count(*) FROM jobs WHERE status = 'running' AND id = 2"
        await #expect(throws: CommandStop.self) { try await any(running, in: export("first-deploy")) }
        #expect(try await first(running, in: export("first-deploy")) == number(24))
    }

    /// The events' own table changes at every sequence, and heartbeats and targets in tables of theirs.
    @Test(arguments: [
        ("SELECT max(sequence) >= 17 FROM events", UInt64(17)),
        ("SELECT count(*) FROM heartbeats WHERE counter = 1", 31),
        ("SELECT count(DISTINCT deployment) = 3 FROM target_history", 53),
        ("SELECT count(*) > 1 FROM regions", 3),
        ("SELECT as_of() > 40", 41),
    ])
    func scansWhatTheStatementReads(_ statement: String, _ sequence: UInt64) async throws {
        #expect(try await first(statement, in: export("first-deploy")) == number(sequence))
        #expect(try await any(statement, in: export("first-deploy")) == number(sequence))
    }

    /// Whatever is found, the statement is false before it and true at it; the scan agrees with asking everywhere.
    @Test(arguments: ["first-deploy", "crash"])
    func whatIsFoundIsAChange(_ scenario: String) async throws {
        let statements = [
            Self.failed, "SELECT count(*) >= 2 FROM builds", "SELECT EXISTS (SELECT 1 FROM deployments)",
            "SELECT count(*) % 2 FROM current_jobs WHERE status <> 'queued'",
        ]
        try await LogPlace.with(export(scenario)) { log in
            let head = try await log.head()
            for statement in statements {
                var truth: [Bool] = []
                for sequence in 0...head.rawValue {
                    let answer = try await log.query(statement, at: number(sequence))
                    truth.append(answer.rows == [[.integer(1)]])
                }
                let changes = truth.indices.dropFirst().filter { truth[$0] && !truth[$0 - 1] }
                var bisection = Bisection(log: log, statement: statement)
                guard !changes.isEmpty else {
                    await #expect(throws: CommandStop.self) { try await bisection.firstChange() }
                    continue
                }
                let first = try await bisection.firstChange()
                #expect(Int(first.rawValue) == changes.first, "\(scenario): \(statement)")
                guard truth.last == true else { continue }
                var search = Bisection(log: log, statement: statement)
                let any = try await search.anyChange()
                #expect(changes.contains(Int(any.rawValue)), "\(scenario): \(statement)")
                #expect(search.statements <= 12)
            }
        }
    }

    @Test(arguments: [
        "SELECT id FROM jobs", "SELECT 1, 2", "SELECT status FROM jobs WHERE id = 1", "SELECT 'yes'",
        "DELETE FROM jobs",
        "SELECT", "SELECT 0",
    ])
    func whatIsNoTruthValueIsRefused(_ statement: String) async throws {
        await #expect(throws: CommandStop.self) { try await any(statement, in: export("first-deploy")) }
    }

    @Test func whatHoldsFromTheStartIsNoChange() async throws {
        await #expect(throws: CommandStop.self) { try await any("SELECT 1", in: export("first-deploy")) }
        await #expect(throws: CommandStop.self) { try await first("SELECT 1", in: export("first-deploy")) }
    }

    /// A log's directory, a data directory and an export of one log say the same.
    @Test func everyFormOfALogIsOpened() async throws {
        let twoBuilds = "SELECT count(*) >= 2 FROM builds"
        let scratch = try Scratch()
        let data = scratch.inside("data")
        try FileManager.default.createDirectory(atPath: data + "/global", withIntermediateDirectories: true)
        _ = try LogText.import(export("crash"), to: data + "/global/log")
        let expected = try await any(twoBuilds, in: export("crash"))
        for place in [data, data + "/global", data + "/global/log"] {
            #expect(try await any(twoBuilds, in: place) == expected)
        }
        await #expect(throws: CommandStop.self) { try await any("SELECT 1", in: scratch.path) }
        await #expect(throws: CommandStop.self) { try await any("SELECT 1", in: scratch.inside("nowhere")) }
    }

    @Test func aRegionsLogIsOpenedToo() async throws {
        let statement = "SELECT EXISTS (SELECT 1 FROM peers)"
        let found = try await first(statement, in: export("crash", "region-one"))
        let said = try await LogPlace.with(export("crash", "region-one")) { log in
            try await log.events(where: "e.sequence = \(found)").map(\.words)
        }
        #expect(said.count == 1)
        #expect(said.first?.contains(" enrolled, at ") == true, "\(said)")
    }

    /// Nothing is folded from a file with a damaged line, and nothing stays behind.
    @Test func aDamagedExportIsRefused() async throws {
        let scratch = try Scratch()
        var damaged = lines(try RecordedLog(scenario: "crash", name: RecordedLog.global).bytes())
        damaged.swapAt(20, 22)
        try Data(text(damaged)).write(to: URL(filePath: scratch.inside("damaged")))
        await #expect(throws: CommandStop.self) { try await any(Self.failed, in: scratch.inside("damaged")) }
    }

    /// Every event of every recorded log has a sentence and its fields.
    @Test(arguments: Seeds.logs) func everyEventHasWords(_ log: RecordedLog) async throws {
        let recorded = try batches(log.bytes()).flatMap(\.frames)
        let told = try await LogPlace.with(log.folder.appending(path: "log.ndjson").path) {
            try await $0.events(where: "1")
        }
        #expect(told.map(\.frame) == recorded)
        for event in told {
            #expect(!event.words.contains("cannot read") && !event.words.contains("\n"), "\(event.words)")
            #expect(event.data?.text.hasPrefix("{") == true)
        }
    }
}
