import Domain
import EventLog
import Foundation
import Glibc
import Ports
import Testing

/// The disk's failures: a device that is always full behind one of LMDB's descriptors, and a small file system.
@Suite(.serialized) struct FaultTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// LMDB writes pages through one descriptor and the meta page through another, opened with O_DSYNC.
    private func replace(meta: Bool, by device: String, _ flags: Int32) throws {
        let open = try descriptors(of: directory.inside("data.mdb"))
        let target = try #require(open.first { (fcntl($0, F_GETFL) & O_DSYNC != 0) == meta })
        let other = unsafe Glibc.open(device, flags | O_CLOEXEC)
        #expect(dup2(other, target) == target)
        close(other)
    }

    @Test func aFullDiskChangesNothing() throws {
        let log = try createLog(directory.path)
        let end = try log.append(testFrames(1...4))
        try replace(meta: false, by: "/dev/full", O_RDWR)
        let failure = #expect(throws: StoreFailure.self) { try log.append(testFrames(5...8)) }
        #expect(failure?.code == "disk-full")
        #expect(failure?.outcome == .unchanged)
        #expect(try log.head() == end)
        try log.reopen()
        #expect(try log.head() == end)
        #expect(try log.append(testFrames(5...8)).sequence == LogSequence(rawValue: 8))
        #expect(try log.verify().isSound)
    }

    @Test func aBrokenDiskLeavesTheOutcomeOpen() throws {
        let log = try createLog(directory.path)
        _ = try log.append(testFrames(1...4))
        try replace(meta: false, by: "/dev/null", O_RDONLY)
        try expectUnknown(log)
    }

    @Test func aFailedMetaPageLeavesTheOutcomeOpen() throws {
        let log = try createLog(directory.path)
        _ = try log.append(testFrames(1...4))
        try replace(meta: true, by: "/dev/full", O_RDWR)
        try expectUnknown(log)
    }

    private func expectUnknown(_ log: EventLog) throws {
        let failure = #expect(throws: StoreFailure.self) { try log.append(testFrames(5...8)) }
        #expect(failure?.outcome == .unknown)
        let second = #expect(throws: StoreFailure.self) { try log.append(testFrames(5...8)) }
        #expect(second?.code == "closed")
        #expect(second?.outcome == .unchanged)
        try log.reopen()
        let next = try log.head().sequence.rawValue + 1
        #expect(next == 5 || next == 9)
        #expect(try log.append(testFrames(next...next + 3)).sequence == LogSequence(rawValue: next + 3))
        #expect(try log.verify().isSound)
    }

    @Test(.enabled(if: getuid() == 0, "a small file system can only be mounted by root"))
    func aRealDiskThatFillsUpGoesOnWhenThereIsSpace() throws {
        let disk = try SmallDisk(path: directory.inside("disk"), kibibytes: 1_024)
        defer { disk.unmount() }
        let ballast = directory.inside("disk/ballast")
        try Data(count: 200_000).write(to: URL(fileURLWithPath: ballast))
        var log: EventLog? = try createLog(directory.inside("disk/log"))
        var next: UInt64 = 1
        var failure: StoreFailure?
        while failure == nil && next < 2_000 {
            do throws(StoreFailure) {
                _ = try log?.append(testFrames(next...next + 19, bytes: 1_000))
                next += 20
            } catch { failure = error }
        }
        #expect(failure?.code == "disk-full")
        #expect(failure?.outcome == .unchanged)
        #expect(try log?.head().sequence == LogSequence(rawValue: next - 1))
        try FileManager.default.removeItem(atPath: ballast)
        try log?.reopen()
        _ = try log?.append(testFrames(next...next + 19, bytes: 1_000))
        #expect(try log?.verify().frames == next + 19)
        log = nil
    }
}

/// A file system in memory with a limit.
private struct SmallDisk {
    let path: String

    init(path: String, kibibytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", path])
    }

    func unmount() { try? Self.run("/usr/bin/umount", [path]) }

    private static func run(_ tool: String, _ arguments: [String]) throws {
        let process = try Process.run(URL(fileURLWithPath: tool), arguments: arguments)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(tool) \(arguments) failed")
    }
}
