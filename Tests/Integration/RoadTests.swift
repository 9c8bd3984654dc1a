import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// The whole road: a commit becomes a running binary on every peer of two regions, and survives kill -9 of anything.
@Suite(.serialized) struct RoadTests {
    @Test func aCommitRunsEverywhereAndSurvives() async throws {
        let system = try System()
        let repository = try await system.repository(versions: 2)
        let arguments = ["--data", system.directory + "/data", "--listen", "127.0.0.1:0"]
        var (projector, url) = try await system.start(arguments)

        try await build(system, url, repository.path, repository.commits[0])
        let first = try await system.drover(
            ["deploy", "app", "--build", "1", "--reason", "first", "--when-replicated", "--wait"], server: url)
        #expect(first.code == 0, "\(first.text)")
        try await expectVersion("app 1", system)

        try await build(system, url, repository.path, repository.commits[1])
        let second = try await system.drover(
            ["deploy", "app", "--build", "2", "--reason", "second", "--when-replicated", "--wait"], server: url)
        #expect(second.code == 0, "\(second.text)")
        try await expectVersion("app 2", system)

        let mirrored = try await mirroredBytes(system, url)
        let back = try await system.drover(["rollback", "app", "--reason", "back", "--wait"], server: url)
        #expect(back.code == 0, "\(back.text)")
        try await expectVersion("app 1", system)
        #expect(try await mirroredBytes(system, url) == mirrored, "a rollback moves no pack bytes")

        try await expectThePast(system, url)

        // The whole system dies at once; the apps do not.
        let before = try system.appProcesses()
        #expect(before.count == 6)
        await system.stop(projector, SIGKILL)
        #expect(try system.appProcesses() == before)
        (projector, url) = try await system.start(arguments)
        let client = system.client(url)
        _ = try await eventually("every peer reports again") {
            try await client.targets().targets.first.flatMap { target in
                target.regions.map { Int($0.healthy) }.reduce(0, +) == 6 ? true : nil
            }
        }
        #expect(try system.appProcesses() == before, "adopted, no second copy")

        let sound = try await system.drover(["verify", system.directory + "/data", "--json"], server: url)
        #expect(sound.code == 0, "\(sound.text)")
        #expect(sound.text.split(separator: "\n").count == 3)
        await system.stop(projector)
        #expect(try system.appProcesses().isEmpty, "TERM to the embedded system stops the apps too")
    }

    /// The running system and its data directory say the same of the past: what made the second build the target.
    private func expectThePast(_ system: System, _ url: String) async throws {
        let statement = "SELECT EXISTS (SELECT 1 FROM target_history WHERE current_build = 2)"
        let asked = try await system.drover(["bisect", ".", statement, "--json"], server: url)
        let read = try await system.drover(["bisect", system.directory + "/data", statement, "--json"], server: url)
        #expect(asked.code == 0 && read.code == 0, "\(asked.text) \(read.text)")
        #expect(asked.text.contains(#""type":"target-changed""#))
        struct Found: Decodable { var sequence: UInt64 }
        let found = try JSONDecoder().decode(Found.self, from: Data(asked.text.utf8)).sequence
        #expect(try JSONDecoder().decode(Found.self, from: Data(read.text.utf8)).sequence == found)
        let difference = try await system.drover(["diff", "\(found - 1)", "\(found)"], server: url)
        #expect(difference.code == 0 && difference.text.contains("current_build: 1 -> 2"), "\(difference.text)")
        let story = try await system.drover(["explain", "job", "2", "--json"], server: url)
        #expect(story.code == 0 && story.text.contains(#""state":"succeeded""#), "\(story.text)")
        let peer = try await system.drover(["explain", "peer", "two-2"], server: url)
        #expect(peer.code == 0 && peer.text.contains("app build 2 healthy"), "\(peer.text)")
        let nobody = try await system.drover(["explain", "peer", "nobody"], server: url)
        #expect(nobody.code == 2 && nobody.text.contains("drover peers lists them"), "\(nobody.text)")
        let targets = try await system.drover(["targets", "--at", "\(found - 1)", "--json"], server: url)
        #expect(targets.code == 0 && targets.text.contains(#""build":1"#), "\(targets.text)")
        let later = try await system.drover(["status", "--at", "999999"], server: url)
        #expect(later.code == 2 && later.text.contains("the log ends at"), "\(later.text)")
        let again = try await system.drover(["whatif", ".", "--json"], server: url)
        #expect(again.code == 0 && again.text.contains(#""new":0"#), "\(again.text)")
        let played = try await system.drover(["replay", ".", "--from", "\(found)", "--until", "\(found)"], server: url)
        #expect(played.code == 0 && played.text.contains("build 1 at revision"), "\(played.text)")
    }

