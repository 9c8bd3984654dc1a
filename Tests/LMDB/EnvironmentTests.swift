import Foundation
import Glibc
import LMDB
import Testing

@Suite struct EnvironmentTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func whatIsWrittenIsRead() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        defer { environment.close() }
        try environment.put(0..<1_000)
        #expect(try environment.stored() == Array(0..<1_000))
        #expect(try environment.stored(from: 990) == Array(990..<1_000))
        #expect(try environment.read { try $0.count(numbers) } == 1_000)
        #expect(try environment.read { try $0.countDatabases() } == 1)
        let last = try environment.read { try $0.last(numbers) { key, _ in key.indices.map { key[$0] } } }
        #expect(last == key(999))
        let missing = try environment.read { try $0.value(numbers, key: key(5_000).span) { $0.count } }
        #expect(missing == nil)
    }

    @Test func aThrowWritesNothing() throws {
        struct Stop: Error {}
        let environment = try Environment.open(directory: directory.path, options: options())
        defer { environment.close() }
        try environment.put(0..<3)
        let before = try environment.lastTransaction()
        #expect(throws: Stop.self) {
            try environment.write { transaction in
                try transaction.put(numbers, key: key(3).span, value: key(3).span, appending: true)
                throw Stop()
            }
        }
        #expect(try environment.stored() == [0, 1, 2])
        #expect(try environment.lastTransaction() == before)
        try environment.put(3..<4)
        #expect(try environment.lastTransaction() == before + 1)
    }

    /// One flipped bit there would bring an older commit back, whole and sound. Of the 64 bits only the second may leave
    /// two numbers that follow one another.
    @Test func aFlippedBitOfATransactionsNumberIsRefused() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        for number in 0..<5 as Range<UInt32> { try environment.put(number..<number + 1) }
        environment.close()
        let file = URL(fileURLWithPath: directory.path + "/data.mdb")
        let whole = try Data(contentsOf: file)
        for number in [144, 4_096 + 144] {
            for bit in 0..<64 where bit != 1 {
                var damaged = whole
                damaged[number + bit / 8] ^= 1 << UInt8(bit % 8)
                try damaged.write(to: file)
                let failure = #expect(throws: LMDBFailure.self, "bit \(bit) of \(number)") {
                    try Environment.open(directory: directory.path, options: options()).close()
                }
                #expect(failure?.code == .corrupted)
            }
        }
        try whole.write(to: file)
        let again = try Environment.open(directory: directory.path, options: options())
        defer { again.close() }
        #expect(try again.stored() == [0, 1, 2, 3, 4])
    }

    @Test func keysOutOfOrderAreRefused() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        defer { environment.close() }
        try environment.put(5..<6)
        let failure = #expect(throws: LMDBFailure.self) { try environment.put(4..<5) }
        #expect(failure?.code == .keyExists)
        #expect(try environment.stored() == [5])
    }

    @Test func aProcessOpensOneDirectoryOnce() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        let link = directory.path + "-link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory.path)
        defer { try? FileManager.default.removeItem(atPath: link) }
        let again = try Environment.open(directory: link, options: options(.readOnly))
        #expect(environment === again)
        environment.close()
        try again.put(0..<1)
        #expect(try again.stored() == [0])
        again.close()
        let failure = #expect(throws: LMDBFailure.self) { try again.stored() }
        #expect(failure?.code == .closed)
    }

    /// A child that outlives this process must not keep its files.
    @Test func childrenInheritNothing() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        defer { environment.close() }
        for file in ["data.mdb", "lock.mdb"] {
            let open = try descriptors(of: "\(directory.path)/\(file)")
            #expect(!open.isEmpty)
            for descriptor in open { #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "\(file)") }
        }
    }

    @Test func aReaderBecomesAWriterForAllHolders() throws {
        try Environment.open(directory: directory.path, options: options()).close()
        let reader = try Environment.open(directory: directory.path, options: options(.readOnly))
        defer { reader.close() }
        #expect(throws: LMDBFailure.self) { try reader.put(0..<1) }
        let writer = try Environment.open(directory: directory.path, options: options(.write))
        defer { writer.close() }
        try writer.put(0..<1)
        #expect(try reader.stored() == [0])
    }

    @Test func theMapGrowsUntilItsMaximum() throws {
        let environment = try Environment.open(
            directory: directory.path, options: options(initialMapBytes: 64 << 10, maximumMapBytes: 4 << 20))
        defer { environment.close() }
        for batch in 0..<10 as Range<UInt32> { try environment.put(batch * 100..<batch * 100 + 100, bytes: 1_000) }
        #expect(try environment.stored() == Array(0..<1_000))
        #expect(try environment.mapBytes() > 1 << 20)
        let failure = #expect(throws: LMDBFailure.self) { try environment.put(1_000..<9_000, bytes: 1_000) }
        #expect(failure?.code == .mapFull)
        #expect(failure?.mayHaveCommitted == false)
        #expect(try environment.mapBytes() == 4 << 20)
        #expect(try environment.stored() == Array(0..<1_000))
        try environment.put(1_000..<1_010)
    }

    @Test func readersAndAGrowingWriterDoNotDisturbEachOther() throws {
        let environment = try Environment.open(
            directory: directory.path, options: options(initialMapBytes: 64 << 10))
        defer { environment.close() }
        try environment.put(0..<1)
        DispatchQueue.concurrentPerform(iterations: 4) { worker in
            for round in 1..<20 as Range<UInt32> {
                if worker == 0 {
                    #expect(throws: Never.self) { try environment.put(round * 50..<round * 50 + 50, bytes: 1_500) }
                } else {
                    let count = (try? environment.stored().count) ?? -1
                    #expect(count % 50 == 1)
                }
            }
        }
        #expect(try environment.stored().count == 19 * 50 + 1)
        #expect(try environment.mapBytes() > 1 << 20)
    }
}

