import ArgumentParser
import Codec
import Domain
import Foundation
import Testing

@testable import Commands

/// Incidents reduced to the fewest events.
@Suite struct ShrinkTests {
    private func file(_ scenario: String) -> String {
        RecordedLog(scenario: scenario, name: RecordedLog.global).folder.appending(path: "log.ndjson").path
    }

    private func shrink(_ statement: String, in scenario: String, attempts: Int = 2000) async throws -> Shrinking {
        let command = try ShrinkCommand.parse([file(scenario), statement, "--attempts", "\(attempts)"])
        let (frames, end) = try await command.incident()
        return try await command.shrink(frames, end)
    }

    private func holds(_ statement: String, _ log: AlternativeLog) async throws -> Bool {
        try await LogPlace.with(log.batches, named: "it") { try await $0.holds(statement, at: log.head.sequence) }
    }

    private static let refusal = "SELECT EXISTS (SELECT 1 FROM refusals)"

    /// A refused late call needs a region, a worker, a job, its attempt, and that one's end; the recorded settings it
    /// does not need, if the lease may be the usual one.
    @Test func aRefusalNeedsEightEvents() async throws {
        let found = try await shrink(Self.refusal, in: "crash")
        #expect(found.log.head.sequence == LogSequence(rawValue: 8))
        #expect(!found.isCut)
        #expect(try await holds(Self.refusal, found.log))
        #expect(found.commands.allSatisfy { !$0.isHeartbeat })
        #expect(found.log.batches.first?.frames.first?.header.time.rfc3339 == "2026-01-01T00:00:00.000Z")
    }

    /// Without any one of its commands it does not hold, and none can come a second sooner.
    @Test(arguments: [refusal, "SELECT EXISTS (SELECT 1 FROM deployments WHERE status = 'succeeded')"])
    func nothingMoreCanGo(_ statement: String) async throws {
        let found = try await shrink(statement, in: "crash")
        for place in found.commands.indices.dropFirst() {
            var fewer = found.commands
            fewer.remove(at: place)
            let (log, _) = AlternativeLog.decided(fewer, identity: found.log.head.log)
            #expect(try await !holds(statement, log), "without command \(place)")
            let gap = found.commands[place].time.millisecondsSince(found.commands[place - 1].time)
            guard gap >= 1000 else { continue }
            var sooner = found.commands
            for later in place..<sooner.count { sooner[later].time = sooner[later].time.adding(milliseconds: -1000) }
            let (early, _) = AlternativeLog.decided(sooner, identity: found.log.head.log)
            #expect(try await !holds(statement, early), "command \(place) a second sooner")
        }
    }

    /// It is a log that the system could have written: each command in it is decided so again.
    @Test func theResultIsDecidedAlikeAgain() async throws {
        let found = try await shrink(Self.refusal, in: "crash")
        var again = DecideAgain<Global>(codec: GlobalCodec())
        try again.take(found.log.batches.flatMap(\.frames))
        #expect(again.differences == [] && again.state == found.log.state)
        #expect(again.commands == 5)
    }

    @Test func theSameInputComesToTheSame() async throws {
        let (one, two) = (
            try await shrink(Self.refusal, in: "crash"), try await shrink(Self.refusal, in: "crash")
        )
        #expect(one.log.head == two.log.head && one.attempts == two.attempts)
    }

    @Test func attemptsAreBounded() async throws {
        let found = try await shrink(Self.refusal, in: "crash", attempts: 5)
        #expect(found.isCut && found.attempts == 5)
        #expect(try await holds(Self.refusal, found.log))
    }

    @Test func theScenarioIsWhatIsReplayed() async throws {
        let scratch = try Scratch()
        let folder = scratch.inside("late-call")
        try await ShrinkCommand.parse([file("crash"), Self.refusal, "--output", folder]).run()
        let log = URL(filePath: folder).appending(path: "global")
        let recorded = try batches([UInt8](Data(contentsOf: log.appending(path: "log.ndjson"))))
        #expect(try RecordedEnd(in: log).end == recorded.last?.end)
        let dump = try await LogPlace.with(recorded, named: "it") { try await $0.dump() }
        #expect(try dump.differences(from: ViewDump(folder: log.appending(path: "views"))) == [])
        let page = try String(contentsOfFile: folder + "/README.md", encoding: .utf8)
        #expect(page.contains(Self.refusal) && page.contains("| 8 | "))
        let again = try ShrinkCommand.parse([file("crash"), Self.refusal, "--output", folder])
        await #expect(throws: CommandStop.self) { try await again.run() }
    }

    @Test(arguments: [
        "SELECT 0", "SELECT 1", "SELECT nothing FROM jobs", "SELECT id FROM jobs", "DELETE FROM jobs",
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE failure_reason = 'nonsense')",
    ]) func whatIsNeverOrAlwaysTrueIsRefused(_ statement: String) async throws {
        let command = try ShrinkCommand.parse([file("crash"), statement])
        await #expect(throws: CommandStop.self) { try await command.run() }
    }

    @Test func otherLogsAreRefused() async throws {
        let regional = RecordedLog(scenario: "crash", name: "region-one").folder.appending(path: "log.ndjson").path
        for arguments in [
            [regional, Self.refusal], ["/nowhere", Self.refusal], [file("crash"), Self.refusal, "--attempts", "0"],
        ] {
            let command = try ShrinkCommand.parse(arguments)
            await #expect(throws: CommandStop.self) { try await command.run() }
        }
    }

    /// What once showed something shows it still: at the end of each shrunk incident its statement holds.
    @Test(arguments: Seeds.shrunk) func whatWasShrunkShowsItStill(_ log: RecordedLog) async throws {
        let predicate = log.folder.deletingLastPathComponent().appending(path: ScenarioFolder.predicate)
        let statement = try String(contentsOf: predicate, encoding: .utf8)
        try await LogPlace.with(log.folder.appending(path: "log.ndjson").path) { asked in
            let head = try await asked.head()
            #expect(try await asked.holds(statement, at: head))
            #expect(try await !asked.holds(statement, at: .zero))
        }
    }
}
