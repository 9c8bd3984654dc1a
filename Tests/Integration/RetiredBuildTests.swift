import Foundation
import Glibc
import Testing

/// Old builds go, through the built binaries: retired by the global role, removed by both regions, gone in every answer.
@Suite(.serialized) struct RetiredBuildTests {
    private static let short = ["--kept-builds", "1", "--kept-seconds", "1", "--retirement-grace-seconds", "0"]

    @Test func oldBuildsGoEverywhere() async throws {
        let system = try System()
        let global = try await system.global(System.shortLeases + Self.short)
        let regions = [
            try await system.region("one", of: global), try await system.region("two", of: global),
        ]
        let worker = try await system.worker("worker-1", region: "one", of: global)
        let peer = try await system.peer("peer-1", of: regions[0])
        let repository = try await system.repository(versions: 4)
        var builds: [String] = []
        for (place, commit) in repository.commits.enumerated() {
            let build = try await system.build(commit, of: repository.path, at: global)
            builds.append("\(build)")
            if place == 0 {
                let pinned = try await system.drover(
                    ["pin", "\(build)", "--reason", "an old schema"], server: global.url)
                #expect(pinned.code == 0, "\(pinned.text)")
            }
            if place == 2 { try await system.deploy(build, at: global) }
        }
        // The first is pinned, the third runs, the fourth is the newest: the second goes.
        _ = try await eventually("the second build is gone") {
            let gone = try await system.drover(
                ["query", "SELECT id FROM builds WHERE replication_status = 'gone'", "--json"], server: global.url)
            return gone.text.contains("\"id\":\(builds[1])") ? true : nil
        }
        for region in ["one", "two"] {
            let packs = try FileManager.default.contentsOfDirectory(
                atPath: system.directory + "/regions/\(region)/store/named/packs")
            #expect(!packs.contains(builds[1]) && packs.contains(builds[0]), "\(region) has \(packs)")
        }
        let refused = try await system.drover(
            ["deploy", "app", "--build", builds[1], "--reason", "back"], server: global.url)
        #expect(refused.code == 2 && refused.text.contains("build-retired"), "\(refused.text)")
        let list = try await system.drover(["builds"], server: global.url)
        #expect(list.text.contains("gone, retired") && list.text.contains("kept: a target names it"), "\(list.text)")
        #expect(list.text.contains("kept: pinned by"), "\(list.text)")
        let again = try await system.build(repository.commits[1], of: repository.path, at: global)
        #expect("\(again)" != builds[1], "its commit is built anew")
        #expect(try await system.version(on: "peer-1") == "app 3")
        for role in [peer, worker] + regions + [global] { await system.stop(role) }
        for pid in (try? system.appProcesses().keys) ?? [:].keys { kill(-pid, SIGKILL) }
    }
}
