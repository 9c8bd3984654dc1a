import Codec
import Domain
import Foundation
import GRDB
import Synchronization
import Testing

@testable import Views

/// Exactly once, whatever is cut off when; and made again from the log whenever the file is of no use.
struct UpdateTests {
    /// Every batch by itself, and at each step a copy of the file as a crash would leave it: it opens at a batch's end,
    /// says what a fold to there says, and goes on to the same end.
    @Test(arguments: seeds(2))
    func aCopyBetweenAnyTwoStepsIsWhole(seed: UInt64) async throws {
        let history = try GlobalHistory.random(seed: seed, steps: 60)
        let batches = history.log.all
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        for (index, batch) in batches.enumerated() {
            try views.apply([batch])
            try Self.copy(views.path, to: scratch.file("copy"))
            let copy = try scratch.views("copy")
            #expect(copy.opening == .kept)
            #expect(copy.position == batch.end)
            if index.isMultiple(of: 5) {
                #expect(try await copy.difference(from: history.log) == nil)
                try await copy.catchUp(from: history.log)
                #expect(copy.position == history.log.head())
                #expect(try await copy.difference(from: history.log) == nil)
            }
            copy.close()
            try ViewFile<GlobalViews>.remove(scratch.file("copy"))
        }
    }

    /// A log cut off in the middle of its last transaction: the frames of it count for nothing.
    @Test func aTornWriteAheadLogLosesWholeTransactionsOnly() async throws {
        let history = try GlobalHistory.random(seed: 11, steps: 60)
        let batches = history.log.all
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        for batch in batches { try views.apply([batch]) }
        let whole = try FileManager.default.attributesOfItem(atPath: views.path + "-wal")[.size] as? UInt64 ?? 0
        var random = SplitMix64(seed: 11)
        var positions: Set<UInt64> = []
        for _ in 0..<40 {
            let copied = scratch.file("copy")
            try Self.copy(views.path, to: copied)
            let handle = try #require(FileHandle(forUpdatingAtPath: copied + "-wal"))
            try handle.truncate(atOffset: UInt64(random.below(Int(whole))))
            try handle.close()
            let copy = try scratch.views("copy")
            let position = copy.position?.sequence ?? .zero
            positions.insert(position.rawValue)
            #expect(position == .zero || batches.contains { $0.end == copy.position })
            #expect(try await copy.difference(from: history.log) == nil)
            try await copy.catchUp(from: history.log)
            #expect(try await copy.difference(from: history.log) == nil)
            copy.close()
            try ViewFile<GlobalViews>.remove(copied)
        }
        #expect(positions.count > 5)
    }