    @Test func refusalsChangeNothingAndFailuresSayWhy() async throws {
        let system = try System()
        let repository = try await system.repository(versions: 1)
        let (projector, url) = try await system.start(
            ["--data", system.directory + "/data", "--listen", "127.0.0.1:0", "--peers", "1"])
        let client = system.client(url)

        let unknown = try await system.drover(["deploy", "app", "--build", "7", "--reason", "x"], server: url)
        #expect(unknown.code == 2)
        #expect(unknown.text.contains("unknown-build"))
        let none = try await system.drover(["rollback", "app", "--reason", "x"], server: url)
        #expect(none.code == 2)
        #expect(none.text.contains("no-previous"))
        #expect(try await client.targets().targets.isEmpty)

        let missing = try await system.drover(
            [
                "build", "--repository", repository.path, "--commit", String(repeating: "0", count: 40), "--app", "app",
                "--wait",
            ], server: url)
        #expect(missing.code == 1)
        #expect(missing.text.contains("snapshot"))
        try Data("build: exit 3\nartifact: app\n".utf8).write(to: URL(filePath: repository.path + "/drover.yml"))
        let failing = try await commit(system, repository.path)
        #expect(failing.contains("(exit)"))
        try Data("build: 'true'\nartifact: nothing\n".utf8).write(to: URL(filePath: repository.path + "/drover.yml"))
        #expect(try await commit(system, repository.path).contains("(artifact)"))
        try Data("built: 'true'\n".utf8).write(to: URL(filePath: repository.path + "/drover.yml"))
        #expect(try await commit(system, repository.path).contains("(recipe)"))
        try Data("build: sleep 60\nartifact: app\ntimeout_seconds: 1\n".utf8)
            .write(to: URL(filePath: repository.path + "/drover.yml"))
        #expect(try await commit(system, repository.path).contains("(timeout)"))

        /// Commits what stands there, builds it, and returns how that was told.
        func commit(_ system: System, _ path: String) async throws -> String {
            try await system.commitAll(path, "change")
            let done = try await system.drover(
                ["build", "--repository", path, "--commit", "main", "--app", "app", "--wait"], server: url)
            #expect(done.code == 1, "\(done.text)")
            return done.text
        }
        await system.stop(projector)
    }

    @Test func wrongFlagsAreUsageErrors() async throws {
        let system = try System()
        let projector = try System.product("projector")
        for arguments in [
            ["--listen", "nowhere"], ["--regions", "0"], ["--listen", "0.0.0.0:0"], ["global", "--lease-seconds", "0"],
            ["region"], ["worker", "--control", "ftp://x"],
            ["peer", "--control", "http://127.0.0.1:1", "--label", "x"],
            ["--no-such-flag"],
        ] {
            let done = try await system.run(projector, arguments + ["--data", system.directory + "/none"])
            #expect(done.code == 2, "\(arguments): \(done.code) \(done.text)")
            #expect(!done.text.isEmpty)
        }
    }

    @Test func aSecondProcessOnTheSameDataIsRefused() async throws {
        let system = try System()
        let arguments = ["global", "--data", system.directory + "/data", "--listen", "127.0.0.1:0"]
        let (first, _) = try await system.start(arguments)
        let second = try await system.run(try System.product("projector"), arguments)
        #expect(second.code == 1)
        #expect(second.text.contains("\(first.pid)"), "names the holder: \(second.text)")
        await system.stop(first)
    }

    // MARK: Steps

    private func build(_ system: System, _ url: String, _ repository: String, _ commit: String) async throws {
        let done = try await system.drover(
            ["build", "--repository", repository, "--commit", commit, "--app", "app", "--wait"], server: url)
        try #require(done.code == 0, "\(done.text)")
    }

    private func expectVersion(_ text: String, _ system: System) async throws {
        let peers = try FileManager.default.contentsOfDirectory(atPath: system.directory + "/data/peers")
        #expect(peers.count == 6)
        for peer in peers {
            let said = try await system.run(
                "\(system.directory)/data/peers/\(peer)/apps/app/current/binary", ["--version"])
            #expect(said.text.trimmingCharacters(in: .whitespacesAndNewlines) == text, "\(peer)")
        }
    }

    /// Peers' records of what they took from their mirrors, summed: the size of their packs' directory.
    private func mirroredBytes(_ system: System, _ url: String) async throws -> Int {
        let peers = try FileManager.default.contentsOfDirectory(atPath: system.directory + "/data/peers")
        return try peers.map { peer in
            try FileManager.default.contentsOfDirectory(atPath: "\(system.directory)/data/peers/\(peer)/packs").count
        }.reduce(0, +)
    }
}
