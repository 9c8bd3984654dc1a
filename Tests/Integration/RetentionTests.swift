import Domain
import Foundation
import Glibc
import Testing

/// Logs that keep seconds, through the built binaries: deploys go on, and the past is in the backup.
@Suite(.serialized) struct RetentionTests {
    private static func short(_ store: String) -> [String] { ["--backup-to", store, "--keep-log", "2s"] }

    @Test func aLogForgetsWhatItsBackupHolds() async throws {
        let system = try System()
        var global = try await system.global(System.shortLeases + Self.short("store"))
        let region = try await system.region("one", of: global, Self.short("store-one"))
        let worker = try await system.worker("worker-1", region: "one", of: global)
        let peer = try await system.peer("peer-1", of: region)
        let repository = try await system.repository(versions: 2)
        let one = try await system.build(repository.commits[0], of: repository.path, at: global)
        try await system.deploy(one, at: global)
        try await waitForAnchor(system, global)

        await system.stop(global, SIGKILL)
        try await system.restart(&global)
        let two = try await system.build(repository.commits[1], of: repository.path, at: global)
        try await system.deploy(two, at: global)
        #expect(try await system.version(on: "peer-1") == "app 2")
        try await aNewRegionJoins(system, global)
        // Rows of the past are in the views; the log's own past is in its archive.
        let past = try await system.drover(["query", "--at", "3", "SELECT count(*) FROM events"], server: global.url)
        #expect(past.code == 0, "\(past.text)")
        for role in [peer, worker, region] { await system.stop(role, SIGKILL) }
        // Told to stop, it brings the backup to its end.
        await system.stop(global)

        let whole = try await system.report(["verify", "global", "--json"])
        #expect(whole.sound == true && whole.archived ?? 0 > 0 && whole.views == "equal" && whole.stateHash != nil)
        let regional = try await system.report(["verify", "regions/one", "--json"])
        #expect(regional.sound == true && regional.archived ?? 0 > 0)
        try await theArchiveIsNeededForThePast(system, whole)

        // A start with nothing but the log and its archive.
        for name in ["snapshots", "views.sqlite", "views.sqlite-wal", "views.sqlite-shm"] {
            try? FileManager.default.removeItem(atPath: "\(system.directory)/global/\(name)")
        }
        try await system.restart(&global)
        let jobs = try await system.drover(["query", "SELECT count(*) FROM jobs"], server: global.url)
        #expect(jobs.code == 0 && jobs.text.contains("2"), "\(jobs.text)")
        await system.stop(global)
    }

    /// It cannot follow from the start: it takes a snapshot, copies what it names, and its peers run the target.
    private func aNewRegionJoins(_ system: System, _ global: Role) async throws {
        let region = try await system.region("two", of: global)
        let peer = try await system.peer("peer-2", of: region)
        _ = try await eventually("a peer of the new region runs the target") {
            (try? await system.version(on: "peer-2")) == "app 2" ? true : nil
        }
        for role in [peer, region] { await system.stop(role) }
        let log = try await system.run(
            System.product("drover"), ["replay", "regions/two", "--json"])
        #expect(log.code == 0)
        let output = try String(contentsOfFile: system.directory + "/output.log", encoding: .utf8)
        #expect(output.contains("a snapshot is taken"))
    }

    private func waitForAnchor(_ system: System, _ global: Role) async throws {
        _ = try await eventually("the log forgets its beginning") {
            let log = try await system.drover(["log"], server: global.url)
            return log.code != 0 && log.text.contains("[archived]") && log.text.contains("/store") ? true : nil
        }
    }

    private func theArchiveIsNeededForThePast(_ system: System, _ whole: PositionReport) async throws {
        let (files, path) = (FileManager.default, system.directory)
        let drover = try System.product("drover")
        let question = ["bisect", "global", "SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'succeeded')"]
        let found = try await system.run(drover, question)
        #expect(found.code == 0, "\(found.text)")
        try files.moveItem(atPath: path + "/store", toPath: path + "/away")
        let part = try await system.report(["verify", "global", "--json"])
        #expect(part.sound == true && part.after ?? 0 > 0 && part.sequence == whole.sequence)
        for arguments in [
            question, ["replay", "global"], ["diff", "1", "2", "--log", "global"], ["whatif", "global"],
            ["explain", "job", "1", "--log", "global"], ["export", "global", "--output", "log.ndjson"],
        ] {
            let answer = try await system.run(drover, arguments)
            #expect(answer.code != 0 && answer.text.contains("is in the archive"), "\(arguments): \(answer.text)")
        }
        try files.moveItem(atPath: path + "/away", toPath: path + "/store")
        let restored = try await system.run(
            drover, ["restore", "store", "--log", try #require(whole.log), "--output", "elsewhere"])
        #expect(restored.code == 0, "\(restored.text)")
        #expect(try await system.report(["verify", "elsewhere", "--json"]).stateHash == whole.stateHash)
    }
}
