import Domain
import Foundation
import Hummingbird
import HummingbirdTesting
import Logging
import Packs
import Swarm
import Synchronization
import Testing
import Transfer
import Wire

@testable import Agent

/// A region that knows a mirror and nothing else; the mirror is a real one.
private enum Mirror {
    static func run(_ test: @escaping @Sendable (String, Mirrored) async throws -> Void) async throws {
        let mirrored = Mirrored()
        let server = try await PieceServer.bind(PieceServerSettings(), catalog: mirrored.shelf, logger: quietLogger)
        let serving = Task { await server.run() }
        let router = Router()
        router.post("/v1/swarms/:app/:build/announce") { _, context in
            mirrored.announced.withLock { $0.append(context.parameters.get("build") ?? "") }
            let answer = AnnounceAnswer(
                neighbours: [], mirrorEndpoint: "http://\(server.address)", mirrorRequests: 1,
                announceMilliseconds: 1000, sequence: .zero)
            return Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(bytes: try WireJSON.encode(answer))))
        }
        router.get("/v1/manifests/:digest") { _, context in
            let manifest = mirrored.manifests.withLock { $0[context.parameters.get("digest") ?? ""] }
            return manifest.map { Response(status: .ok, body: .init(byteBuffer: ByteBuffer(bytes: $0))) }
                ?? Response(status: .serviceUnavailable)
        }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await app.test(.live) { client in
            let port = try #require(client.port)
            try await test("http://127.0.0.1:\(port)", mirrored)
        }
        serving.cancel()
        await serving.value
    }
}

private final class Mirrored: Sendable {
    let shelf = PackShelf()
    let announced = Mutex<[String]>([])
    let manifests = Mutex<[String: [UInt8]]>([:])

    /// Offers a pack, whole or only some of its pieces.
    func offer(_ packed: Packed, at path: String, pieces: Int? = nil) throws {
        try Data(packed.pack).write(to: URL(filePath: path))
        manifests.withLock { $0[packed.manifest.digest.hex] = packed.manifest.bytes }
        let count = try packed.manifest.layout().pieceCount
        shelf.put(
            try SharedPack(
                manifest: packed.manifest, paths: [path],
                verified: PieceSet(pieceCount: count, pieces: 0..<(pieces ?? count)), clock: MachineClock()),
            as: packed.manifest.packName)
    }
}

@Suite(.serialized) struct FetchTests {
    private static func noise(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: 5)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    private static func plantManifest(_ packed: Packed, in home: Home) throws {
        try home.directory.write(
            Data(packed.manifest.bytes), to: home.directory.manifest(packed.manifest.digest))
    }

    @Test func aBuildIsFetchedUnpackedSharedAndAnnounced() async throws {
        let home = try Home()
        let packed = try home.pack(1, "sleep 600")
        try await Mirror.run { region, mirrored in
            try mirrored.offer(packed, at: home.file("mirrored"))
            var settings = AgentSettings()
            settings.keptAnnounceMilliseconds = 300
            let agent = RunningAgent(home, settings: settings, region: region)
            agent.assign(1, packed.build)
            await agent.becomes(.healthy, at: 1)
            #expect(home.directory.keptBuilds(of: web) == [packed.build])
            #expect(agent.packs.shelf.pack(packed.manifest.packName)?.have.pieces.isComplete == true)
            let before = mirrored.announced.withLock { $0.count }
            let announcing = Task { await agent.packs.announceKept() }
            await eventually("it is announced again and again") {
                mirrored.announced.withLock { $0.count } > before + 2
            }
            announcing.cancel()
            await agent.runner.stopProcess()
            await agent.stop()
        }
    }

