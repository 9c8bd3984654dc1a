import Foundation
import Glibc
import LMDB
import Testing

/// A second process is a child that runs the closure of an exit test.
@Suite struct OtherProcessTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func aMapGrownByAnotherProcessIsFollowed() async throws {
        let environment = try Environment.open(
            directory: directory.path, options: options(initialMapBytes: 128 << 10))
        defer { environment.close() }
        try environment.put(0..<10)
        await #expect(processExitsWith: .success) { [path = directory.path as String] in
            let other = try Environment.open(directory: path, options: options(.write, initialMapBytes: 128 << 10))
            for batch in 0..<20 as Range<UInt32> { try other.put(10 + batch * 100..<110 + batch * 100, bytes: 1_000) }
            other.close()
        }
        #expect(try environment.stored() == Array(0..<2_010))
        try environment.put(2_010..<2_020)
        #expect(try environment.stored() == Array(0..<2_020))
    }

    @Test func aReaderThatDiedIsForgotten() async throws {
        let environment = try Environment.open(directory: directory.path, options: options())
        defer { environment.close() }
        try environment.put(0..<10)
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let other = try Environment.open(directory: path, options: options(.readOnly))
            try other.read { transaction in
                _ = try transaction.count(numbers)
                kill(getpid(), SIGKILL)
            }
        }
        #expect(try environment.checkReaders() == 1)
        #expect(try environment.checkReaders() == 0)
    }
}
