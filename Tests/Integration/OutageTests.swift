import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// What goes on without the global process, without a peer, and after the global log was set back.
@Suite(.serialized) struct OutageTests {
    @Test func aRegionThatIsCutOffServesOnAndCatchesUp() async throws {
        let system = try System()
        var global = try await system.global()
        var region = try await system.region("one", of: global)
        let worker = try await system.worker("worker-1", region: "one", of: global)
        let first = try await system.peer("peer-1", of: region)
        let repository = try await system.repository(versions: 2)
        let one = try await system.build(repository.commits[0], of: repository.path, at: global)
        try await system.deploy(one, at: global)

        await system.stop(global, SIGKILL)
        // A newcomer gets the target and the pack, from a region that was started again meanwhile.
        await system.stop(region, SIGKILL)
        try await system.restart(&region)
        let second = try await system.peer("peer-2", of: region)
        _ = try await eventually("the newcomer runs the target") {
            (try? await system.version(on: "peer-2")) == "app 1" ? true : nil
        }
        #expect(try system.appProcesses().count == 2)

        try await system.restart(&global)
        let two = try await system.build(repository.commits[1], of: repository.path, at: global)
        try await system.deploy(two, at: global)
        for peer in ["peer-1", "peer-2"] { #expect(try await system.version(on: peer) == "app 2") }
        await end(system, [first, second, worker, region, global])
    }

    @Test func aPeerThatWasAwayConvergesWhenItReturns() async throws {
        let system = try System()
        let global = try await system.global()
        let region = try await system.region("one", of: global)
        let worker = try await system.worker("worker-1", region: "one", of: global)
        let here = try await system.peer("here", of: region)
        var away = try await system.peer("away", of: region)
        let repository = try await system.repository(versions: 2)
        let one = try await system.build(repository.commits[0], of: repository.path, at: global)
        try await system.deploy(one, at: global)

        await system.stop(away, SIGKILL)
        let two = try await system.build(repository.commits[1], of: repository.path, at: global)
        // Done without the one that is silent for long enough; it is listed as such.
        try await system.deploy(two, at: global)
        #expect(try await system.version(on: "here") == "app 2")
        #expect(try await system.version(on: "away") == "app 1")
        let client = system.client(global.url)
        let peers = try await client.peers(of: RegionName(unchecked: "one"))
        #expect(peers.peers.filter { $0.status == "silent" }.map(\.name.rawValue) == ["away"])

        try await system.restart(&away)
        _ = try await eventually("the target counts it in") {
            try await client.targets().targets.first?.regions.first?.healthy == 2 ? true : nil
        }
        #expect(try await system.version(on: "away") == "app 2")
        #expect(try system.appProcesses().count == 2)
        await end(system, [here, away, worker, region, global])
    }

    /// The disk of the global process is lost; an older copy takes its place.
    @Test func anOlderCopyIsAnsweredForkedAndANewEpochHeals() async throws {
        let system = try System()
        var global = try await system.global()
        var regions: [Role] = []
        for name in ["one", "two"] { regions.append(try await system.region(name, of: global)) }
        let worker = try await system.worker("worker-1", region: "one", of: global)
        var peers: [Role] = []
        for (index, region) in regions.enumerated() {
            peers.append(try await system.peer("peer-\(index + 1)", of: region))
        }
        let repository = try await system.repository(versions: 4)
        let one = try await system.build(repository.commits[0], of: repository.path, at: global)
        try await system.deploy(one, at: global)

        await system.stop(global)
        let (data, copy) = (system.directory + "/global", system.directory + "/copy")
        try FileManager.default.copyItem(atPath: data, toPath: copy)
        try await system.restart(&global)
        let lost = try await system.build(repository.commits[1], of: repository.path, at: global)
        try await system.deploy(lost, at: global)
        let before = try system.appProcesses()

        await system.stop(global, SIGKILL)
        try FileManager.default.removeItem(atPath: data)
        try FileManager.default.moveItem(atPath: copy, toPath: data)
        // Not ready for ever: started without waiting.
        let frozen = try await system.startUnready(global.arguments)
        let refused = try await eventually("the fork is seen") {
            let done = try await system.drover(
                ["deploy", "app", "--build", "\(one)", "--reason", "x"], server: global.url)
            return done.text.contains("forked") ? done : nil
        }
        #expect(refused.code != 0)
        #expect(refused.text.contains("--new-epoch"), "says what to do: \(refused.text)")
        let unready = try await system.run(
            "/usr/bin/curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", global.url + "/readyz"])
        #expect(unready.text == "503")
        for peer in ["peer-1", "peer-2"] { #expect(try await system.version(on: peer) == "app 2", "nothing goes back") }
        #expect(try system.appProcesses() == before)
        await system.stop(frozen)

        try await system.restart(&global, ["--new-epoch"])
        // What the log says is so again, in the new epoch.
        _ = try await eventually("the log's target holds") {
            let versions = [try await system.version(on: "peer-1"), try await system.version(on: "peer-2")]
            return versions == ["app 1", "app 1"] ? true : nil
        }
        // The same number again, of another commit: nothing of the lost build may be taken for it.
        let again = try await system.build(repository.commits[2], of: repository.path, at: global)
        #expect(again == lost)
        try await system.deploy(again, at: global)
        for peer in ["peer-1", "peer-2"] { #expect(try await system.version(on: peer) == "app 3") }
        let next = try await system.build(repository.commits[3], of: repository.path, at: global)
        try await system.deploy(next, at: global)
        for peer in ["peer-1", "peer-2"] { #expect(try await system.version(on: peer) == "app 4") }
        let sound = try await system.drover(["verify", system.directory], server: global.url)
        #expect(sound.code == 0, "\(sound.text)")
        await end(system, peers + [worker] + regions + [global])
    }

    private func end(_ system: System, _ roles: [Role]) async {
        for role in roles { await system.stop(role) }
        for pid in (try? system.appProcesses().keys) ?? [:].keys { kill(-pid, SIGKILL) }
    }
}
