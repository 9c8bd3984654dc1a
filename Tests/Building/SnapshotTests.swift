import Domain
import Foundation
import Glibc
import Testing

@testable import Building

struct SnapshotTests {
    /// Takes a snapshot and returns where it is.
    private func take(
        _ repository: String, _ commit: CommitID, in directory: String, settings: SnapshotSettings = SnapshotSettings()
    ) async throws -> Workspace {
        let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
        try await Snapshot(settings: settings).take(
            repository: repository, commit: commit, into: workspace, output: { _ in })
        return workspace
    }

    private func failure(
        _ repository: String, _ commit: CommitID, in directory: String, settings: SnapshotSettings = SnapshotSettings()
    ) async throws -> SnapshotFailure {
        try await #require(throws: SnapshotFailure.self) {
            _ = try await take(repository, commit, in: directory, settings: settings)
        }
    }

    private let nowhere = CommitID(rawValue: String(repeating: "1", count: 40))!

    @Test func anyCommitByPathAndByURL() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/a \"quoted\" name")
            try repository.write("file", "first", mode: 0o755)
            let first = try await repository.commit()
            try repository.write("file", "second")
            try FileManager.default.createSymbolicLink(
                atPath: repository.path + "/link", withDestinationPath: "/etc/passwd")
            let second = try await repository.commit()

            for address in [repository.path, "file://\(repository.path)", "\(repository.path)/"] {
                // Not the tip of anything, and nothing else comes along.
                let workspace = try await take(address, first, in: directory)
                #expect(text(workspace.source + "/file") == "first")
                #expect(FileManager.default.isExecutableFile(atPath: workspace.source + "/file"))
                #expect(text(workspace.source + "/.git/shallow") == "\(first)\n")
                #expect(!exists(workspace.source + "/link"))
            }
            let workspace = try await take(repository.path, second, in: directory)
            #expect(text(workspace.source + "/file") == "second")
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: workspace.source + "/link") == "/etc/passwd")
        }
    }

    /// A server that gives only what a branch points to: everything is fetched, and the commit is found inside.
    @Test func aServerThatGivesNoSingleCommits() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write("file", "first")
            let first = try await repository.commit()
            try repository.write("file", "second")
            _ = try await repository.commit()
            var settings = SnapshotSettings()
            settings.configuration = "[protocol]\n version = 0\n[uploadpack]\n allowAnySHA1InWant = false\n"
            let workspace = try await take(repository.path, first, in: directory, settings: settings)
            #expect(text(workspace.source + "/file") == "first")
            #expect(!exists(workspace.source + "/.git/shallow"))
            #expect(
                try await failure(repository.path, nowhere, in: directory, settings: settings).code == .unknownCommit)
        }
    }

    @Test func sha256Repositories() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try FileManager.default.removeItem(atPath: repository.path + "/.git")
            try await repository.git("init", "--quiet", "--object-format=sha256")
            try repository.write("file", "text")
            let commit = try await repository.commit()
            #expect(commit.rawValue.count == 64)
            #expect(text(try await take(repository.path, commit, in: directory).source + "/file") == "text")
        }
    }

    @Test func whatIsNotThere() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write("file", "text")
            let commit = try await repository.commit()
            let unknown = try await failure(repository.path, nowhere, in: directory)
            #expect(unknown.code == .unknownCommit && unknown.message.contains(nowhere.rawValue))
            #expect(try await failure("\(directory)/nothing", commit, in: directory).code == .notARepository)
            #expect(try await failure(directory, commit, in: directory).code == .notARepository)
            #expect(try await failure("web", commit, in: directory).code == .invalidRepository)
            let unreachable = try await failure("http://ada:s3cret@127.0.0.1:1/web", commit, in: directory)
            #expect(unreachable.code == .unreachable && !unreachable.message.contains("s3cret"))

            let tree = try await repository.git("rev-parse", "HEAD^{tree}")
            #expect(throws: Never.self) { try #require(CommitID(rawValue: tree)) }
            await #expect(throws: SnapshotFailure.self) {
                _ = try await take(repository.path, try #require(CommitID(rawValue: tree)), in: directory)
            }
            try await repository.git("tag", "-a", "-m", "a tag", "v1")
            let tag = try #require(CommitID(rawValue: try await repository.git("rev-parse", "v1")))
            #expect(tag != commit)
            #expect(try await failure(repository.path, tag, in: directory).code == .unknownCommit)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func aRepositoryOfSomebodyElse() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write("file", "text")
            let commit = try await repository.commit()
            for path in ["", "/.git"] {
                try FileManager.default.setAttributes(
                    [.ownerAccountID: 65534], ofItemAtPath: repository.path + path)
            }
            // The trap is set: git itself would refuse.
            let refused = try await repository.tryGit(["log"])
            #expect(!refused.isGood && refused.output.contains("dubious ownership"))
            #expect(text(try await take(repository.path, commit, in: directory).source + "/file") == "text")
        }
    }

    @Test(arguments: ["ext::sh -c touch% MARK", "ext::touch MARK", "--upload-pack=touch MARK", "-u touch MARK"])
    func addressesThatWouldRunPrograms(_ pattern: String) async throws {
        try await withTemporaryDirectory { directory in
            let address = pattern.replacing("MARK", with: "\(directory)/mark")
            let refused = try await failure(address, nowhere, in: directory)
            #expect(refused.code == .invalidRepository)
            #expect(!exists("\(directory)/mark"))
        }
    }

    /// A repository that tries everything a repository can say: attributes with a filter, submodules, hooks and settings
    /// of its own.
    private func hostileRepository(_ directory: String, mark: String) async throws -> (TestRepository, CommitID) {
        let script = "\(directory)/script"
        try "#!/bin/sh\ntouch '\(mark)'\ncat\n".write(toFile: script, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        let repository = try await TestRepository("\(directory)/hostile")
        try repository.write("file", "version https://git-lfs.github.com/spec/v1\n")
        try repository.write(".gitattributes", "file filter=evil diff=evil merge=evil\n")
        try repository.write(
            ".gitmodules",
            "[submodule \"sub\"]\n path = sub\n url = ext::sh -c \"touch% \(mark)\"\n update = !touch \(mark)\n")
        try await repository.git("update-index", "--add", "--cacheinfo", "160000,\(nowhere),sub")
        try await repository.git("add", "file", ".gitattributes", ".gitmodules")
        try await repository.git("commit", "--quiet", "-m", "hostile")
        let commit = try #require(CommitID(rawValue: try await repository.git("rev-parse", "HEAD")))
        for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"] {
            try FileManager.default.copyItem(atPath: script, toPath: "\(repository.path)/.git/hooks/\(hook)")
        }
        for (name, value) in [
            ("filter.evil.smudge", script), ("filter.evil.process", script), ("core.fsmonitor", script),
            ("uploadpack.packObjectsHook", script), ("core.alternateRefsCommand", script), ("core.sshCommand", script),
            ("core.gitProxy", script), ("core.hooksPath", "\(repository.path)/.git/hooks"),
            ("submodule.recurse", "true"), ("protocol.ext.allow", "always"),
        ] { try await repository.git("config", name, value) }
        return (repository, commit)
    }

    @Test func aHostileRepositoryRunsNothing() async throws {
        try await withTemporaryDirectory { directory in
            let mark = "\(directory)/mark"
            let (repository, commit) = try await hostileRepository(directory, mark: mark)
            // What the worker's own user has configured must not matter either.
            var settings = SnapshotSettings()
            settings.environment["HOME"] = directory
            settings.environment["XDG_CONFIG_HOME"] = directory
            try "[filter \"evil\"]\n smudge = \(directory)/script\n".write(
                toFile: "\(directory)/.gitconfig", atomically: false, encoding: .utf8)
            try? FileManager.default.removeItem(atPath: mark)
            let workspace = try await take(repository.path, commit, in: directory, settings: settings)
            #expect(!exists(mark))
            #expect(text(workspace.source + "/file").hasPrefix("version "))
            #expect(try FileManager.default.contentsOfDirectory(atPath: workspace.source + "/sub").isEmpty)
            #expect(!exists(workspace.source + "/.git/hooks"))
        }
    }

    /// The traps of the test before do snap when they are let.
    @Test(arguments: [
        "[filter \"evil\"]\n smudge = SCRIPT", "[core]\n hooksPath = HOOKS", "[core]\n fsmonitor = SCRIPT",
    ])
    func theTrapsAreReal(_ configuration: String) async throws {
        try await withTemporaryDirectory { directory in
            let mark = "\(directory)/mark"
            let (repository, commit) = try await hostileRepository(directory, mark: mark)
            try? FileManager.default.removeItem(atPath: mark)
            var settings = SnapshotSettings()
            settings.configuration = configuration.replacing("SCRIPT", with: "\(directory)/script")
                .replacing("HOOKS", with: "\(repository.path)/.git/hooks")
            _ = try? await take(repository.path, commit, in: directory, settings: settings)
            #expect(exists(mark))
        }
    }

    /// A git that hangs, as a dead server makes it.
    @Test func timeoutAndCancellation() async throws {
        try await withTemporaryDirectory { directory in
            try FileManager.default.createDirectory(atPath: "\(directory)/bin", withIntermediateDirectories: true)
            let script = "#!/bin/sh\n[ \"$1\" = fetch ] || exit 0\necho $$ > \(directory)/git-pid\nsleep 600\n"
            try script.write(toFile: "\(directory)/bin/git", atomically: false, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(directory)/bin/git")
            var settings = SnapshotSettings()
            settings.environment["PATH"] = "\(directory)/bin:\(defaultSearchPath)"
            settings.timeoutSeconds = 0.5
            #expect(try await failure("/anything", nowhere, in: directory, settings: settings).code == .timeout)

            try? FileManager.default.removeItem(atPath: "\(directory)/git-pid")
            settings.timeoutSeconds = 600
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let (patient, commit) = (settings, nowhere)
            let task = Task {
                try await Snapshot(settings: patient).take(
                    repository: "/anything", commit: commit, into: workspace, output: { _ in })
            }
            #expect(await eventually { Int32(text("\(directory)/git-pid").dropLast()) != nil })
            let pid = try #require(Int32(text("\(directory)/git-pid").dropLast()))
            task.cancel()
            let failure = await #expect(throws: SnapshotFailure.self) { try await task.value }
            #expect(failure?.code == .cancelled)
            #expect(!isAlive(pid))
        }
    }
}
