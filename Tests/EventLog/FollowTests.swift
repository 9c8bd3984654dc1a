import Domain
import EventLog
import Foundation
import Glibc
import Ports
import Testing

@Suite(.timeLimit(.minutes(10))) struct FollowTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func aWaitEndsWithTheAppend() async throws {
        let log = try createLog(directory.path)
        _ = try log.append(testFrames(1...2))
        #expect(await log.waitForAppend(after: LogSequence(rawValue: 1), timeoutMilliseconds: 0))
        let waits = (0..<20).map { _ in
            Task { await log.waitForAppend(after: LogSequence(rawValue: 2), timeoutMilliseconds: 60_000) }
        }
        _ = try log.append(testFrames(3...3))
        for wait in waits { #expect(await wait.value) }
    }

    @Test func aWaitEndsWithItsTime() async throws {
        let log = try createLog(directory.path)
        #expect(await log.waitForAppend(after: .zero, timeoutMilliseconds: 5) == false)
    }

    /// Every append is a race with the waits that begin around it; a wakeup that got lost would end in `false`.
    @Test func noWakeupIsLost() async throws {
        let log = try createLog(directory.path)
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for sequence in 0..<40 as Range<UInt64> {
                        let after = LogSequence(rawValue: sequence)
                        guard await log.waitForAppend(after: after, timeoutMilliseconds: 60_000) else { return false }
                    }
                    return true
                }
            }
            for sequence in 1...40 as ClosedRange<UInt64> {
                #expect(throws: Never.self) { try log.append([testFrame(sequence)]) }
                await Task.yield()
            }
            for await isAwake in group { #expect(isAwake) }
        }
    }

    @Test func aTailInTheSameProcessSeesEveryBatch() async throws {
        let log = try createLog(directory.path)
        let first = try log.append(testFrames(1...3))
        let following = Task { () -> [FrameBatch] in
            var seen: [FrameBatch] = []
            for try await batch in log.tail(after: first, maximumFrames: 2) {
                seen.append(batch)
                if seen.count == 10 { break }
            }
            return seen
        }
        for batch in 0..<10 as Range<UInt64> { _ = try log.append(testFrames(4 + batch * 3...6 + batch * 3)) }
        let seen = try await following.value
        #expect(seen.flatMap(\.frames) == testFrames(4...33))
        #expect(seen.last?.end == (try log.head()))
    }

    @Test func aTailInAnotherProcessSeesEveryBatch() async throws {
        let log = try createLog(directory.path)
        let first = try log.append(testFrames(1...3))
        async let writing: Void = writeUntilRead(log, mark: directory.inside("seen"))
        await #expect(processExitsWith: .success) {
            [path = directory.path as String, chain = first.chain.hex as String] in
            let log = try openReader(path)
            let digest = try #require(Digest(hex: chain))
            let start = LogPosition(
                log: testIdentity, epoch: .first, sequence: LogSequence(rawValue: 3), chain: digest)
            var next: UInt64 = 4
            for try await batch in log.tail(after: start) {
                for frame in batch.frames {
                    try #require(frame == testFrame(next))
                    next += 1
                }
                if next > 24 { break }
            }
            try Data().write(to: URL(fileURLWithPath: path + "/seen"))
        }
        try await writing
        #expect(try log.head().sequence.rawValue >= 24)
    }

    private func writeUntilRead(_ log: EventLog, mark: String) async throws {
        var next: UInt64 = 4
        try await eventually("the other process read nothing") {
            if next < 400 {
                _ = try log.append(testFrames(next...next + 1))
                next += 2
            }
            return FileManager.default.fileExists(atPath: mark)
        }
    }

    @Test func verifyRunsInAnotherProcessWhileTheLogIsWritten() async throws {
        let log = try createLog(directory.path)
        _ = try log.append(testFrames(1...500))
        async let writing: Void = writeUntilRead501(log)
        await #expect(processExitsWith: .success) { [path = directory.path as String] in
            var settings = smallSettings()
            settings.verifyFramesPerTransaction = 10
            let log = try EventLog.open(directory: path, mode: .readOnly, settings: settings)
            for _ in 0..<5 {
                let report = try log.verify()
                try #require(report.isSound && report.frames >= 500 && report.frames == report.sequence.rawValue)
            }
            try Data().write(to: URL(fileURLWithPath: path + "/seen"))
        }
        try await writing
    }

    private func writeUntilRead501(_ log: EventLog) async throws {
        var next: UInt64 = 501
        let mark = directory.inside("seen")
        try await eventually("the other process verified nothing") {
            if next < 900 {
                _ = try log.append(testFrames(next...next + 1))
                next += 2
            }
            return FileManager.default.fileExists(atPath: mark)
        }
    }

    @Test func aTailFromElsewhereIsRefused() async throws {
        let log = try createLog(directory.inside("one"))
        let other = try createLog(directory.inside("two"))
        _ = try log.append(testFrames(1...3))
        let forked = try other.append(testFrames(1...3, bytes: 9))
        let ahead = try other.append(testFrames(4...5))
        for position in [forked, ahead, .start(of: LogIdentity(high: 0, low: 1))] {
            let failure = await #expect(throws: StoreFailure.self) {
                for try await _ in log.tail(after: position) {}
            }
            #expect(failure?.code == "forked")
        }
    }

    @Test func aTailOfALogThatIsReplacedEnds() async throws {
        let path = directory.inside("log")
        do { _ = try createLog(path).append(testFrames(1...3)) }
        do { _ = try createLog(directory.inside("other")).append(testFrames(1...5, bytes: 20)) }
        let reader = try openReader(path)
        var batches = reader.tail(after: .start(of: testIdentity)).makeAsyncIterator()
        #expect(try await batches.next()?.end.sequence == LogSequence(rawValue: 3))
        try FileManager.default.removeItem(atPath: path + "/data.mdb")
        try FileManager.default.moveItem(atPath: directory.inside("other/data.mdb"), toPath: path + "/data.mdb")
        let failure = await #expect(throws: StoreFailure.self) { try await batches.next() }
        #expect(failure?.code == "forked")
    }

    @Test func aCancelledTailEnds() async throws {
        let log = try createLog(directory.path)
        let following = Task { () -> Int in
            var count = 0
            for try await _ in log.tail(after: .start(of: testIdentity)) { count += 1 }
            return count
        }
        following.cancel()
        #expect(try await following.value == 0)
    }
}