    private static func copy(_ path: String, to other: String) throws {
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
            try FileManager.default.copyItem(atPath: path + suffix, toPath: other + suffix)
        }
    }

    @Test func oneTransactionForManyBatchesGivesTheSameRows() async throws {
        let history = try GlobalHistory.random(seed: 21, steps: 120)
        let scratch = try Scratch()
        let (once, slowly, again) = (try scratch.views("a"), try scratch.views("b"), try scratch.views("c"))
        defer { [once, slowly, again].forEach { $0.close() } }
        try once.apply(history.log.all)
        for batch in history.log.all { try slowly.apply([batch]) }
        let seen = Mutex<[LogSequence]>([])
        try await again.rebuild(from: history.log) { progress in
            seen.withLock { $0.append(progress.sequence) }
        }
        #expect(seen.withLock { $0 } == [history.log.head().sequence])
        let dumps = try [once, slowly, again].map { try dump($0.path) }
        #expect(dumps[0] == dumps[1] && dumps[1] == dumps[2])
        #expect(dumps[0].count > 200)
    }

    @Test func whatDoesNotContinueIsForked() throws {
        let history = try GlobalHistory.random(seed: 31, steps: 60)
        let batches = history.log.all
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try views.apply(Array(batches.prefix(3)))
        let position = views.position
        var other = batches[3]
        other.end.log = LogIdentity(high: 9, low: 9)
        var altered = batches[3]
        altered.frames[0].header.time.milliseconds += 1
        var short = batches[3]
        short.frames.removeLast()
        var chain = batches[3]
        chain.end.chain = .zero
        var empty = batches[3]
        empty.frames = []
        for wrong in [
            [batches[4]], [batches[2]], [batches[0]], [other], [altered], [short], [chain], [empty],
            [batches[3], batches[5]],
        ] {
            #expect { try views.apply(wrong) } throws: { ($0 as? ViewsFailure)?.code == .forked }
            #expect(views.position == position)
        }
        try views.apply([batches[3], batches[4]])
        #expect(views.position == batches[4].end)
    }

    @Test func anotherChainIsMadeAgain() async throws {
        let scratch = try Scratch()
        let mine = try GlobalHistory.random(seed: 41, steps: 40)
        let views = try scratch.views()
        defer { views.close() }
        for seed in [42, 43] as [UInt64] {
            try await views.catchUp(from: mine.log)
            let theirs = try GlobalHistory.random(seed: seed, steps: 30)
            try await views.catchUp(from: theirs.log)
            #expect(views.position == theirs.log.head())
            #expect(try await views.difference(from: theirs.log) == nil)
            await #expect { try await views.difference(from: mine.log) } throws: {
                ($0 as? ViewsFailure)?.code == .forked
            }
        }
    }

    @Test func aFileOfNoUseIsReplaced() async throws {
        let history = try GlobalHistory.random(seed: 51, steps: 40)
        let scratch = try Scratch()
        let damages: [(String, (String) throws -> Void)] = [
            ("text", { try Data("not a database, certainly".utf8).write(to: URL(fileURLWithPath: $0)) }),
            ("cut", { try FileHandle(forUpdatingAtPath: $0)?.truncate(atOffset: 5000) }),
            ("kind", { try Self.execute("UPDATE view_state SET kind = 'regional'", $0) }),
            ("state", { try Self.execute("DELETE FROM view_state", $0) }),
            ("table", { try Self.execute("DROP TABLE view_state", $0) }),
            ("events", { try Self.execute("DELETE FROM event_rows WHERE sequence > 20", $0) }),
            ("position", { try Self.execute("UPDATE view_state SET end_sequence = 3", $0) }),
            ("chain", { try Self.execute("UPDATE view_state SET chain = 'x'", $0) }),
        ]
        for (name, damage) in damages {
            let views = try scratch.views(name)
            #expect(views.opening == .created)
            try await views.catchUp(from: history.log)
            views.close()
            try damage(scratch.file(name))
            let again = try scratch.views(name)
            guard case .replaced = again.opening else {
                Issue.record("\(name): \(again.opening)")
                continue
            }
            #expect(again.position == nil, "\(name)")
            try await again.catchUp(from: history.log)
            #expect(try await again.difference(from: history.log) == nil, "\(name)")
            again.close()
            let kept = try scratch.views(name)
            #expect(kept.opening == .kept)
            kept.close()
        }
    }

    /// The file is spoilt behind the open views' back: the next update finds out and makes it again.
    @Test(arguments: [
        "DELETE FROM view_state", "DROP TABLE job_versions",
        "INSERT INTO event_rows SELECT sequence + 1, epoch, time, type, revision, actor, command, cause, key, derived, job, "
            + "app, region, worker, peer, payload FROM event_rows ORDER BY sequence DESC LIMIT 1",
    ])
    func damageFoundByAnUpdateIsMended(change: String) async throws {
        var history = try GlobalHistory.random(seed: 52, steps: 40)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        try Self.execute(change, views.path)
        try history.send(.queue(.enqueue(JobRequest(app: app("web"), repository: "r", commit: commitID(77)))))
        try history.commit()
        try await views.catchUp(from: history.log)
        #expect(views.position == history.log.head())
        #expect(try await views.difference(from: history.log) == nil)
    }

    /// Copying a long log ends when the views are closed, not when the log does.
    @Test func aLongUpdateGivesUpAtTheEnd() async throws {
        let history = try GlobalHistory.random(seed: 53, steps: 60)
        let scratch = try Scratch()
        var settings = ViewSettings()
        settings.eventsAtOnce = 1
        let views = try scratch.views(settings: settings)
        let steps = Mutex(0)
        await #expect {
            try await views.catchUp(from: history.log) { _ in
                steps.withLock { $0 += 1 }
                views.closeAside()
                while !views.isClosed { usleep(1000) }
            }
        } throws: { ($0 as? ViewsFailure)?.code == .closed }
        #expect(steps.withLock { $0 } == 1)
    }

    /// The finished file vanishes before it takes the old one's place: the next update goes on with what is there.
    @Test func aFailureInPuttingAFileInPlaceIsNotTheEnd() async throws {
        let history = try GlobalHistory.random(seed: 54, steps: 40)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        await #expect(throws: ViewsFailure.self) {
            try await views.rebuild(from: history.log) { _ in
                try? FileManager.default.removeItem(atPath: views.path + ".rebuild")
            }
        }
        #expect(views.position == nil)
        try await views.catchUp(from: history.log)
        #expect(views.position == history.log.head())
        #expect(try await views.difference(from: history.log) == nil)
    }

    /// Who asks while the file is made again is told to come back, running or waiting.
    @Test func queriesDuringARebuildAreBehind() async throws {
        let history = try GlobalHistory.random(seed: 55, steps: 40)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        let codes = await withTaskGroup(of: ViewsFailure.Code?.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do throws(ViewsFailure) {
                        _ = try await views.query(endless)
                        return nil
                    } catch { return error.code }
                }
            }
            try? await Task.sleep(for: .milliseconds(300))
            _ = try? await views.rebuild(from: history.log)
            return await group.reduce(into: [ViewsFailure.Code?]()) { $0.append($1) }
        }
        #expect(codes == Array(repeating: .behind, count: 8))
        #expect(views.rebuilds == 1)
    }

    private static func execute(_ sql: String, _ path: String) throws {
        try DatabaseQueue(path: path).write { try $0.execute(sql: sql) }
    }

    /// Each of these is one wrong row; all must be seen.
    @Test func aDifferenceIsFound() async throws {
        let history = try GlobalHistory.random(seed: 61, steps: 200)
        let scratch = try Scratch()
        let changes = [
            "UPDATE job_versions SET status = 'failed' WHERE from_sequence = (SELECT max(from_sequence) FROM job_versions)",
            "DELETE FROM heartbeat_rows WHERE sequence = (SELECT max(sequence) FROM heartbeat_rows)",
            "INSERT INTO refusal_rows VALUES (9999999, 1, 1, 1, 'x', 'y', 1)",
            "UPDATE region_versions SET to_sequence = to_sequence + 1 WHERE to_sequence IS NOT NULL",
            "UPDATE event_rows SET payload = x'00' WHERE sequence = 2",
            "UPDATE actors SET name = 'person:eve' WHERE id = 2",
            "UPDATE target_versions SET build = build + 1",
        ]
        for (index, change) in changes.enumerated() {
            let views = try scratch.views("\(index)")
            defer { views.close() }
            try await views.catchUp(from: history.log)
            #expect(try await views.difference(from: history.log) == nil)
            try Self.execute(change, views.path)
            let found = try await views.difference(from: history.log)
            #expect(found != nil, "\(change)")
            #expect(change.contains(found?.table ?? "nothing"), "\(change): \(found.map { "\($0)" } ?? "")")
            #expect(!FileManager.default.fileExists(atPath: views.path + ".verify"))
        }
    }

    @Test func anEmptyFileFarBehindIsMadeAtOnce() async throws {
        let history = try GlobalHistory.random(seed: 71, steps: 300)
        let scratch = try Scratch()
        var settings = ViewSettings()
        settings.rebuildEvents = 10
        settings.eventsAtOnce = 16
        let views = try scratch.views(settings: settings)
        defer { views.close() }
        let goals = Mutex<[ViewProgress]>([])
        try await views.catchUp(from: history.log) { progress in goals.withLock { $0.append(progress) } }
        let head = history.log.head().sequence
        #expect(goals.withLock { $0.last } == ViewProgress(sequence: head, goal: head))
        #expect(goals.withLock { $0.count } > 5)
        #expect(try await views.difference(from: history.log) == nil)
        #expect(!FileManager.default.fileExists(atPath: views.path + ".rebuild"))
        #expect(try await views.query("SELECT max(sequence) FROM events").lines == ["\(head)"])
    }

    @Test func anInformativeEventOfAnUnknownTypeIsKept() async throws {
        let history = try GlobalHistory.random(seed: 81, steps: 20)
        let head = history.log.head()
        let header = FrameHeader(
            epoch: head.epoch, sequence: head.sequence.next, time: history.now, command: head.sequence.next,
            actor: .person("ada"))
        try history.log.append([Frame(header: header, type: 0xFFF0, schemaRevision: 1, payload: [1, 2, 3])])
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        let found = try await views.query("SELECT type, actor, data FROM events ORDER BY sequence DESC LIMIT 1")
        #expect(found.lines == ["type-65520|person:ada|"])
        var essential = header
        essential.sequence = header.sequence.next
        try history.log.append([Frame(header: essential, type: 0x7FF0, schemaRevision: 1, payload: [])])
        await #expect { try await views.catchUp(from: history.log) } throws: {
            ($0 as? ViewsFailure)?.code == .undecodable
        }
        #expect(views.position?.sequence == header.sequence)
    }

    /// Events may gather while nobody reads; whoever waits ends that.
    @Test(.timeLimit(.minutes(5))) func aRestEndsWhenSomebodyWaits() async throws {
        let history = try GlobalHistory.random(seed: 92, steps: 30)
        let batch = history.log.all[0]
        let scratch = try Scratch()
        let views = try scratch.views()
        let start = ContinuousClock.now
        await views.rest(milliseconds: 20)
        #expect(start.duration(to: .now) >= .milliseconds(20))
        async let rested: Void = views.rest(milliseconds: 3_600_000)
        async let waited: Void = views.waitUntil(batch.end.sequence, timeoutMilliseconds: 3_600_000)
        await rested
        await views.rest(milliseconds: 3_600_000)
        try views.apply([batch])
        try await waited
        async let last: Void = views.rest(milliseconds: 3_600_000)
        views.close()
        await last
    }

    @Test func waitsEndWhenTheSequenceIsThereOrTheTimeIsOver() async throws {
        let history = try GlobalHistory.random(seed: 91, steps: 30)
        let batches = history.log.all
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try views.apply([batches[0]])
        try await views.waitUntil(batches[0].end.sequence, timeoutMilliseconds: 0)
        await #expect { try await views.waitUntil(batches[1].end.sequence, timeoutMilliseconds: 20) } throws: {
            ($0 as? ViewsFailure)?.code == .behind
        }
        async let waited: Void = views.waitUntil(batches[2].end.sequence, timeoutMilliseconds: 60_000)
        try views.apply([batches[1]])
        try views.apply([batches[2]])
        try await waited
        let task = Task { try await views.waitUntil(LogSequence(rawValue: 1 << 40), timeoutMilliseconds: 600_000) }
        task.cancel()
        await #expect { try await task.value } throws: { ($0 as? ViewsFailure)?.code == .cancelled }
        let closing = Task { try await views.waitUntil(LogSequence(rawValue: 1 << 40), timeoutMilliseconds: 600_000) }
        views.close()
        await #expect { try await closing.value } throws: { ($0 as? ViewsFailure)?.code == .closed }
    }
}
