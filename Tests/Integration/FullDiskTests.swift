import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// A region's store on a small disk of its own, which fills: the job says so, and nothing else is disturbed.
@Suite(.serialized) struct FullDiskTests {
    /// The store keeps 64 MiB free.
    private static let storeMebibytes = 96

    /// Needs the right to mount.
    @Test(.enabled(if: getuid() == 0)) func aFullStoreFailsTheJobThatDoesNotFit() async throws {
        let system = try System()
        let store = system.directory + "/regions/one/store"
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: true)
        // Room for what the store keeps free, and a little more.
        let mounted = try await system.run(
            "/usr/bin/mount", ["-t", "tmpfs", "-o", "size=\(Self.storeMebibytes)m", "none", store])
        try #require(mounted.code == 0, "\(mounted.text)")
        defer { unsafe umount2(store, Int32(MNT_DETACH)) }

        let global = try await system.global()
        let region = try await system.region("one", of: global)
        let worker = try await system.worker("worker-1", region: "one", of: global, ["--store-full-seconds", "3"])
        let peer = try await system.peer("peer-1", of: region)
        let repository = try await system.repository(versions: 1)
        let small = try await system.build(repository.commits[0], of: repository.path, at: global)
        try await system.deploy(small, at: global)

        let recipe = "build: head -c \(Self.storeMebibytes << 20) /dev/urandom > app\nartifact: app\n"
        try recipe.write(toFile: repository.path + "/drover.yml", atomically: true, encoding: .utf8)
        try await system.commitAll(repository.path, "too large")
        let large = try await system.drover(
            ["build", "--repository", repository.path, "--commit", "main", "--app", "app", "--wait"],
            server: global.url)
        #expect(large.code == 1)
        #expect(large.text.contains("(artifact)"), "\(large.text)")
        #expect(large.text.contains("full"), "\(large.text)")
        #expect(try await system.version(on: "peer-1") == "app 1")

        let again = try await system.drover(
            [
                "build", "--repository", repository.path, "--commit", repository.commits[0], "--app", "other", "--wait",
            ], server: global.url)
        #expect(again.code == 0, "what fits is built on: \(again.text)")
        for role in [peer, worker, region, global] { await system.stop(role) }
        for pid in (try? system.appProcesses().keys) ?? [:].keys { kill(-pid, SIGKILL) }
    }
}
