package import Domain
internal import Foundation
package import Processes

/// Where a build's output goes, chunk by chunk and in order. While it waits, the build is throttled; in a cancelled
/// task it must return soon.
package typealias OutputSink = @Sendable ([UInt8]) async -> Void

package struct SnapshotSettings: Hashable, Sendable {
    /// For fetching and checking out together.
    package var timeoutSeconds: Double = 900
    package var graceSeconds: Double = 5
    /// The environment git runs in beside its own settings: `PATH`, and what reaches proxies or ssh agents.
    package var environment = ["PATH": defaultSearchPath]
    /// More lines for git's configuration file.
    var configuration = ""

    package init() {}
}

/// Where programs are looked for.
package let defaultSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/// Why there is no snapshot of the commit.
package struct SnapshotFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        case invalidRepository = "invalid-repository"
        case notARepository = "not-a-repository"
        case unreachable
        case unknownCommit = "unknown-commit"
        case timeout
        case cancelled
        case io
    }

    package var code: Code
    /// What is so and what to do.
    package var message: String

    package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }

    package var description: String { "\(message) [\(code.rawValue)]" }
}

/// Takes one commit of a repository into a fresh directory. The repository is not trusted: nothing of it is run.
///
/// git reads no configuration but the one written here: no hooks, no filters (large-file pointers stay pointers), no
/// submodules, no file system monitor, no credentials, and only the transports named here.
package struct Snapshot: Sendable {
    private let settings: SnapshotSettings
    private let runner: GroupRunner

    package init(settings: SnapshotSettings = SnapshotSettings(), runner: GroupRunner = GroupRunner()) {
        (self.settings, self.runner) = (settings, runner)
    }

    /// Fills `workspace.source`. What is there afterwards is exactly the commit, with a repository that knows it alone.
    package func take(
        repository: String, commit: CommitID, into workspace: Workspace, output: @escaping OutputSink
    ) async throws(SnapshotFailure) {
        guard let address = RepositoryAddress(repository) else {
            throw SnapshotFailure(
                .invalidRepository,
                "'\(RepositoryAddress.withoutSecrets(repository))' is no repository a worker fetches from: write an "
                    + "absolute path, an https, ssh or git URL, or user@host:path.")
        }
        let git = Git(settings: settings, runner: runner, workspace: workspace, address: address)
        try await git.prepare(format: commit.rawValue.count == 64 ? "sha256" : "sha1")
        await output(Array("fetching \(commit) from \(address.shown)\n".utf8))
        try await fetch(commit, git)
        try await git.expect(
            ["checkout", "--quiet", "--force", "--detach", commit.rawValue, "--"],
            or: "commit \(commit) cannot be checked out")
        let head = try await git.run(["rev-parse", "--verify", "HEAD"])
        guard head.lines.contains(commit.rawValue) else {
            throw SnapshotFailure(
                .unknownCommit, "\(commit) names something else than a commit in \(address.shown); give a commit's id.")
        }
    }

    /// Just the one commit, where the other side gives it; else all branches and tags, of which it must be a part.
    private func fetch(_ commit: CommitID, _ git: Git) async throws(SnapshotFailure) {
        let single = try await git.fetch(["--depth=1"], [commit.rawValue])
        if single.isGood { return }
        let problem = FetchProblem(single.text)
        guard problem == .onlyWhole else { throw problem.failure(git.address, commit, single) }
        let whole = try await git.fetch([], ["+refs/heads/*:refs/drover/heads/*", "+refs/tags/*:refs/drover/tags/*"])
        guard whole.isGood else { throw FetchProblem(whole.text).failure(git.address, commit, whole) }
        let found = try await git.run(["cat-file", "-e", "\(commit)^{commit}"])
        guard found.isGood else { throw FetchProblem.unknownCommit.failure(git.address, commit, found) }
    }
}

/// What git's words on a failed fetch mean.
private enum FetchProblem: Hashable {
    case unknownCommit
    case notARepository
    case credentials
    case ownership
    /// The server gives no single commits, or only whole repositories.
    case onlyWhole
    case unreachable

    private static let words: [(FetchProblem, [String])] = [
        (.unknownCommit, ["not our ref", "couldn't find remote ref", "bad object"]),
        (.onlyWhole, ["does not allow request for unadvertised object", "does not support shallow"]),
        (
            .credentials,
            ["could not read Username", "could not read Password", "Authentication failed", "Permission denied"]
        ),
        (.ownership, ["dubious ownership", "is owned by someone else"]),
        (
            .notARepository,
            [
                "does not appear to be a git repository", "not a git repository", "not found",
                "not valid: is this a git repository",
            ]
        ),
    ]

    init(_ text: String) {
        self = Self.words.first { _, words in words.contains { text.contains($0) } }?.0 ?? .unreachable
    }

    func failure(_ address: RepositoryAddress, _ commit: CommitID, _ result: GitResult) -> SnapshotFailure {
        let place = address.shown
        switch self {
        case .unknownCommit:
            return SnapshotFailure(
                .unknownCommit, "\(place) has no commit \(commit); push it first, or give another commit.")
        case .notARepository:
            return SnapshotFailure(
                .notARepository,
                "There is no git repository at \(place) that this worker can see; check the address. \(result.lastLine)"
            )
        case .credentials:
            return SnapshotFailure(
                .unreachable,
                "\(place) asks for credentials this worker does not have; give its user a key that may read. "
                    + result.lastLine)
        case .ownership:
            return SnapshotFailure(.unreachable, "git will not read \(place) as this user: \(result.lastLine)")
        case .onlyWhole, .unreachable:
            return SnapshotFailure(
                .unreachable, "\(place) cannot be reached; check the address and the network. \(result.lastLine)")
        }
    }
}
