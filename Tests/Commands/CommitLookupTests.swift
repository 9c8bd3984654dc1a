import Domain
import Foundation
import Ports
import Processes
import Testing

@testable import Commands

/// Names of commits, looked up in real repositories by path and by URL.
@Suite struct CommitLookupTests {
    @Test func aBranchIsNotMistakenForOneThatEndsLikeIt() async throws {
        let repository = try await Repository()
        let main = try await repository.commit("main")
        try await repository.git("checkout", "-q", "-b", "zeta/main")
        let other = try await repository.commit("other")
        try await repository.git("checkout", "-q", "main")
        for place in [repository.path, "file://" + repository.path] {
            #expect(try await CommitLookup(repository: place).commit("main").rawValue == main)
            #expect(try await CommitLookup(repository: place).commit("zeta/main").rawValue == other)
            #expect(try await CommitLookup(repository: place).commit("HEAD").rawValue == main)
        }
    }

    @Test func anAnnotatedTagIsTheCommitThatItNames() async throws {
        let repository = try await Repository()
        let first = try await repository.commit("first")
        try await repository.git("tag", "-a", "-m", "one", "v1")
        _ = try await repository.commit("second")
        #expect(try await CommitLookup(repository: "file://" + repository.path).commit("v1").rawValue == first)
    }

    @Test func aNameOfTwoCommitsIsRefused() async throws {
        let repository = try await Repository()
        _ = try await repository.commit("first")
        try await repository.git("tag", "twice")
        _ = try await repository.commit("second")
        try await repository.git("branch", "twice")
        await #expect { try await CommitLookup(repository: "file://" + repository.path).commit("twice") } throws: {
            ($0 as? CommandStop)?.exit == .refused && "\($0)".contains("refs/tags/twice")
        }
    }

    @Test func whatIsNotThereIsRefusedWithItsName() async throws {
        let repository = try await Repository()
        _ = try await repository.commit("first")
        for text in ["nothing", "--upload-pack=touch /tmp/x", " "] {
            await #expect { try await CommitLookup(repository: repository.path).commit(text) } throws: {
                ($0 as? CommandStop)?.exit == .refused && "\($0)".contains(text)
            }
        }
    }
}

/// A repository of this test alone.
private final class Repository: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/drover-commands-\(UUID().uuidString)"

    init() async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try await git("init", "-q", "-b", "main")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// An empty commit's id.
    func commit(_ message: String) async throws -> String {
        try await git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", message)
        return try await git("rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @discardableResult
    func git(_ arguments: String...) async throws -> String {
        let command = SupervisedCommand(
            executable: "/usr/bin/git",
            arguments: ["-C", path, "-c", "user.name=t", "-c", "user.email=t@t"] + arguments,
            environment: ["PATH": "/usr/bin:/bin", "HOME": path], directory: path)
        let run = try await GroupRunner().collect(
            command, limits: RunLimits(timeoutSeconds: 60, graceSeconds: 1), maximumOutputBytes: 1 << 16)
        try #require(run.end == .ended(.exited(0)), "git \(arguments): \(String(decoding: run.output, as: UTF8.self))")
        return String(decoding: run.output, as: UTF8.self)
    }
}
