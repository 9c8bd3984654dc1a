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
        let refs = try await git(["ls-remote", "--", repository] + Self.names(text))
        return try Self.choose(text, among: refs, repository: repository)
    }

    /// The full names that a short one may stand for: `ls-remote` itself matches the tail of any name.
    private static func names(_ text: String) -> [String] {
        let whole = text == "HEAD" || text.hasPrefix("refs/")
        return whole ? [text, "\(text)^{}"] : ["refs/heads/\(text)", "refs/tags/\(text)", "refs/tags/\(text)^{}"]
    }

    /// The commit of one of those names; lines are `ID<tab>NAME`.
    static func choose(_ text: String, among lines: [String], repository: String) throws -> CommitID {
        var found: [String: CommitID] = [:]
        for line in lines {
            let parts = line.split(separator: "\t").map(String.init)
            if parts.count == 2, let id = CommitID(rawValue: parts[0]) { found[parts[1]] = id }
        }
        let whole = found["\(text)^{}"] ?? found[text]
        let branch = found["refs/heads/\(text)"]
        // An annotated tag's own object is not the commit that it names.
        let tag = found["refs/tags/\(text)^{}"] ?? found["refs/tags/\(text)"]
        if let branch, let tag, branch != tag {
            throw CommandStop(
                .refused,
                "drover: \(repository) has a branch and a tag \"\(text)\", of different commits: "
                    + "write refs/heads/\(text) or refs/tags/\(text)")
        }
        guard let id = whole ?? branch ?? tag else {
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
