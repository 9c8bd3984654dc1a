import Codec
import Domain
import Foundation
import GRDB
import Ports
import Synchronization
import Testing

@testable import Views

/// A file that another version made: it is read, at its position, until a new one is whole beside it.
struct OutdatedTests {
    /// What another version would have left: a view that this one has not, no `builds`, and another fingerprint.
    private static func makeOlder(_ path: String) throws {
        let database = try DatabaseQueue(path: path)
        try database.write { database in
            try database.execute(sql: "UPDATE view_state SET schema = 'older'; DROP VIEW builds")
            try database.execute(
                sql: "CREATE VIEW old_words AS SELECT count(*) AS events, max(sequence) AS last FROM event_rows")
        }
        try database.close()
    }

    private func older(_ scratch: Scratch, _ history: GlobalHistory) async throws -> LogSequence {
        let views = try scratch.views()
        try await views.catchUp(from: history.log)
        let position = try #require(views.position)
        views.close()
        try Self.makeOlder(scratch.file())
        return position.sequence
    }

    @Test func itIsReadUntilTheNewOneIsWhole() async throws {
        var history = try GlobalHistory.random(seed: 61, steps: 60)
        let scratch = try Scratch()
        let old = try await older(scratch, history)
        try history.send(.queue(.enqueue(JobRequest(app: app("web"), repository: "r", commit: commitID(77)))))
        try history.commit()
        let views = try scratch.views()
        defer { views.close() }
        #expect(views.opening == .outdated && views.isOutdated && views.position?.sequence == old)
        try await views.waitUntil(old, timeoutMilliseconds: 0)
        await #expect(throws: ViewsFailure.self) { try await views.waitUntil(old.next, timeoutMilliseconds: 0) }

        let gate = GatedLog(history.log)
        let making = Task { try await views.catchUp(from: gate) }
        await gate.isReached()
        // In the middle of it: the old views, now and at a sequence, with what it is true at.
        let now = try await views.query("SELECT * FROM old_words")
        #expect(now.lines == ["\(old)|\(old)"] && now.sequence == old)
        let then = try await views.query("SELECT * FROM old_words", at: LogSequence(rawValue: 5))
        #expect(then.lines == ["5|5"])
        await #expect(throws: ViewsFailure.self) { try await views.query("SELECT * FROM builds") }
        gate.open()

        #expect(try await making.value == history.log.head())
        #expect(!views.isOutdated && views.rebuilds == 1)
        #expect(try await views.query("SELECT count(*) FROM builds").sequence == history.log.head().sequence)
        await #expect(throws: ViewsFailure.self) { try await views.query("SELECT * FROM old_words") }
        #expect(try await views.difference(from: history.log) == nil)
    }

    /// Killed before the switch, the next start finds the old file and what was made beside it.
    @Test func whoDiesBeforeTheSwitchBeginsAgain() async throws {
        let history = try GlobalHistory.random(seed: 62, steps: 60)
        let scratch = try Scratch()
        let old = try await older(scratch, history)
        try Data("half a file".utf8).write(to: URL(fileURLWithPath: scratch.file() + ".rebuild"))
        let views = try scratch.views()
        defer { views.close() }
        #expect(try await views.query("SELECT * FROM old_words").lines == ["\(old)|\(old)"])
        try await views.catchUp(from: history.log)
        #expect(try await views.difference(from: history.log) == nil)
        #expect(!FileManager.default.fileExists(atPath: scratch.file() + ".rebuild"))
    }

    /// A failure to make the new one leaves the old one to be read.
    @Test func aFailureLeavesTheOldOne() async throws {
        let history = try GlobalHistory.random(seed: 63, steps: 60)
        let scratch = try Scratch()
        let old = try await older(scratch, history)
        let views = try scratch.views()
        defer { views.close() }
        let gate = GatedLog(history.log, fails: true)
        gate.open()
        await #expect(throws: ViewsFailure.self) { try await views.catchUp(from: gate) }
        #expect(views.isOutdated)
        #expect(try await views.query("SELECT * FROM old_words").lines == ["\(old)|\(old)"])
    }
}

/// A log whose first read waits until it is let.
private final class GatedLog: LogStore {
    private let log: ArrayLog
    private let fails: Bool
    private let gate = DispatchSemaphore(value: 0)
    private let reached = AsyncStream.makeStream(of: Void.self)
    private let isOpen = Mutex(false)

    init(_ log: ArrayLog, fails: Bool = false) { (self.log, self.fails) = (log, fails) }

    var identity: LogIdentity { log.identity }

    func isReached() async { for await _ in reached.stream { return } }

    func open() { gate.signal() }

    func head() throws(StoreFailure) -> LogPosition { log.head() }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition { try log.append(frames) }

    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        reached.continuation.yield()
        let wasOpen = isOpen.withLock { isOpen in
            defer { isOpen = true }
            return isOpen
        }
        if !wasOpen { gate.wait() }
        if fails { throw StoreFailure(code: "io", message: "a planted fault", outcome: .unchanged) }
        return log.read(after: sequence, maximumFrames: maximumFrames)
    }

    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? { log.position(at: sequence) }

    func reopen() throws(StoreFailure) {}
}
