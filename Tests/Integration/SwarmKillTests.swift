import Foundation
import Ports
import Processes
import Testing

/// kill -9 of a mirror and of peers at random moments of a transfer: it always finishes, what a peer told others it has
/// is there after its death, and nothing is believed that was not verified. DROVER_ROUNDS sets how often somebody is
/// killed (the long form is 100).
@Suite(.serialized, .timeLimit(.minutes(60))) struct SwarmKillTests {
    private static let rounds = ProcessInfo.processInfo.environment["DROVER_ROUNDS"].flatMap { Int($0) } ?? 6
    private static let (rawBytes, pieceBytes) = (8_000_000, 64 << 10)

    /// A `drover pack serve` or `fetch`, and how to start it again.
    private struct Node {
        let name: String
        let port: UInt16
        let arguments: [String]
        var process: ProcessIdentity?
    }

    private let system: System

    init() throws { system = try System() }

    private func path(_ name: String) -> String { "\(system.directory)/\(name)" }

    @Test func aTransferEndsWhoeverIsKilled() async throws {
        var random = UInt64.random(in: .min ... .max)
        print("swarm-kill seed \(random)")
        func below(_ bound: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(random >> 33) % bound
        }
        let data = Data((0..<Self.rawBytes).map { _ in UInt8.random(in: 0...255) })
        try data.write(to: URL(filePath: path("file")))
        let made = try await system.run(
            try System.product("drover"), ["pack", "create", path("file"), "--output", path("packs"), "--app", "web"])
        try #require(made.code == 0, "\(made.text)")
        let pack = try #require(FileManager.default.contents(atPath: path("packs/web/1.pack")))

        var server = try node("server", ["serve", path("packs"), "--limit-up", "2M"])
        try await startServer(&server)
        var killed = 0
        while killed < Self.rounds {
            var peers: [Node] = []
            for number in 1...4 {
                var peer = try node(
                    "peer-\(number)",
                    [
                        "fetch", "http://127.0.0.1:\(server.port)/v1/packs/web/1", "--output", path("got-\(number)"),
                        "--limit-up", "2M", "--seed-seconds", "1",
                    ])
                try await start(&peer)
                peers.append(peer)
            }
            while peers.contains(where: { isRunning($0) || hasFoundNoServer($0) }) {
                try await Task.sleep(for: .milliseconds(50 + below(500)))
                for index in peers.indices where hasFoundNoServer(peers[index]) { try await start(&peers[index]) }
                guard killed < Self.rounds else { continue }
                let victim = below(peers.count + 1)
                if victim == peers.count {
                    await system.stop(try #require(server.process), SIGKILL)
                    try await startServer(&server)
                    killed += 1
                } else if isRunning(peers[victim]) {
                    try await killAndCompare(&peers[victim], pack)
                    killed += 1
                }
            }
            for (index, peer) in peers.enumerated() {
                let output = path("got-\(index + 1)")
                #expect(FileManager.default.contents(atPath: output) == data, "\(peer.name): \(said(peer))")
                try? FileManager.default.removeItem(atPath: output)
            }
        }
        await system.stop(try #require(server.process), SIGKILL)
    }

    private func node(_ name: String, _ arguments: [String]) throws -> Node {
        let port = try freePort()
        return Node(name: name, port: port, arguments: ["pack"] + arguments + ["--listen", "127.0.0.1:\(port)"])
    }

    private func start(_ node: inout Node) async throws {
        node.process = try await system.processes.startDependent(
            ProcessSpecification(
                executable: try System.product("drover"), arguments: node.arguments,
                environment: ["PATH": "/usr/bin:/bin", "HOME": system.directory], directory: system.directory,
                outputPath: path("\(node.name).out")), deathSignal: SIGKILL)
    }

    /// Returns when it listens: a fetch that begins needs the manifest.
    private func startServer(_ node: inout Node) async throws {
        try await start(&node)
        let url = "http://127.0.0.1:\(node.port)/v1/packs"
        let _: Bool = try await eventually("the server listens") {
            try await system.run("/usr/bin/curl", ["-sf", "-o", "/dev/null", url]).code == 0 ? true : nil
        }
    }

    private func isRunning(_ node: Node) -> Bool { node.process.map(system.processes.isRunning) ?? false }

    /// It began while the server was dead or dying: it says so, and ends.
    private func hasFoundNoServer(_ node: Node) -> Bool {
        !isRunning(node) && said(node).split(separator: "\n").last?.contains("[unreachable]") == true
    }

    private func said(_ node: Node) -> String {
        (try? String(contentsOfFile: path("\(node.name).out"), encoding: .utf8)) ?? ""
    }

    /// After its death a peer has what it said before, as bytes that are the pack's; so all that it fetches again was on its
    /// way. Then it is started again.
    private func killAndCompare(_ node: inout Node, _ pack: Data) async throws {
        let url = "http://127.0.0.1:\(node.port)/v1/packs/web/1/have"
        let told = try await system.run("/usr/bin/curl", ["-sf", "-m", "5", "-o", path("told"), url])
        let said = told.code == 0 ? FileManager.default.contents(atPath: path("told")).map(Array.init) : nil
        await system.stop(try #require(node.process), SIGKILL)
        try? FileManager.default.removeItem(atPath: path("told"))

        let output = try #require(node.arguments.firstIndex(of: "--output").map { node.arguments[$0 + 1] })
        let partial = "\(output).pack.partial"
        if let map = FileManager.default.contents(atPath: "\(partial).pieces").map(Array.init), map.count > 116,
            let file = try? FileHandle(forReadingFrom: URL(filePath: partial))
        {
            // The set's bits stand between the head of 84 bytes and the checksum of 32.
            let bits = Array(map[84..<(map.count - 32)])
            if let said {
                try #require(said.count == bits.count)
                #expect(zip(said, bits).allSatisfy { $0 & ~$1 == 0 }, "\(node.name) has lost what it had told")
            }
            for piece in 0..<(bits.count * 8) where bits[piece / 8] & (0x80 >> UInt8(piece % 8)) != 0 {
                let start = piece * Self.pieceBytes
                try file.seek(toOffset: UInt64(start))
                let bytes = try file.read(upToCount: min(Self.pieceBytes, pack.count - start))
                #expect(bytes == pack[start..<min(start + Self.pieceBytes, pack.count)], "\(node.name), piece \(piece)")
            }
        }
        try await start(&node)
    }
}
