import Domain
import EventLog
import Foundation
import Glibc
import Ports
import Testing

/// The log against the dumbest model of one: an array of batches.
@Suite struct ModelTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func theLogIsAnArrayOfBatches(_ seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let world = World(directory)
        for step in 0..<80 {
            try world.step(Int.random(in: 0..<10, using: &numbers), &numbers)
            #expect(try world.log.head() == world.head, "seed \(seed), step \(step)")
        }
        #expect(try world.log.everything() == world.batches, "seed \(seed)")
        let report = try world.log.verify()
        #expect(report.isSound && report.batches == UInt64(world.batches.count), "seed \(seed)")
    }

    /// A process that is killed keeps what it was told is durable, and at most one batch more.
    @Test func whatWasAnsweredSurvivesAKill() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let log = try createLog(path)
            let lines = try FileHandle(forWritingTo: ChildNotes.file(path))
            Thread.detachNewThread {
                // Any moment will do: the parent accepts every prefix that holds what was answered.
                usleep(150_000)
                kill(getpid(), SIGKILL)
            }
            var next: UInt64 = 1
            while true {
                _ = try log.append(testFrames(next...next + 4))
                next += 5
                try lines.write(contentsOf: Data("\(next - 1)\n".utf8))
            }
        }
        let answered = try ChildNotes.read(directory.path).compactMap { UInt64($0) }.last ?? 0
        let log = try EventLog.open(
            directory: directory.path, mode: .create(identity: testIdentity), settings: smallSettings())
        let report = try log.verify()
        #expect(report.isSound)
        #expect(report.frames == answered || report.frames == answered + 5)
        if report.frames > 0 { #expect(try log.everything().flatMap(\.frames) == testFrames(1...report.frames)) }
        _ = try log.append([testFrame(report.frames + 1)])
    }
}

/// The log and its model, and what can happen to them.
private final class World {
    private let directory: TemporaryDirectory
    private var copies = 0
    private var epoch: UInt64 = 1
    private(set) var log: EventLog
    private(set) var batches: [FrameBatch] = []

    init(_ directory: TemporaryDirectory) {
        self.directory = directory
        guard let log = try? createLog(directory.inside("0")) else { fatalError("cannot create a log") }
        self.log = log
    }

    var head: LogPosition { batches.last?.end ?? .start(of: testIdentity) }

    func step(_ choice: Int, _ numbers: inout SeededNumbers) throws {
        switch choice {
        case 0...4: try append(&numbers)
        case 5: try refuse(&numbers)
        case 6: try read(&numbers)
        case 7: try log.reopen()
        case 8: epoch += 1
        default: try crash()
        }
    }

    private func append(_ numbers: inout SeededNumbers) throws {
        let first = head.sequence.rawValue + 1
        let count = UInt64.random(in: 1...30, using: &numbers)
        let frames = testFrames(
            first...first + count - 1, epoch: epoch, bytes: Int.random(in: 0...400, using: &numbers))
        batches.append(FrameBatch(frames: frames, end: try log.append(frames)))
    }

    private func refuse(_ numbers: inout SeededNumbers) throws {
        let wrong = head.sequence.rawValue + [0, 2, 3, 100].randomElement(using: &numbers)!
        #expect(throws: StoreFailure.self) { try log.append([testFrame(wrong, epoch: epoch)]) }
    }

    private func read(_ numbers: inout SeededNumbers) throws {
        let after = UInt64.random(in: 0...head.sequence.rawValue + 1, using: &numbers)
        let maximum = Int.random(in: 1...60, using: &numbers)
        var expected: [FrameBatch] = []
        for batch in batches where batch.end.sequence.rawValue > after {
            if expected.reduce(0, { $0 + $1.frames.count }) >= maximum { break }
            expected.append(
                FrameBatch(frames: batch.frames.filter { $0.header.sequence.rawValue > after }, end: batch.end))
        }
        #expect(try log.read(after: LogSequence(rawValue: after), maximumFrames: maximum) == expected)
        let end = batches.last { $0.end.sequence.rawValue == after }?.end
        if after > 0 { #expect(try log.position(at: LogSequence(rawValue: after)) == end) }
    }

    /// The files as they lie on the disk, never closed, are a log.
    private func crash() throws {
        copies += 1
        let copy = directory.inside("\(copies)")
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: log.directory + "/data.mdb", toPath: copy + "/data.mdb")
        log = try EventLog.open(directory: copy, mode: .write, settings: smallSettings())
    }
}
