import Domain
import EventLog
import Foundation
import Ports
import Testing
import Views

@testable import Commands

/// The SQL views of recorded logs.
@Suite struct ViewTests {
    @Test(arguments: Seeds.logs) func theViewsAreAsExpected(_ log: RecordedLog) async throws {
        try await log.check(ExpectedViews())
    }

    @Test(arguments: Seeds.logs) func thePastIsTheFoldOfItsPrefix(_ log: RecordedLog) async throws {
        try await log.check(PastViews())
    }

    @Test(arguments: Seeds.logs) func batchForBatchIsTheSameAsAllAtOnce(_ log: RecordedLog) async throws {
        try await log.check(GrownViews())
    }

    /// What is not there is NULL, not an empty text: `WHERE manifest IS NOT NULL` finds what was built.
    @Test func aJobWithoutAPackHasNoManifest() async throws {
        let scratch = try Scratch()
        let views = try GlobalKind.openViews(scratch.inside("views.sqlite"))
        defer { views.close() }
        try views.apply(try batches(RecordedLog(scenario: "first-deploy", name: RecordedLog.global).bytes()))
        let rows = try await views.query("SELECT id, status, manifest IS NULL FROM jobs ORDER BY id").rows
        let (built, failed) = (SQLValue.text("succeeded"), SQLValue.text("failed"))
        #expect(
            rows == [
                [.integer(1), built, .integer(0)], [.integer(2), failed, .integer(1)],
                [.integer(3), failed, .integer(1)], [.integer(4), built, .integer(0)],
            ])
    }
}

private struct ExpectedViews: KindCheck {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) async throws {
        let scratch = try Scratch()
        let store = try EventLog.made(scratch.inside("log"), of: try batches(log.bytes()))
        let views = try Kind.openViews(scratch.inside("views.sqlite"))
        defer { views.close() }
        #expect(try await views.catchUp(from: store) == store.head())
        let dump = try await ViewDump.of(views)
        let folder = log.folder.appending(path: "views")
        if Seeds.rewrites { try dump.write(to: folder) }
        #expect(try dump.differences(from: ViewDump(folder: folder)) == [], "\(log.testDescription)")
    }
}

/// As of a sequence, the whole log's views say what the views of the log up to there say.
private struct PastViews: KindCheck {
    static let places = 4

    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) async throws {
        let recorded = try batches(log.bytes())
        let scratch = try Scratch()
        let store = try EventLog.made(scratch.inside("log"), of: recorded)
        let views = try Kind.openViews(scratch.inside("views.sqlite"))
        defer { views.close() }
        try await views.catchUp(from: store)
        for place in 1...Self.places {
            let prefix = recorded.prefix(max(1, recorded.count * place / (Self.places + 1)))
            let end = try #require(prefix.last).end.sequence
            let young = try Kind.openViews(scratch.inside("views-\(place).sqlite"))
            defer { young.close() }
            try young.apply(Array(prefix))
            let past = try await ViewDump.of(views, at: end)
            let expected = try await ViewDump.of(young).past
            #expect(past.differences(from: expected) == [], "\(log.testDescription) at \(end)")
            // The check can fail: the present is another one.
            #expect(try await ViewDump.of(views).past.differences(from: expected) != [])
        }
    }
}

private struct GrownViews: KindCheck {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) async throws {
        let recorded = try batches(log.bytes())
        let scratch = try Scratch()
        let store = try EventLog.made(scratch.inside("log"), of: recorded)
        let views = try Kind.openViews(scratch.inside("views.sqlite"))
        defer { views.close() }
        for batch in recorded { try views.apply([batch]) }
        #expect(try await views.difference(from: store) == nil)
        let grown = try await ViewDump.of(views)
        try await views.rebuild(from: store)
        #expect(try await ViewDump.of(views).differences(from: grown) == [], "\(log.testDescription)")
    }
}
