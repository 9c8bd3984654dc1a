import Domain
import EventLog
import Glibc
import Testing

/// Numbers for the reader of the test's output; nothing about time is asserted.
@Suite struct SpeedTests {
    @Test func throughput() throws {
        let directory = try TemporaryDirectory()
        let log = try EventLog.open(directory: directory.path, mode: .create(identity: testIdentity))
        #if DEBUG
            let batches: UInt64 = 3
        #else
            let batches: UInt64 = 300
        #endif
        let frames = (0..<batches).map { testFrames($0 * 1_000 + 1...$0 * 1_000 + 1_000) }
        let total = Double(batches * 1_000)
        let appended = try Cost.of { for batch in frames { _ = try log.append(batch) } }
        var count = 0
        let read = try Cost.of {
            var after = LogSequence.zero
            while let batch = try log.read(after: after, maximumFrames: 1_000).last {
                count += batch.frames.count
                after = batch.end.sequence
            }
        }
        var report: VerifyReport?
        let verified = try Cost.of { report = try log.verify() }
        #expect(count == Int(batches) * 1_000)
        #expect(report?.frames == batches * 1_000)
        for (name, cost) in [("append", appended), ("read", read), ("verify", verified)] {
            print("event log, \(name): \(cost.text(total))")
        }
    }
}

/// The time something took, and how much of it a processor worked for this thread.
private struct Cost {
    var wall: Duration
    var processorSeconds: Double

    static func of(_ body: () throws -> Void) rethrows -> Cost {
        let start = processor()
        let wall = try ContinuousClock().measure { try body() }
        return Cost(wall: wall, processorSeconds: processor() - start)
    }

    func text(_ frames: Double) -> String {
        "\(Int(frames / (wall / .seconds(1)))) frames/s, \(Int(frames / processorSeconds)) a second of one processor"
    }

    private static func processor() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
