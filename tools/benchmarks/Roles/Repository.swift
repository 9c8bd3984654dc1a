import Domain
import Foundation
import Ports
import Processes

/// A git repository whose build makes an app of random bytes: nothing compresses it, and no two builds are alike.
struct Repository {
    let path: String
    let commit: CommitID

    /// The artifact is a script that sleeps for ever, with `bytes` of random payload behind its end.
    static func make(at path: String, bytes: UInt64) async throws -> Repository {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let recipe = """
            build: sh make.sh
            artifact: app
            run:
              health:
                command: [/bin/true]
                within_seconds: 10

            """
        let script = """
            printf '#!/bin/sh\\nwhile true; do sleep 1; done\\nexit\\n' > app
            head -c \(bytes) /dev/urandom >> app

            """
        try Data(recipe.utf8).write(to: URL(filePath: path + "/drover.yml"))
        try Data(script.utf8).write(to: URL(filePath: path + "/make.sh"))
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        for arguments in [["init", "-q", "-b", "main"], ["add", "-A"], identity + ["commit", "-q", "-m", "app"]] {
            _ = try await shell("/usr/bin/git", ["-C", path] + arguments, in: path)
        }
        let text = try await shell("/usr/bin/git", ["-C", path, "rev-parse", "HEAD"], in: path)
        guard let commit = CommitID(rawValue: text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw BenchmarkFailure("git gave no commit: \(text)")
        }
        return Repository(path: path, commit: commit)
    }
}

/// Runs a program to its end; gives what it printed.
@discardableResult
func shell(_ executable: String, _ arguments: [String], in directory: String) async throws -> String {
    let command = SupervisedCommand(
        executable: executable, arguments: arguments,
        environment: ["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": directory], directory: directory)
    let done = try await GroupRunner().collect(
        command, limits: RunLimits(timeoutSeconds: 600, graceSeconds: 1), maximumOutputBytes: 1 << 20)
    let text = String(decoding: done.output, as: UTF8.self)
    guard done.end == .ended(.exited(0)) else { throw BenchmarkFailure("\(executable) \(arguments): \(text)") }
    return text
}
