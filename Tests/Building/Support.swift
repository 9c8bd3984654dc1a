import Domain
import Foundation
import Ports
import Processes
import Synchronization
import Testing

@testable import Building

/// A directory of a test's own, deleted at its end.
func withTemporaryDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("drover-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// Asks again until it is so, for at most `seconds`; the last answer.
func eventually(within seconds: Double = 30, _ question: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if question() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return question()
}

func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

/// Whether a process with this number runs and is no zombie.
func isAlive(_ pid: Int32) -> Bool {
    let status = text("/proc/\(pid)/stat")
    guard let close = status.lastIndex(of: ")") else { return false }
    return !status[close...].dropFirst(2).hasPrefix("Z")
}

/// Collects a build's output.
final class Output: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    func write(_ chunk: [UInt8]) { bytes.withLock { $0.append(contentsOf: chunk) } }
    var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
}

/// A repository made with the real git.
struct TestRepository {
    let path: String

    init(_ path: String) async throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try await git("init", "--quiet", "--initial-branch=main")
    }

    @discardableResult
    func git(_ arguments: String...) async throws -> String {
        let (isGood, output) = try await tryGit(arguments)
        try #require(isGood, "git \(arguments): \(output)")
        return output
    }

    /// Whether it ended well, and what it wrote.
    func tryGit(_ arguments: [String]) async throws -> (isGood: Bool, output: String) {
        let command = SupervisedCommand(
            executable: "/usr/bin/env", arguments: ["git"] + arguments,
            environment: [
                "PATH": defaultSearchPath, "HOME": path, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
                "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
            ], directory: path)
        let run = try await GroupRunner().collect(
            command, limits: RunLimits(timeoutSeconds: 120, graceSeconds: 1), maximumOutputBytes: 100_000)
        let output = String(decoding: run.output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return (run.end == .ended(.exited(0)), output)
    }

    func write(_ name: String, _ text: String, mode: Int = 0o644) throws {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    }

    /// Commits everything there is.
    func commit(_ message: String = "a change") async throws -> CommitID {
        try await git("add", "--all")
        try await git("commit", "--quiet", "--allow-empty", "-m", message)
        return try #require(CommitID(rawValue: try await git("rev-parse", "HEAD")))
    }
}

let firstKey = AttemptKey(job: JobID(rawValue: 1), attempt: .first)

func job(
    _ repository: String, _ commit: CommitID, recipe: String = "drover.yml", timeoutSeconds: UInt32 = 300
) -> ClaimedJob {
    ClaimedJob(
        key: firstKey,
        request: JobRequest(
            app: AppName(unchecked: "web"), repository: repository, commit: commit, recipePath: recipe),
        heartbeatSeconds: 15, jobTimeoutSeconds: timeoutSeconds)
}
