import Domain
import Foundation
import Swarm
import Testing

@testable import Transfer

/// Clients that mean ill, or are broken.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct HostileClientTests {
    private func serve(
        rawBytes: Int = 100_000, _ change: (inout PieceServerSettings) -> Void = { _ in }
    ) async throws -> (RunningServer, TestPack) {
        let pack = try TestPack(rawBytes: rawBytes)
        var settings = PieceServerSettings()
        change(&settings)
        let server = try await RunningServer(settings, keeping: pack.scratch)
        server.shelf.put(try pack.shared(), as: pack.name)
        return (server, pack)
    }

    private func connect(_ server: RunningServer, reads: Bool = true) async throws -> RawConnection {
        try await RawConnection(port: server.server.address.port, reads: reads)
    }

    private static let request = "GET /v1/packs/web/7 HTTP/1.1\r\nHost: x\r\n\r\n"

    /// The server still answers a well-behaved client.
    private func expectHealth(of server: RunningServer, _ pack: TestPack) async throws {
        let client = PieceClient()
        let have = try await client.have(of: pack.name, pieceCount: pack.pieceCount, at: try server.endpoint)
        #expect(have.pieces.isComplete)
        await client.shutdown()
    }

    @Test func aHugeHeaderIsCutOff() async throws {
        let (server, pack) = try await serve()
        let connection = try await connect(server)
        await connection.send("GET /v1/packs/web/7 HTTP/1.1\r\nX: ")
        let block = String(repeating: "a", count: 64 << 10)
        var sent = 0
        while sent < 10 << 20, await connection.send(block) { sent += block.utf8.count }
        await connection.closed()
        #expect(sent < 10 << 20)
        #expect(!connection.received.contains("200 OK"))
        try await expectHealth(of: server, pack)
        await server.stop()
    }

    @Test func aLongRequestLineAndManyHeadersAreCutOff() async throws {
        let (server, pack) = try await serve()
        for text in [
            "GET /v1/packs/web/7?\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n\r\n",
            "GET /v1/packs/web/7 HTTP/1.1\r\n\(String(repeating: "a:b\r\n", count: 200))\r\n",
        ] {
            let connection = try await connect(server)
            await connection.send(text)
            await connection.closed()
            #expect(!connection.received.contains("200 OK"))
        }
        try await expectHealth(of: server, pack)
        await server.stop()
    }

    @Test func aSlowRequestIsCutOff() async throws {
        let (server, pack) = try await serve { $0.headMilliseconds = 200 }
        let connection = try await connect(server)
        var sent = 0
        // A byte now and then does not keep it alive.
        for byte in "GET /v1/packs/web/7 HTTP/1.1\r\nX: \(String(repeating: "a", count: 4000))" {
            guard await connection.send(String(byte)), connection.isOpen else { break }
            sent += 1
            try await Task.sleep(for: .milliseconds(20))
        }
        await connection.closed()
        #expect(sent < 4000)
        #expect(connection.received.isEmpty)
        try await expectHealth(of: server, pack)
        await server.stop()
    }

    @Test func anIdleConnectionIsClosed() async throws {
        let (server, _) = try await serve { $0.idleMilliseconds = 100 }
        let silent = try await connect(server)
        await silent.closed()
        let used = try await connect(server)
        await used.send(Self.request)
        await used.closed()
        #expect(used.received.hasPrefix("HTTP/1.1 200 OK"))
        await server.stop()
    }

    @Test func aClientThatTakesNothingIsCutOffAndItsSlotFreed() async throws {
        let (server, pack) = try await serve(rawBytes: 40_000_000) {
            ($0.uploadSlots, $0.stallMilliseconds, $0.waitingUploads) = (1, 300, 0)
        }
        let deaf = try await connect(server, reads: false)
        await deaf.send(Self.request)
        let client = PieceClient()
        let (name, total, endpoint) = (pack.name, pack.totalBytes, try server.endpoint)
        @Sendable func ask() async -> SourceFailure.Code? {
            do throws(SourceFailure) {
                _ = try await client.bytes(0..<10, of: name, totalBytes: total, as: nil, at: endpoint)
                return nil
            } catch {
                return error.code
            }
        }
        // One of the questions may have had the slot before it: then it asks again.
        #expect(
            await eventually {
                if await ask() == .busy { return true }
                await deaf.send(Self.request)
                return false
            })
        #expect(await eventually { await ask() == nil })
        await client.shutdown()
        await deaf.close()
        await server.stop()
    }

    @Test func fullSlotsAreToldWithRetryAfter() async throws {
        let (server, _) = try await serve(rawBytes: 40_000_000) { ($0.uploadSlots, $0.waitingUploads) = (1, 0) }
        let deaf = try await connect(server, reads: false)
        await deaf.send(Self.request)
        // One of the questions may have had the slot before it: then it asks again.
        let refused = try await eventuallyAnswered(server, "HTTP/1.1 503 ") { await deaf.send(Self.request) }
        #expect(refused.contains("Retry-After: 1") || refused.contains("retry-after: 1"))
        #expect(refused.contains("\"code\":\"busy\""))
        await deaf.close()
        _ = try await eventuallyAnswered(server, "HTTP/1.1 206 ")
        await server.stop()
    }

    /// Asks for the first byte until an answer begins so.
    private func eventuallyAnswered(
        _ server: RunningServer, _ prefix: String, otherwise: () async -> Void = {}
    ) async throws -> String {
        for _ in 0..<500 {
            let connection = try await connect(server)
            await connection.send(
                "GET /v1/packs/web/7 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\nConnection: close\r\n\r\n")
            await connection.closed()
            if connection.received.hasPrefix(prefix) { return connection.received }
            await otherwise()
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("nothing answered \(prefix)")
        return ""
    }

    @Test func tooManyConnectionsAreClosedAndPlacesComeFree() async throws {
        let (server, _) = try await serve { $0.maximumConnections = 3 }
        var held: [RawConnection] = []
        for _ in 0..<3 { held.append(try await connect(server)) }
        for connection in held {
            await connection.send("GET /v1/packs/web/7/have HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await eventually { connection.received.hasPrefix("HTTP/1.1 200 OK") })
        }
        // One more is closed at once, not when it has been idle for long.
        let surplus = try await connect(server)
        await surplus.closed()
        #expect(surplus.received.isEmpty)
        #expect(server.server.openConnections == 3)
        await held[0].close()
        _ = try await eventuallyAnswered(server, "HTTP/1.1 206 ")
        for connection in held.dropFirst() { await connection.close() }
        await server.stop()
    }

    @Test func aWaitingQuestionEndsWithItsConnection() async throws {
        let (server, pack) = try await serve { $0.maximumConnections = 1 }
        server.shelf.put(
            try SharedPack(
                manifest: pack.manifest, paths: [pack.path], verified: PieceSet(pieceCount: pack.pieceCount),
                clock: MachineClock()), as: pack.name)
        let waiting = try await connect(server)
        await waiting.send("GET /v1/packs/web/7/haves HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await eventually { waiting.received.hasPrefix("HTTP/1.1 200 OK") })
        server.shelf.put(try pack.shared(), as: pack.name)
        await waiting.close()
        _ = try await eventuallyAnswered(server, "HTTP/1.1 206 ")
        await server.stop()
    }

    @Test(arguments: 0..<30)
    func rubbishHarmsNothing(seed: Int) async throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let (server, pack) = try await serve { ($0.headMilliseconds, $0.idleMilliseconds) = (300, 300) }
        let seeds = [
            "GET ", "HEAD ", "/v1/packs/web/7", " HTTP/1.1", "\r\n", "Range: bytes=", "-", "99999", "\0", "🙂", ":",
            "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n", "Connection: close\r\n\r\n",
        ]
        for _ in 0..<5 {
            let connection = try await connect(server)
            let text = (0..<(1 + generator.below(30))).map { _ in seeds[generator.below(seeds.count)] }.joined()
            await connection.send(text)
            await connection.closed()
        }
        try await expectHealth(of: server, pack)
        await server.stop()
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        let (server, _) = try await serve()
        let connection = try await connect(server)
        await connection.send(
            "GET /v1/packs/web/7/have HTTP/1.1\r\nHost: x\r\n\r\n"
                + "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        await connection.closed()
        let answers = connection.received.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
        #expect(answers == ["200", "404"])
        await server.stop()
    }

    @Test func aPortThatIsTakenIsTold() async throws {
        let (server, _) = try await serve()
        let settings = PieceServerSettings(port: server.server.address.port)
        await #expect {
            _ = try await PieceServer.bind(settings, catalog: PackShelf(), logger: quietLogger)
        } throws: { error in
            (error as? TransferFailure)?.code == .cannotListen
        }
        await server.stop()
    }

    @Test(arguments: [
        "", "http://", "ftp://a:1", "http://a:1/x", "http://u@a:1", "http://a:1?x", "a:1", "http://a b:1",
        "http://a:1#f", "http://\(String(repeating: "a", count: 300)):1",
    ])
    func wrongEndpointsAreRefused(text: String) {
        #expect(throws: TransferFailure.self) { try PackEndpoint(text) }
    }
}
