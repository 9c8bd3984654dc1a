import Domain
import Foundation
import Glibc
import LMDB
import Testing

@testable import EventLog

/// Readers in other processes that die while they read.
@Suite struct ReaderTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func theWriterForgetsTheDeadNowAndThen() async throws {
        var settings = smallSettings()
        settings.readerCheckAppends = 3
        let log = try EventLog.open(directory: directory.path, mode: .create(identity: nil), settings: settings)
        _ = try log.append(testFrames(1...1))
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let other = try EventLog.open(directory: path, mode: .readOnly, settings: smallSettings())
            try other.environment.read { _ in _ = kill(getpid(), SIGKILL) }
        }
        _ = try log.append(testFrames(2...2))
        _ = try log.append(testFrames(3...3))
        #expect(try log.environment.checkReaders() == 0, "the third append has looked")
    }
}
