import Domain
import EventLog
import Foundation
import Ports
import Testing

@Suite struct AppendReadTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func anEmptyLogIsAtItsStart() throws {
        let log = try createLog(directory.inside("a/b/log"))
        #expect(log.identity == testIdentity)
        #expect(try log.head() == .start(of: testIdentity))
        #expect(try log.read(after: .zero, maximumFrames: 10).isEmpty)
        #expect(try log.append([]) == .start(of: testIdentity))
        #expect(try log.position(at: .zero) == .start(of: testIdentity))
        #expect(try log.verify().isSound)
        let files = try FileManager.default.contentsOfDirectory(atPath: log.directory).sorted()
        #expect(files == ["LOCK", "data.mdb", "lock.mdb"])
    }

    @Test func batchesKeepTheirBoundaries() throws {
        let log = try createLog(directory.path)
        let first = try log.append(testFrames(1...4))
        let second = try log.append(testFrames(5...5))
        let third = try log.append(testFrames(6...9, epoch: 2))
        #expect(try log.head() == third)
        #expect(third.epoch == Epoch(rawValue: 2))
        #expect(Set([first.chain, second.chain, third.chain, .zero]).count == 4)
        let batches = try log.read(after: .zero, maximumFrames: 100)
        #expect(batches.map(\.end) == [first, second, third])
        #expect(batches.flatMap(\.frames) == testFrames(1...5) + testFrames(6...9, epoch: 2))
        #expect(try log.read(after: .zero, maximumFrames: 1).map(\.end) == [first])
        #expect(try log.read(after: .zero, maximumFrames: 4).map(\.end) == [first])
        #expect(try log.read(after: .zero, maximumFrames: 5).map(\.end) == [first, second])
        #expect(try log.position(at: LogSequence(rawValue: 5)) == second)
        #expect(try log.position(at: LogSequence(rawValue: 3)) == nil)
        #expect(try log.position(at: LogSequence(rawValue: 10)) == nil)
    }

    @Test func readingFromInsideABatchGivesItsRest() throws {
        let log = try createLog(directory.path)
        let first = try log.append(testFrames(1...4))
        _ = try log.append(testFrames(5...9))
        let batches = try log.read(after: LogSequence(rawValue: 2), maximumFrames: 2)
        #expect(batches == [FrameBatch(frames: testFrames(3...4), end: first)])
        #expect(try log.read(after: LogSequence(rawValue: 9), maximumFrames: 5).isEmpty)
        #expect(try log.read(after: LogSequence(rawValue: 99), maximumFrames: 5).isEmpty)
        #expect(try log.read(after: LogSequence(rawValue: .max), maximumFrames: 5).isEmpty)
    }

    @Test func lendingGivesWhatReadingCopies() throws {
        let log = try createLog(directory.path)
        for range in [1...4, 5...5, 6...20] as [ClosedRange<UInt64>] { _ = try log.append(testFrames(range)) }
        for after in [0, 2, 4, 5, 19, 20, 99, .max] as [UInt64] {
            for maximum in [1, 4, 5, 100] {
                let sequence = LogSequence(rawValue: after)
                var (batches, frames): ([FrameBatch], [Frame]) = ([], [])
                try log.lend(after: sequence, maximumFrames: maximum) { header, type, revision, payload, end in
                    let bytes = payload.indices.map { payload[$0] }
                    frames.append(Frame(header: header, type: type, schemaRevision: revision, payload: bytes))
                    guard let end else { return }
                    batches.append(FrameBatch(frames: frames, end: end))
                    frames = []
                }
                #expect(frames.isEmpty)
                #expect(try batches == log.read(after: sequence, maximumFrames: maximum))
            }
        }
    }

    @Test func gapsAndFallingEpochsAreRefused() throws {
        let log = try createLog(directory.path)
        let end = try log.append(testFrames(1...4, epoch: 3))
        let wrong: [[Frame]] = [
            testFrames(6...7, epoch: 3), testFrames(4...5, epoch: 3), testFrames(1...1, epoch: 3),
            [testFrame(5, epoch: 3), testFrame(7, epoch: 3)], [testFrame(5, epoch: 3), testFrame(5, epoch: 3)],
            testFrames(5...6, epoch: 2), [testFrame(5, epoch: 4), testFrame(6, epoch: 3)],
        ]
        for frames in wrong {
            let failure = #expect(throws: StoreFailure.self) { try log.append(frames) }
            #expect(failure?.code == "out-of-order")
            #expect(failure?.outcome == .unchanged)
        }
        #expect(try log.head() == end)
        _ = try log.append([testFrame(5, epoch: 3), testFrame(6, epoch: 4)])
        #expect(try log.verify().isSound)
    }

    @Test func aFrameThatIsTooLargeChangesNothing() throws {
        let log = try createLog(directory.path)
        let failure = #expect(throws: StoreFailure.self) { try log.append([testFrame(1), testFrame(2, bytes: 1_900)]) }
        #expect(failure?.code == "too-large")
        #expect(failure?.outcome == .unchanged)
        #expect(try log.head().sequence == .zero)
        _ = try log.append([testFrame(1, bytes: 1_800)])
    }

    @Test func aTinyMapGrowsWithTheLog() throws {
        var settings = smallSettings()
        settings.initialMapBytes = 64 << 10
        let log = try createLog(directory.path, settings: settings)
        for batch in 0..<10 as Range<UInt64> {
            _ = try log.append(testFrames(batch * 100 + 1...batch * 100 + 100, bytes: 1_000))
        }
        #expect(try log.verify().frames == 1_000)
        #expect(try log.everything().flatMap(\.frames) == testFrames(1...1_000, bytes: 1_000))
    }

    @Test func aMapThatMayNotGrowIsFull() throws {
        var settings = smallSettings()
        (settings.initialMapBytes, settings.maximumMapBytes) = (128 << 10, 256 << 10)
        let log = try createLog(directory.path, settings: settings)
        let end = try log.append(testFrames(1...10))
        let failure = #expect(throws: StoreFailure.self) { try log.append(testFrames(11...400, bytes: 1_500)) }
        #expect(failure?.code == "map-full")
        #expect(failure?.outcome == .unchanged)
        #expect(try log.head() == end)
        #expect(try log.append(testFrames(11...12)).sequence == LogSequence(rawValue: 12))
    }

    @Test func positionsAreProvedAgainstTheChain() throws {
        let log = try createLog(directory.inside("one"))
        let other = try createLog(directory.inside("two"))
        let common = try log.append(testFrames(1...4))
        #expect(try other.append(testFrames(1...4)) == common)
        let here = try log.append(testFrames(5...8))
        let there = try other.append(testFrames(5...8, bytes: 61))
        let ahead = try other.append(testFrames(9...9))
        _ = try other.append(testFrames(10...10))
        #expect(try log.contains(.start(of: testIdentity)) == .onChain)
        #expect(try log.contains(common) == .onChain)
        #expect(try log.contains(here) == .onChain)
        #expect(try log.contains(there) == .forked(lastCommon: nil))
        #expect(try log.contains(ahead) == .ahead(here))
        var inside = here
        inside.sequence = LogSequence(rawValue: 7)
        #expect(try log.contains(inside) == .notBatchEnd)
        var epoch = here
        epoch.epoch = Epoch(rawValue: 2)
        #expect(try log.contains(epoch) == .forked(lastCommon: nil))
        let foreign = LogIdentity(high: 1, low: 2)
        #expect(try log.contains(.start(of: foreign)) == .otherLog)
        #expect(try log.lastCommon(of: [.start(of: testIdentity), common, there, ahead]) == common)
    }
}