    /// Deploy, roll back while it is fetched, deploy again: one file, one writer, the right bytes.
    @Test func aFetchThatIsGivenUpLeavesNothingAndMayComeAgain() async throws {
        let home = try Home()
        let one = try home.keep(home.pack(1, "exec sleep 600"))
        let script = "#!/bin/sh\nexec sleep 600\n"
        let two = try home.pack(2, raw: Array(script.utf8) + Self.noise(1 << 20))
        try await Mirror.run { region, mirrored in
            try mirrored.offer(two, at: home.file("mirrored"), pieces: 3)
            let agent = RunningAgent(home, region: region)
            agent.assign(1, one)
            await agent.becomes(.healthy, at: 1)
            agent.assign(2, two.build)
            let partial = home.directory.pack(two.build) + ".partial"
            await eventually("three pieces are here") {
                agent.packs.shelf.pack(two.manifest.packName)?.have.pieces.count == 3
            }
            #expect(FileManager.default.fileExists(atPath: partial))
            agent.assign(3, one)
            await agent.becomes(.healthy, at: 3)
            await eventually("nothing of it is left") {
                agent.packs.shelf.pack(two.manifest.packName) == nil
                    && home.directory.names(in: home.directory.root + "/packs") == ["\(one.fileName).pack"]
            }
            try mirrored.offer(two, at: home.file("mirrored"))
            for number in 4...9 as ClosedRange<UInt64> { agent.assign(number, number % 2 == 0 ? two.build : one) }
            agent.assign(10, two.build)
            await agent.becomes(.healthy, at: 10)
            let binary = try Data(contentsOf: URL(filePath: home.directory.binary(web, two.build)))
            #expect([UInt8](binary) == two.raw)
            await agent.runner.stopProcess()
            await agent.stop()
        }
    }

    /// What an agent fetched before it was killed is not fetched again.
    @Test func aNewAgentGoesOnFromThePiecesThatAreHere() async throws {
        let home = try Home()
        let script = "#!/bin/sh\nexec sleep 600\n"
        let packed = try home.pack(1, raw: Array(script.utf8) + Self.noise(1 << 20))
        try await Mirror.run { region, mirrored in
            try mirrored.offer(packed, at: home.file("mirrored"), pieces: 5)
            let first = RunningAgent(home, region: region)
            first.assign(1, packed.build)
            await eventually("five pieces are here") {
                first.packs.shelf.pack(packed.manifest.packName)?.have.pieces.count == 5
            }
            await first.stop()
            home.directory.sweep()
            let mirror = home.file("mirrored")
            var damaged = packed.pack
            // The pieces that are here already are never asked for again: these would be refused.
            for index in 0..<Int(packed.manifest.pieceLength) * 5 { damaged[index] ^= 1 }
            try mirrored.offer(packed, at: mirror)
            try Data(damaged).write(to: URL(filePath: mirror))
            let second = RunningAgent(home, region: region)
            await second.becomes(.healthy, at: 1)
            await second.runner.stopProcess()
            await second.stop()
        }
    }

    @Test func aFullDiskIsToldBeforeAnythingIsMoved() async throws {
        let home = try Home()
        let packed = try home.pack(1, "sleep 600")
        try Self.plantManifest(packed, in: home)
        var settings = AgentSettings()
        settings.minimumFreeBytes = 1 << 60
        let agent = RunningAgent(home, settings: settings)
        agent.assign(1, packed.build)
        await eventually("the report says why") {
            agent.reported.last.map { $0.health == .fetching && $0.detail.contains("free some space") } ?? false
        }
        #expect(home.directory.names(in: home.directory.root + "/packs").isEmpty)
        await agent.stop()
    }

    /// A pack that is here is unpacked again, not fetched again; one with wrong bytes is thrown away.
    @Test func onlyADamagedPackIsThrownAway() async throws {
        let home = try Home()
        let packed = try home.pack(1, "exec sleep 600")
        try Self.plantManifest(packed, in: home)
        let path = home.directory.pack(packed.build)
        // Unpacking cannot write: a directory stands where it would.
        try Data(packed.pack).write(to: URL(filePath: path))
        try home.directory.make(PackReader.temporaryPath(of: home.directory.binary(web, packed.build)))
        let agent = RunningAgent(home)
        agent.assign(1, packed.build)
        await eventually("it does not unpack") { agent.reported.last?.detail.contains("does not unpack") ?? false }
        #expect(FileManager.default.fileExists(atPath: path))
        home.directory.remove(PackReader.temporaryPath(of: home.directory.binary(web, packed.build)))
        await agent.becomes(.healthy, at: 1)
        await agent.runner.stopProcess()
        await agent.stop()

        let other = try home.pack(2, "exec sleep 601")
        try Self.plantManifest(other, in: home)
        let otherPath = home.directory.pack(other.build)
        try Data(other.pack.dropLast()).write(to: URL(filePath: otherPath))
        let second = RunningAgent(home)
        second.assign(2, other.build)
        await eventually("it is gone") { !FileManager.default.fileExists(atPath: otherPath) }
        await second.runner.stopProcess()
        await second.stop()
    }
}