@Suite struct EnvironmentFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func refusal(_ access: Environment.Access = .write) -> LMDBFailure.Code? {
        do throws(LMDBFailure) {
            try Environment.open(directory: directory.path, options: options(access)).close()
            return nil
        } catch {
            return error.code
        }
    }

    @Test func aFileThatWasCutIsRefused() throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        try environment.put(0..<2_000, bytes: 100)
        environment.close()
        let file = directory.path + "/data.mdb"
        let size = try #require(FileManager.default.attributesOfItem(atPath: file)[.size] as? Int)
        #expect(refusal() == nil)
        for kept in [size - 1, size - 4_096, size / 2, 8_192, 8_191, 4_096, 100, 1] {
            try FileHandle(forWritingTo: URL(fileURLWithPath: file)).truncate(atOffset: UInt64(kept))
            #expect(refusal() != nil, "\(kept) of \(size) bytes")
            #expect(refusal(.readOnly) != nil)
        }
    }

    @Test func otherFilesAreRefused() throws {
        #expect(refusal() == .missing)
        #expect(refusal(.readOnly) == .missing)
        let file = URL(fileURLWithPath: directory.path + "/data.mdb")
        try Data(repeating: 0x41, count: 20_000).write(to: file)
        #expect(refusal() == .notAnEnvironment)
        #expect(refusal(.create) == .notAnEnvironment)
    }

    @Test func aForeignEnvironmentGetsNoDatabases() throws {
        var foreign = options()
        foreign.databases = ["other"]
        try Environment.open(directory: directory.path, options: foreign).close()
        #expect(refusal(.write) == .missing)
        #expect(refusal(.readOnly) == .missing)
        foreign.access = .write
        let environment = try Environment.open(directory: directory.path, options: foreign)
        defer { environment.close() }
        #expect(try environment.read { try $0.countDatabases() } == 1)
    }
}

/// The disk's failures, made by putting a device that is always full behind one of LMDB's descriptors.
@Suite(.serialized) struct EnvironmentFaultTests {
    private let directory: TemporaryDirectory
    private let environment: Environment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try Environment.open(directory: directory.path, options: options())
        try environment.put(0..<10)
    }

    /// LMDB writes pages through one descriptor and the meta page through another, opened with O_DSYNC.
    private func fill(meta: Bool) throws {
        let open = try descriptors(of: directory.path + "/data.mdb")
        let found = open.filter { (fcntl($0, F_GETFL) & O_DSYNC != 0) == meta }
        let target = try #require(found.first)
        let full = unsafe Glibc.open("/dev/full", O_RDWR | O_CLOEXEC)
        #expect(dup2(full, target) == target)
        close(full)
    }

    @Test func aFullDiskChangesNothing() throws {
        defer { environment.close() }
        try fill(meta: false)
        let failure = #expect(throws: LMDBFailure.self) { try environment.put(10..<20) }
        #expect(failure?.code == .diskFull)
        #expect(failure?.mayHaveCommitted == false)
        #expect(try environment.stored() == Array(0..<10))
        try environment.reopen()
        try environment.put(10..<20)
        #expect(try environment.stored() == Array(0..<20))
    }

    @Test func aFailedMetaPageLeavesTheOutcomeOpen() throws {
        defer { environment.close() }
        try fill(meta: true)
        let failure = #expect(throws: LMDBFailure.self) { try environment.put(10..<20) }
        #expect(failure?.mayHaveCommitted == true)
        let later = #expect(throws: LMDBFailure.self) { try environment.put(10..<20) }
        #expect(later?.code == .panic)
        try environment.reopen()
        let stored = try environment.stored()
        #expect(stored == Array(0..<10) || stored == Array(0..<20))
        try environment.put(20..<30)
    }
}
