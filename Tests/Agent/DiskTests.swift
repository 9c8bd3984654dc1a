import Domain
import Foundation
import Glibc
import Packs
import Swarm
import Synchronization
import Testing
import Transfer

@testable import Agent

@Suite struct DiskTests {
    @Test func aStartSweepsWhatNobodyNeeds() async throws {
        let home = try Home()
        let directory = home.directory
        let kept = try home.keep(home.pack(1, "exit 0"))
        let (assigned, stranger) = (try home.pack(2, "exit 0").build, try home.pack(3, "exit 0").build)
        var machine = AppMachine(app: web, seed: 1)
        let assignment = Assignment(app: web, revision: .zero, build: assigned, expires: .distantFuture)
        _ = machine.assigned(assignment, now: .zero)
        try directory.write(try JSONEncoder().encode(machine), to: directory.state(web))
        for build in [assigned, stranger] {
            try directory.make(directory.build(web, build))
            for path in [
                directory.pack(build) + ".partial", directory.pack(build) + ".partial.pieces",
                PackReader.temporaryPath(of: directory.binary(web, build)), directory.manifest(build.manifest),
            ] { try Data("x".utf8).write(to: URL(filePath: path)) }
        }
        directory.sweep()
        #expect(
            directory.names(in: directory.root + "/packs")
                == [
                    "\(kept.fileName).pack", "\(assigned.fileName).pack.partial",
                    "\(assigned.fileName).pack.partial.pieces",
                ].sorted())
        #expect(directory.names(in: directory.app(web) + "/builds") == [kept.fileName, assigned.fileName].sorted())
        #expect(directory.names(in: directory.build(web, assigned)).isEmpty)
        #expect(
            directory.names(in: directory.root + "/manifests") == [kept.manifest.hex, assigned.manifest.hex].sorted())
        #expect(directory.keptBuilds(of: web) == [kept])
    }

    @Test func outputIsMovedAsideAndTheAppWritesOn() throws {
        let home = try Home()
        let path = home.directory.output(web)
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        defer { close(descriptor) }
        let app = FileHandle(fileDescriptor: descriptor)
        try app.write(contentsOf: Data(repeating: 65, count: 1000))
        try home.directory.rotateOutput(web, maximumBytes: 1000)
        #expect(!FileManager.default.fileExists(atPath: path + ".1"), "not above the limit")
        try app.write(contentsOf: Data("last".utf8))
        try home.directory.rotateOutput(web, maximumBytes: 1000)
        try app.write(contentsOf: Data("next".utf8))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "next")
        #expect(try String(contentsOfFile: path + ".1", encoding: .utf8).hasSuffix("Alast"))
    }

    @Test func aDeletedBuildLeavesOnlyItsSiblingOfTheSameNumber() async throws {
        let home = try Home()
        let (old, new) = (try home.keep(home.pack(1, "exit 0")), try home.keep(home.pack(1, "exit 1")))
        let agent = RunningAgent(home, runs: false)
        agent.packs.offer(web, [old, new])
        let name = PackName(app: web, build: old.build)
        let root = agent.packs.shelf.pack(name)?.root
        agent.packs.drop(web, old)
        #expect(agent.packs.shelf.pack(name)?.root == root, "the later one stays on the shelf")
        #expect(home.directory.keptBuilds(of: web) == [new])
        agent.packs.drop(web, new)
        #expect(agent.packs.shelf.pack(name) == nil)
        for path in ["packs", "manifests", "apps/web/builds"] {
            #expect(home.directory.names(in: "\(home.directory.root)/\(path)").isEmpty)
        }
        await agent.stop()
    }

    @Test func workOnOneBuildIsDoneInTurnAlsoWhenItIsCancelled() async throws {
        let queue = BuildQueue()
        let order = Mutex<[String]>([])
        let one = ProvedBuild(build: BuildID(rawValue: 1), manifest: .zero)
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        queue.add(one) {
            // Deaf to cancellation, as a thread that unpacks is for a while.
            await Task { for await _ in gate {} }.value
            order.withLock { $0.append("first \(Task.isCancelled)") }
        }
        queue.cancel(one)
        queue.add(one) { order.withLock { $0.append("drop") } }
        queue.add(one) { order.withLock { $0.append("second \(Task.isCancelled)") } }
        try await Task.sleep(for: .milliseconds(50))
        #expect(order.withLock { $0.isEmpty }, "nothing begins before the first has ended")
        open.finish()
        await eventually("all is done") { order.withLock { $0.count } == 3 }
        #expect(order.withLock { $0 } == ["first true", "drop", "second false"])
        await queue.end()
    }

    @Test func textOfAppsIsOneSafeLine() {
        #expect(oneLine(Array("a\r\n\tb\u{1b}[0m\u{202e}c\u{2028}d".utf8)) == "a b [0m c d")
        #expect(oneLine(Array("é".utf8).dropFirst() + Array("x".utf8)) == "x", "a letter that was cut in two")
        #expect(oneLine(Array("größer 日本".utf8)) == "größer 日本")
    }

    @Test func pausesGrowToTheirMaximumAndDifferByPeer() {
        var (one, two) = (Backoff(seed: 1), Backoff(seed: 2))
        let (ones, twos) = ((0..<10).map { _ in one.nextMilliseconds() }, (0..<10).map { _ in two.nextMilliseconds() })
        for (index, pause) in ones.enumerated() {
            let whole: Int64 = min(500 << Int64(index), 10_000)
            #expect((whole / 2...whole).contains(pause))
        }
        #expect(ones != twos)
        one.succeeded()
        #expect(one.nextMilliseconds() <= 500)
    }

    @Test func peersAreToldAnAddressThatLeadsHere() {
        func endpoint(_ host: String, _ advertised: String?, _ port: Int?) -> String {
            AgentConfiguration(
                name: PeerName(unchecked: "p"), control: "", directory: "", host: host, port: 0,
                advertiseHost: advertised, advertisePort: port
            ).endpoint(boundPort: 9000)
        }
        #expect(endpoint("10.0.0.1", nil, nil) == "http://10.0.0.1:9000")
        #expect(endpoint("0.0.0.0", "peer.example", 0) == "http://peer.example:9000")
        #expect(endpoint("0.0.0.0", "fd00::1", 80) == "http://[fd00::1]:80")
    }
}
