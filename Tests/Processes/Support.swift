import Foundation
import Glibc
import Testing

@testable import Processes

/// Asks again until it is so, for at most `seconds`; the last answer.
func eventually(within seconds: Double = 20, _ question: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if question() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return question()
}

/// A directory of a test's own, deleted at its end.
func withTemporaryDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("drover-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// The text of a file; empty when there is none.
func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

/// The process number a script wrote to a file.
func number(in path: String) -> Int32? { Int32(text(path).trimmingCharacters(in: .whitespacesAndNewlines)) }

/// Whether a process with this number runs and is no zombie.
func isAlive(_ pid: Int32) -> Bool { ProcessStatus(pid: pid).map { !$0.hasEnded } ?? false }

/// A shell script as arguments of `/bin/sh`.
func shell(_ script: String) -> [String] { ["-c", script] }

let plainEnvironment = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
