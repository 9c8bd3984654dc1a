import Domain
import Foundation
import Ports
import Processes

/// Full commit ids from what people type: ids, prefixes (of a repository on this machine), branches and tags.
struct CommitLookup {
    static let timeoutSeconds = 30.0
    static let maximumOutputBytes = 1 << 20

    let repository: String

    func commit(_ text: String) async throws -> CommitID {
        if let commit = CommitID(rawValue: text.lowercased()) { return commit }
        guard !text.hasPrefix("-"), !repository.hasPrefix("-"), !text.isEmpty else {
            throw CommandStop(.refused, "drover: \"\(text)\" is no commit")
        }
        if FileManager.default.fileExists(atPath: repository) {
            let lines = try await git(["-C", repository, "rev-parse", "--verify", "--quiet", "\(text)^{commit}"])
            if let id = lines.first.flatMap({ CommitID(rawValue: $0) }) { return id }
        }
        let refs = try await git(["ls-remote", "--", repository, text, "refs/heads/\(text)", "refs/tags/\(text)^{}"])
        let ids = refs.compactMap { $0.split(separator: "\t").first.flatMap { CommitID(rawValue: String($0)) } }
        // A peeled tag comes last, and is the commit that the tag names.
        guard let id = ids.last else {
            throw CommandStop(
                .refused, "drover: \(repository) has no commit, branch or tag \"\(text)\": give a full commit id")
        }
        return id
    }

    private func git(_ arguments: [String]) async throws -> [String] {
        let environment = ProcessInfo.processInfo.environment.merging(["GIT_TERMINAL_PROMPT": "0"]) { $1 }
        let command = SupervisedCommand(
            executable: "/usr/bin/git", arguments: ["-c", "protocol.ext.allow=never"] + arguments,
            environment: environment, directory: FileManager.default.currentDirectoryPath)
        let run = try await GroupRunner().collect(
            command, limits: RunLimits(timeoutSeconds: Self.timeoutSeconds, graceSeconds: 1),
            maximumOutputBytes: Self.maximumOutputBytes)
        guard run.end == .ended(.exited(0)) else { return [] }
        return String(decoding: run.output, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
