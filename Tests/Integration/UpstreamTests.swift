import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// A project that nobody here wrote: its commits are built, deployed everywhere, and its own binary says which it is.
@Suite(.serialized) struct UpstreamTests {
    private let peers = ["one-1", "one-2", "two-1", "two-2"]

    @Test func releasesOfLuaRunEverywhere() async throws {
        let system = try System()
        let repository = system.directory + "/lua"
        let made = try await system.run(Tree.root.appending(path: "tools/upstream").path, [repository])
        try #require(made.code == 0, "\(made.text)")
        let global = try await system.global([])
        var roles: [Role] = []
        for name in ["one", "two"] {
            let region = try await system.region(name, of: global)
            roles.append(region)
            for index in 1...2 { roles.append(try await system.peer("\(name)-\(index)", of: region)) }
        }
        let second = try #require(roles.first { $0.arguments.contains("two") })
        roles.append(try await system.worker("worker-1", region: "one", of: global))

        try await refusedUntilReplicated(system, global, repository, second)
        try await sideBySide(system, global, repository)
        try await backWithoutBytes(system, global)

        for role in roles.reversed() { await system.stop(role) }
        await system.stop(global)
        for pid in (try? system.appProcesses().keys) ?? [:].keys { kill(-pid, SIGKILL) }
    }

    /// A region that stands still has no copy yet: a deploy is refused and changes nothing; a recorded wait ends well.
    private func refusedUntilReplicated(
        _ system: System, _ global: Role, _ repository: String, _ region: Role
    ) async throws {
        let client = system.client(global.url)
        system.signal(region, SIGSTOP)
        let first = try await system.build("v5.1", of: repository, app: "lua", at: global)
        let before = try await client.status().sequence
        let refused = try await system.drover(
            ["deploy", "lua", "--build", "\(first)", "--reason", "too soon", "--wait"], server: global.url)
        #expect(refused.code == 2)
        #expect(refused.text.contains("not-replicated"), "\(refused.text)")
        #expect(try await client.targets().targets.isEmpty)
        let changes = try await client.query(
            "SELECT count(*) FROM events WHERE sequence > \(before.rawValue) AND type LIKE '%target%'")
        #expect(changes.rows == [[.integer(0)]])

        let waiting = try await system.drover(
            ["deploy", "lua", "--build", "\(first)", "--reason", "first", "--when-replicated", "--json"],
            server: global.url)
        #expect(waiting.code == 0, "\(waiting.text)")
        #expect(waiting.text.contains("waiting"), "\(waiting.text)")
        system.signal(region, SIGCONT)
        let watched = try await system.drover(["watch", "lua", "--timeout", "3m"], server: global.url)
        #expect(watched.code == 0, "\(watched.text)")
        try await expect("Lua 5.1", app: "lua", system)
    }

    /// Two apps, and two builds of one of them, at the same time.
    private func sideBySide(_ system: System, _ global: Role, _ repository: String) async throws {
        async let second = system.build("v5.2", of: repository, app: "lua", at: global)
        async let third = system.build("v5.3", of: repository, app: "lua", at: global)
        async let other = system.build("v5.4", of: repository, app: "other", at: global)
        let (two, three, four) = try await (second, third, other)
        async let slower = deploy("lua", two, system, global)
        async let faster = deploy("lua", three, system, global)
        async let beside = deploy("other", four, system, global)
        let codes = try await [slower, faster]
        #expect(try await beside == 0)
        // The one that was asked for first may end before the other supersedes it.
        #expect(codes.allSatisfy { $0 == 0 || $0 == 4 } && codes.contains(0), "\(codes)")
        let target = try #require(
            try await system.client(global.url).targets().targets.first { $0.app.rawValue == "lua" })
        try await expect(target.build == two ? "Lua 5.2" : "Lua 5.3", app: "lua", system)
        try await expect("Lua 5.4", app: "other", system)
        #expect(try system.appProcesses().count == 8, "one copy of each app on each peer")
    }

    /// The target's previous build again, by a new revision and without a byte fetched.
    private func backWithoutBytes(_ system: System, _ global: Role) async throws {
        let client = system.client(global.url)
        func target() async throws -> TargetBody {
            try #require(try await client.targets().targets.first { $0.app.rawValue == "lua" })
        }
        let old = try await target()
        try await system.deploy(BuildID(rawValue: 1), app: "lua", at: global)
        try await expect("Lua 5.1", app: "lua", system)
        let (between, before) = (try await target(), try packs(system))
        let back = try await system.drover(["rollback", "lua", "--reason", "back", "--wait"], server: global.url)
        #expect(back.code == 0, "\(back.text)")
        let new = try await target()
        #expect(new.build == old.build)
        #expect(new.revision > between.revision)
        #expect(try packs(system) == before, "no pack was fetched, or written again")
        let said = try await system.version(on: peers[0], app: "lua", "-v")
        #expect(said.hasPrefix("Lua 5.2") || said.hasPrefix("Lua 5.3"))
        try await expect(String(said.prefix(7)), app: "lua", system)
        #expect(try system.appProcesses().count == 8)
    }

    private func deploy(_ app: String, _ build: BuildID, _ system: System, _ global: Role) async throws -> Int32 {
        try await system.drover(
            [
                "deploy", app, "--build", "\(build)", "--reason", "side by side", "--when-replicated", "--wait",
                "--timeout", "3m",
            ], server: global.url
        ).code
    }

    private func expect(_ version: String, app: String, _ system: System) async throws {
        for peer in peers {
            let said = try await system.version(on: peer, app: app, "-v")
            #expect(said.hasPrefix(version), "\(peer): \(said)")
        }
    }

    /// Every pack file of every peer, with when it was written.
    private func packs(_ system: System) throws -> [String: Date] {
        var found: [String: Date] = [:]
        for peer in peers {
            let folder = "\(system.directory)/peers/\(peer)/packs"
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
                let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
                found["\(peer)/\(name)"] = attributes[.modificationDate] as? Date
            }
        }
        return found
    }
}
