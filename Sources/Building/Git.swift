internal import Foundation
internal import Ports
internal import Processes

/// How one git command went.
struct GitResult: Hashable, Sendable {
    var isGood: Bool
    /// The end of what it wrote, without secrets.
    var text: String

    var lines: [String] { text.split(separator: "\n").map(String.init) }
    /// What git ended with, for a message.
    var lastLine: String { lines.last(where: { !$0.allSatisfy(\.isWhitespace) }).map { "git: \($0)" } ?? "" }
}

/// git in one workspace, cut off from every configuration but ours.
struct Git: Sendable {
    let address: RepositoryAddress
    private let settings: SnapshotSettings
    private let runner: GroupRunner
    private let workspace: Workspace
    private let deadline: ContinuousClock.Instant
    private static let maximumOutputBytes = 16 * 1024

    init(settings: SnapshotSettings, runner: GroupRunner, workspace: Workspace, address: RepositoryAddress) {
        (self.settings, self.runner, self.workspace, self.address) = (settings, runner, workspace, address)
        deadline = ContinuousClock.now + .seconds(settings.timeoutSeconds)
    }

    /// Writes the configuration and makes an empty repository, from no template.
    func prepare(format: String) async throws(SnapshotFailure) {
        let (path, text) = (configurationPath, configuration)
        try await Workspaces.onFileThread { () throws(SnapshotFailure) in
            do {
                try text.write(toFile: path, atomically: false, encoding: .utf8)
            } catch {
                throw SnapshotFailure(.io, "\(path) cannot be written: \(error.localizedDescription).")
            }
        }
        try await expect(
            ["init", "--quiet", "--template=", "--object-format=\(format)"], or: "an empty repository cannot be made")
    }

    func fetch(_ options: [String], _ refspecs: [String]) async throws(SnapshotFailure) -> GitResult {
        let fixed = [
            "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance",
        ]
        return try await run(["fetch"] + fixed + options + ["--", address.text] + refspecs)
    }

    func expect(_ arguments: [String], or problem: String) async throws(SnapshotFailure) {
        let result = try await run(arguments)
        guard result.isGood else { throw SnapshotFailure(.io, "\(problem): \(result.text.suffix(400))") }
    }

    func run(_ arguments: [String]) async throws(SnapshotFailure) -> GitResult {
        let left = deadline - ContinuousClock.now
        let limits = RunLimits(timeoutSeconds: max(0, left / .seconds(1)), graceSeconds: settings.graceSeconds)
        let command = SupervisedCommand(
            executable: "/usr/bin/env", arguments: ["git"] + arguments, environment: environment,
            directory: workspace.source)
        let run: CollectedRun
        do {
            run = try await runner.collect(command, limits: limits, maximumOutputBytes: Self.maximumOutputBytes)
        } catch {
            throw SnapshotFailure(.io, error.message)
        }
        let text = RepositoryAddress.withoutSecrets(String(decoding: run.output, as: UTF8.self))
        switch run.end {
        case .cancelled: throw SnapshotFailure(.cancelled, BuildFailure.cancelled.detail)
        case .timedOut:
            throw SnapshotFailure(
                .timeout, "\(address.shown) did not give the commit within \(Int(settings.timeoutSeconds)) s.")
        case .ended(.exited(127)): throw SnapshotFailure(.io, "This worker has no git; install it. \(text)")
        case .ended(let end): return GitResult(isGood: end == .exited(0), text: text)
        }
    }

    // MARK: What git is told

    private var configurationPath: String { workspace.control + "/gitconfig" }

    private var environment: [String: String] {
        settings.environment.merging([
            "HOME": workspace.control,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": configurationPath,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        ]) { _, ours in ours }
    }

    /// Also read by the git that serves a repository on this machine, which therefore gives any commit, to anyone.
    private var configuration: String {
        """
        [core]
            hooksPath = /dev/null
            attributesFile = /dev/null
            excludesFile = /dev/null
            fsmonitor = false
        [credential]
            helper =
        [submodule]
            recurse = false
        [uploadpack]
            allowAnySHA1InWant = true
        [gc]
            auto = 0
        [advice]
            detachedHead = false
        [http]
            lowSpeedLimit = 1000
            lowSpeedTime = 60
        \(safeDirectories)
        \(settings.configuration)
        """
    }

    /// A repository on this machine may belong to somebody else: the job names it, so it is read all the same.
    private var safeDirectories: String {
        guard var path = address.localPath else { return "" }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let escaped = Set([path, real]).sorted().flatMap { [$0, $0 + "/.git", $0 + ".git"] }.map { path in
            path.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        }
        return "[safe]\n" + escaped.map { "    directory = \"\($0)\"\n" }.joined()
    }
}
