import AsyncHTTPClient
import Domain
import Foundation
import NIOCore
import NIOHTTP1
import Packs
import Swarm
import Synchronization
import Testing
import Wire

@testable import Transfer

/// One mirror, and stock clients.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct PieceServerTests {
    private let pack: TestPack

    init() throws { pack = try TestPack(rawBytes: 1_000_000) }

    private struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: [UInt8]

        var code: String? {
            struct Coded: Decodable { var code: String }
            return try? JSONDecoder().decode(Coded.self, from: Data(body)).code
        }
    }

    private func ask(
        _ server: RunningServer, _ path: String, method: HTTPMethod = .GET, _ headers: [(String, String)] = []
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: "http://\(server.server.address)\(path)")
        request.method = method
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 64 << 20)
        return Answer(
            status: Int(response.status.code), headers: response.headers, body: Array(body.readableBytesView))
    }

    private func serve(
        _ source: SharedPack? = nil, _ change: (inout PieceServerSettings) -> Void = { _ in }
    ) async throws -> RunningServer {
        var settings = PieceServerSettings()
        change(&settings)
        let server = try await RunningServer(settings)
        server.shelf.put(try source ?? pack.shared(), as: pack.name)
        return server
    }

    private func partial(_ pieces: [Int], ledger: MirrorLedgerSettings? = nil) throws -> SharedPack {
        try SharedPack(
            manifest: pack.manifest, paths: [pack.scratch.file("not there"), pack.path],
            verified: PieceSet(pieceCount: pack.pieceCount, pieces: pieces), clock: MachineClock(), ledger: ledger)
    }

    @Test func givesTheWholePackAndItsManifest() async throws {
        let server = try await serve()
        let whole = try await ask(server, "/v1/packs/web/7")
        #expect(whole.status == 200)
        #expect(try whole.body == pack.bytes(0..<pack.totalBytes))
        #expect(whole.headers["ETag"] == ["\"\(pack.manifest.totals.root.hex)\""])
        #expect(whole.headers["Accept-Ranges"] == ["bytes"])
        let manifest = try await ask(server, "/v1/packs/web/7/manifest")
        #expect(manifest.body == pack.manifest.bytes)
        let head = try await ask(server, "/v1/packs/web/7", method: .HEAD)
        #expect(head.headers["Content-Length"] == [String(pack.totalBytes)])
        #expect(head.body.isEmpty)
        let named = try await ask(server, "/v1/packs/web/7/web-7.zst")
        #expect(named.body == whole.body)
        let same = try await ask(server, "/v1/packs/web/7", [("If-None-Match", "\"\(pack.manifest.totals.root.hex)\"")])
        #expect(same.status == 304)
        await server.stop()
    }

    @Test func givesSingleRanges() async throws {
        let (server, total) = (try await serve(), pack.totalBytes)
        for (text, range) in [
            ("bytes=0-0", 0..<1), ("bytes=5-99999", 5..<100_000), ("bytes=-7", (total - 7)..<total),
            ("bytes=70000-", 70_000..<total), ("bytes=\(total - 1)-\(UInt64.max)", (total - 1)..<total),
            ("bytes=-\(UInt64.max)", 0..<total),
        ] as [(String, Range<UInt64>)] {
            let answer = try await ask(server, "/v1/packs/web/7", [("Range", text)])
            #expect(answer.status == 206, "\(text)")
            #expect(try answer.body == pack.bytes(range), "\(text)")
            #expect(
                answer.headers["Content-Range"] == ["bytes \(range.lowerBound)-\(range.upperBound - 1)/\(total)"])
        }
        let stale = try await ask(server, "/v1/packs/web/7", [("Range", "bytes=0-9"), ("If-Range", "\"other\"")])
        #expect(stale.status == 200)
        #expect(stale.body.count == Int(total))
        await server.stop()
    }

    @Test(arguments: [
        "bytes=", "bytes=-", "bytes=-0", "bytes=5-4", "bytes=-5-10", "bytes=--5", "bytes=0-1,5-6", "bytes=a-b",
        "bytes=99999999999999999999-", "bytes=0x0-9", "bytes=1000000000-", "lines=0-5", "bytes 0-5", "bytes=+1-5",
        "bytes= 0-5", "bytes=0-5 ", "bytes=-18446744073709551616", "", "bytes=٣-٤",
    ])
    func refusesAbsurdRanges(text: String) async throws {
        #expect(ByteRange.parse(text, totalBytes: 1_000_000) == nil)
    }

    @Test func absurdRangesAreAnswered416() async throws {
        let server = try await serve()
        for text in ["bytes=5-4", "bytes=0-1,5-6", "bytes=-0", "nonsense"] {
            let answer = try await ask(server, "/v1/packs/web/7", [("Range", text)])
            #expect(answer.status == 416)
            #expect(answer.code == "bad-range")
            #expect(answer.headers["Content-Range"] == ["bytes */\(pack.totalBytes)"])
        }
        let twice = try await ask(server, "/v1/packs/web/7", [("Range", "bytes=0-1"), ("Range", "bytes=2-3")])
        #expect(twice.status == 416)
        await server.stop()
    }

    /// Random ranges, right and wrong: the parser agrees with arithmetic and never answers outside the pack.
    @Test(arguments: 0..<20)
    func rangesStayInside(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let letters = Array("bytes=-0123456789,;x ")
        for _ in 0..<500 {
            let total = UInt64(generator.below(5000))
            var text =
                "bytes=" + String((0..<generator.below(8)).map { _ in letters[6 + generator.below(letters.count - 6)] })
            if generator.below(10) == 0 { text = String(text.dropFirst(generator.below(6))) }
            guard let range = ByteRange.parse(text, totalBytes: total) else { continue }
            #expect(!range.isEmpty && range.upperBound <= total, "\(text) of \(total)")
        }
        let (first, last) = (UInt64(generator.below(100)), UInt64(100 + generator.below(100)))
        #expect(ByteRange.parse("bytes=\(first)-\(last)", totalBytes: 150) == first..<min(last + 1, 150))
    }

    @Test func givesVerifiedPiecesOnly() async throws {
        let piece = pack.manifest.pieceLength
        let server = try await serve(try partial([1, 2]))
        let good = try await ask(server, "/v1/packs/web/7", [("Range", "bytes=\(piece)-\(3 * piece - 1)")])
        #expect(good.status == 206)
        #expect(try good.body == pack.bytes(piece..<(3 * piece)))
        for range in ["bytes=\(piece - 1)-\(piece)", "bytes=\(3 * piece - 1)-\(3 * piece)", "bytes=0-0"] {
            let answer = try await ask(server, "/v1/packs/web/7", [("Range", range)])
            #expect(answer.status == 416)
            #expect(answer.code == "not-verified")
        }
        let whole = try await ask(server, "/v1/packs/web/7")
        #expect(whole.status == 404)
        #expect(whole.code == "not-verified")
        await server.stop()
    }

    @Test(arguments: [
        "/", "/v1/packs/", "/v1/packs/web", "/v1/packs/web/", "/v1/packs/web/8", "/v1/packs/other/7",
        "/v1/packs/web/7/../7", "/v1/packs/../../etc/passwd", "/v1/packs/%2e%2e/7", "/v1/packs/web/7%2f..",
        "/v1/packs/web/-7", "/v1/packs/web/07/x", "/v1/packs/web/7/manifest/x", "/v1//packs/web/7",
        "/v1/packs/web/7/web-8.zst", "/v1/packs/web/7/web-7.zst/", "/v1/packs/WEB/7",
        "/v1/packs/web/99999999999999999999", "/v1/packs/web/7/raw",
    ])
    func thereIsNothingElsewhere(path: String) async throws {
        let server = try await serve()
        let connection = try await RawConnection(port: server.server.address.port)
        await connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await connection.closed()
        #expect(connection.received.hasPrefix("HTTP/1.1 404 "), "\(path): \(connection.received.prefix(100))")
        await server.stop()
    }

    @Test func theListNamesWhatIsServed() async throws {
        let server = try await serve()
        let answer = try await ask(server, "/v1/packs")
        #expect(answer.status == 200)
        let list = try WireJSON.decode(PackListAnswer.self, from: Data(answer.body))
        #expect(
            list.packs == [
                PackListAnswer.Pack(
                    app: pack.name.app, build: pack.name.build, root: pack.manifest.totals.root,
                    packedBytes: pack.totalBytes)
            ])
        await server.stop()
    }

    @Test(arguments: ["", "?port=0", "?port=65536", "?zone=a", "?port=9000&zone=a%20b", "?port=9000&x=1", "?port=9000"])
    func announcementsThatAreNoneAreRefused(query: String) async throws {
        let server = try await serve()
        let answer = try await ask(server, "/v1/packs/web/7/announce\(query)")
        // The last one is right, but this server is no tracker.
        #expect(answer.status == (query == "?port=9000" ? 404 : 400))
        await server.stop()
    }

    @Test func onlyGetAndHead() async throws {
        let server = try await serve()
        for method in [HTTPMethod.POST, .PUT, .DELETE, .PATCH, .OPTIONS] {
            #expect(try await ask(server, "/v1/packs/web/7", method: method).status == 405)
        }
        let connection = try await RawConnection(port: server.server.address.port)
        await connection.send("GET /v1/packs/web/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        await connection.closed()
        #expect(connection.received.isEmpty)
        await server.stop()
    }

    @Test func whatIsHereIsToldAsItGrows() async throws {
        let shared = try partial([1])
        let server = try await serve(shared)
        let client = PieceClient()
        let (name, count, endpoint) = (pack.name, pack.pieceCount, try server.endpoint)
        #expect(try await client.have(of: name, pieceCount: count, at: endpoint).pieces.pieces == [1])
        let told = Mutex<[[Int]]>([])
        let telling = Task {
            try await client.haves(of: name, pieceCount: count, at: endpoint) { have in
                told.withLock { $0.append(have.pieces) }
            }
        }
        #expect(await eventually { told.withLock { $0.last == [1] } })
        shared.piecesVerified([5])
        shared.piecesVerified([2])
        #expect(await eventually { told.withLock { $0.last == [1, 2, 5] } })
        for piece in 0..<count { shared.piecesVerified([piece]) }
        // It ends when all is there.
        try await telling.value
        #expect(told.withLock { $0.last } == Array(0..<count))
        await #expect(throws: SourceFailure.self) {
            _ = try await client.have(of: name, pieceCount: count + 8, at: endpoint)
        }
        for route in ["have?after=1", "haves?after=1", "manifest?x=1", "?x=1"] {
            let path = "/v1/packs/web/7" + (route.hasPrefix("?") ? route : "/\(route)")
            #expect(try await ask(server, path).status == 400, "\(route)")
        }
        for query in ["after=-1", "after=x", "wait=", "wait=10y", "nothing=1", "after"] {
            #expect(try await ask(server, "/v1/packs/web/7/offer?\(query)").status == 400, "\(query)")
        }
        await client.shutdown()
        await server.stop()
    }

    @Test func aStreamHasNoHeadOfItsOwn() async throws {
        let server = try await serve(try partial([1]))
        let connection = try await RawConnection(port: server.server.address.port)
        await connection.send("HEAD /v1/packs/web/7/haves HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await connection.closed()
        #expect(connection.received.hasPrefix("HTTP/1.1 405 ") && connection.received.hasSuffix("\r\n\r\n"))
        #expect(connection.received.components(separatedBy: "\r\n\r\n").count == 2)
        await server.stop()
    }

    @Test func aStreamThatBreaksOffIsAFailure() async throws {
        let server = try await serve(try partial([1]))
        let client = PieceClient()
        let (name, count, endpoint) = (pack.name, pack.pieceCount, try server.endpoint)
        let (told, tell) = AsyncStream.makeStream(of: PieceSet.self)
        let telling = Task {
            try await client.haves(of: name, pieceCount: count, at: endpoint) { tell.yield($0) }
        }
        for await _ in told { break }
        await server.stop()
        await #expect(throws: SourceFailure.self) { try await telling.value }
        await client.shutdown()
    }

    @Test func offersArePersonal() async throws {
        let server = try await serve(try pack.shared(ledger: MirrorLedgerSettings()))
        let client = PieceClient()
        let (name, count, endpoint) = (pack.name, pack.pieceCount, try server.endpoint)
        let anonymous = try await ask(server, "/v1/packs/web/7/offer")
        #expect(anonymous.status == 400)
        @Sendable func offer(_ peer: String) async throws -> HaveMap {
            try await client.offer(
                of: name, pieceCount: count, to: PeerName(unchecked: peer), at: endpoint, wanted: [])
        }
        let (one, two) = (try await offer("one"), try await offer("two"))
        #expect(!one.pieces.isEmpty && !two.pieces.isEmpty)
        #expect(one.pieces.intersection(two.pieces).isEmpty)
        let piece = try #require(one.pieces.pieces.first)
        let range = try #require(pack.manifest.pieceRange(piece))
        let peer = PeerName(unchecked: "one")
        let bytes = try await client.bytes(range, of: name, totalBytes: pack.totalBytes, as: peer, at: endpoint)
        #expect(pack.manifest.isPiece(bytes, piece))
        #expect(try await eventually { try await offer("one").pieces.contains(piece) == false })
        let plain = try await serve()
        await #expect {
            _ = try await client.offer(
                of: name, pieceCount: count, to: peer, at: try plain.endpoint, wanted: [1])
        } throws: { error in
            (error as? SourceFailure)?.code == .noOffers
        }
        await client.shutdown()
        for server in [server, plain] { await server.stop() }
    }

    @Test func servedBytesAreCounted() async throws {
        let heard = Mutex<[PeerName?: UInt64]>([:])
        let shared = try pack.shared { bytes, peer in heard.withLock { $0[peer, default: 0] += bytes } }
        let server = try await serve(shared)
        _ = try await ask(server, "/v1/packs/web/7", [("Range", "bytes=10-19")])
        _ = try await ask(server, "/v1/packs/web/7", [("Range", "bytes=0-4"), ("Drover-Peer", "p1")])
        _ = try await ask(server, "/v1/packs/web/7", method: .HEAD)
        #expect(await eventually { shared.servedBytes == 15 })
        #expect(heard.withLock { $0 } == [nil: 10, PeerName(unchecked: "p1"): 5])
        await server.stop()
    }

    @Test func curlFetchesARange() async throws {
        let server = try await serve()
        let output = pack.scratch.file("curl")
        let curl = Process()
        curl.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        curl.arguments = [
            "--silent", "--fail", "-r", "1000-200999", "-o", output, "http://\(server.server.address)/v1/packs/web/7",
        ]
        let status = try await withCheckedThrowingContinuation { continuation in
            curl.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try curl.run() } catch { continuation.resume(throwing: error) }
        }
        #expect(status == 0)
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: output))) == pack.bytes(1000..<201_000))
        await server.stop()
    }
}
