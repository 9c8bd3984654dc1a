/// What to start: an absolute path, never a shell line.
package struct ProcessSpecification: Hashable, Sendable {
    package var executable: String
    package var arguments: [String]
    /// The whole environment; nothing is inherited.
    package var environment: [String: String]
    package var directory: String
    /// Where standard output and error go; nil for /dev/null. Opened for appending.
    package var outputPath: String?

    package init(
        executable: String, arguments: [String] = [], environment: [String: String] = [:], directory: String,
        outputPath: String? = nil
    ) {
        (self.executable, self.arguments, self.environment) = (executable, arguments, environment)
        (self.directory, self.outputPath) = (directory, outputPath)
    }
}

/// A process told apart from a later one with the same number: by its start time in the kernel's ticks since boot.
package struct ProcessIdentity: Hashable, Sendable, Codable {
    package var pid: Int32
    package var startTicks: UInt64
    /// The machine's boot id, so that a record from before a reboot names nothing.
    package var boot: String

    package init(pid: Int32, startTicks: UInt64, boot: String) {
        (self.pid, self.startTicks, self.boot) = (pid, startTicks, boot)
    }
}

package enum ProcessEnd: Hashable, Sendable {
    case exited(Int32)
    case signalled(Int32)
    /// It ended, but it was not our child, so nobody told us how.
    case unknown
}

/// Starts, finds again and stops processes that outlive us.
package protocol ProcessRunner: Sendable {
    /// Starts in a session of its own, so that our end is not its end.
    func startDetached(_ specification: ProcessSpecification) throws(ProcessFailure) -> ProcessIdentity

    /// Whether this very process still runs (not a later one with its number, not a zombie).
    func isRunning(_ identity: ProcessIdentity) -> Bool

    /// Waits for its end, however it was started.
    func waitForEnd(_ identity: ProcessIdentity) async -> ProcessEnd

    /// Sends a signal to its whole session group; does nothing when it has ended.
    func signal(_ identity: ProcessIdentity, _ number: Int32)
}

package struct ProcessFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable: `not-found`, `not-executable`, `limit`, `io`.
    package var code: String
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(message) [\(code)]" }
}
