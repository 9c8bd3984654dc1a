import AsyncHTTPClient
import Domain
import Foundation
import NIOCore
import NIOHTTP1
import Packs
import Swarm
import Testing

@testable import Transfer

/// Stock clients that know nothing of Drover: Debian's libtorrent, curl, zstd.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct LibtorrentTests {
    private let scratch: Scratch

    init() async throws {
        scratch = try Scratch()
        let isThere = try? await tool("/usr/bin/python3", "-c", "import libtorrent").status == 0
        try #require(
            isThere == true,
            "/usr/bin/python3 has no libtorrent: run tools/packages test (or apt-get install python3-libtorrent)")
    }

    // MARK: The torrent that a server gives

    private func torrent(
        of pack: TestPack, at server: RunningServer, _ headers: [(String, String)] = []
    ) async throws -> [UInt8] {
        var request = HTTPClientRequest(url: "http://\(server.server.address)/v1/packs/\(pack.name.app)/7/torrent")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        #expect(response.status == .ok)
        #expect(response.headers["Content-Type"] == ["application/x-bittorrent"])
        return Array(try await response.body.collect(upTo: 64 << 20).readableBytesView)
    }

    @Test func theTorrentNamesTheServerAsItWasReached() async throws {
        let pack = try TestPack(rawBytes: 100_000)
        let (server, _) = try await startMirror(of: pack)
        let address = server.server.address
        func expected(_ authority: String) -> [UInt8] {
            pack.manifest.metainfo(webSeeds: ["http://\(authority)/v1/packs/web/7"]).bytes
        }
        #expect(try await torrent(of: pack, at: server) == expected("\(address)"))
        #expect(
            try await torrent(of: pack, at: server, [("Host", "Mirror-1.example:81")])
                == expected("Mirror-1.example:81"))
        // HTTP/1.0 without a Host.
        let connection = try await RawConnection(port: address.port)
        await connection.send("GET /v1/packs/web/7/torrent HTTP/1.0\r\n\r\n")
        await connection.closed()
        #expect(connection.received.contains("http://127.0.0.1:\(address.port)/v1/packs/web/7"))
        for line in ["Host: a/b", "Host: a\r\nHost: b", "Host: "] {
            let connection = try await RawConnection(port: address.port)
            await connection.send("GET /v1/packs/web/7/torrent HTTP/1.1\r\n\(line)\r\nConnection: close\r\n\r\n")
            await connection.closed()
            #expect(connection.received.hasPrefix("HTTP/1.1 400 "), "\(line): \(connection.received.prefix(60))")
        }
        await server.stop()
    }

    @Test func whatIsNoAuthorityIsNone() {
        for text in [
            "a", "localhost", "mirror-1.example", "10.0.0.7:9000", "[::1]", "[::ffff:10.0.0.7]:443", "a_b:1", "a:65535",
        ] { #expect(WebSeed.isAuthority(text), "\(text)") }
        for text in [
            "", ":", ":80", "a:", "a:0", "a:65536", "a:x", "a:-1", "a:1:2", "::1", "[::1", "[]", "[]:1", "[::1]80",
            "[::1]:", "[fe80::1%25eth0]", "a b", "a/b", "a?b", "a#b", "u@a", "%61", "a\r\nb", "é", "a,b", "\"",
            String(repeating: "a", count: 300),
        ] { #expect(!WebSeed.isAuthority(text), "\(text)") }
    }

    // MARK: A stock client fetches

    /// What the client says at its end.
    private struct Report: Decodable {
        var finished: Bool
        var infohash: String
        /// Answers of web seeds that were no bytes, as the client tells them.
        var errors: [String]
    }

    /// Fetches with libtorrent, and compares with the pack. `refused`: what happens after the first answer without bytes;
    /// such a seed is asked again after a second then, not after libtorrent's 30.
    private func fetch(
        _ torrent: [UInt8], _ pack: TestPack, refused: (@Sendable () async -> Void)? = nil
    ) async throws -> Report {
        let (file, script) = (scratch.file("torrent"), scratch.file("client.py"))
        let folder = scratch.file(UUID().uuidString)
        try Data(torrent).write(to: URL(fileURLWithPath: file))
        try Data(Self.client.utf8).write(to: URL(fileURLWithPath: script))
        async let end = tool("/usr/bin/python3", script, file, folder, refused == nil ? "30" : "1")
        if let refused {
            #expect(await eventually { FileManager.default.fileExists(atPath: "\(folder).refused") })
            await refused()
        }
        let (status, output) = try await end
        try #require(status == 0)
        let report = try JSONDecoder().decode(Report.self, from: Data(output))
        try #require(report.finished, "\(report)")
        #expect(report.infohash == pack.manifest.metainfo().infohash.hex)
        let (made, packed) = (URL(fileURLWithPath: "\(folder)/web-7.zst"), URL(fileURLWithPath: pack.path))
        let isSame = try Data(contentsOf: made) == Data(contentsOf: packed)
        #expect(isSame)
        return report
    }

    private static let client = """
        import json, libtorrent as lt, sys, time, warnings
        warnings.simplefilter("ignore")
        category = lt.alert.category_t
        session = lt.session({
            "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
            "listen_interfaces": "127.0.0.1:0", "urlseed_wait_retry": int(sys.argv[3]),
            "alert_mask": category.error_notification | category.peer_notification
                | category.status_notification | category.storage_notification,
        })
        info = lt.torrent_info(sys.argv[1])
        torrent = session.add_torrent({"ti": info, "save_path": sys.argv[2]})
        finished, errors, end = False, [], time.monotonic() + 120
        while not finished and time.monotonic() < end:
            session.wait_for_alert(500)
            for alert in session.pop_alerts():
                if isinstance(alert, (lt.url_seed_alert, lt.peer_error_alert)):
                    errors.append(alert.message())
                    open(sys.argv[2] + ".refused", "w").close()
                if isinstance(alert, lt.torrent_finished_alert): finished = True
        torrent.flush_cache()
        flushed = False
        while finished and not flushed and time.monotonic() < end:
            session.wait_for_alert(500)
            flushed = any(isinstance(alert, lt.cache_flushed_alert) for alert in session.pop_alerts())
        hashed = info.info_hashes().v2.to_bytes().hex()
        print(json.dumps({"finished": finished and flushed, "infohash": hashed, "errors": errors}))
        """

    /// One piece; many that do not shrink; many that do.
    @Test(arguments: ["one piece", "random", "compressible"]) func fetchesFromAMirror(kind: String) async throws {
        let pack =
            switch kind {
            case "one piece": try TestPack(rawBytes: 40_000)
            case "random": try TestPack(rawBytes: 5_000_000)
            default: try TestPack(raw: Data((0..<800_000).map { "line \($0 &* 2_654_435_761)\n" }.joined().utf8))
            }
        #expect((pack.pieceCount == 1) == (kind == "one piece"))
        #expect((pack.totalBytes < pack.manifest.facts.rawLength) == (kind == "compressible"))
        let (server, shared) = try await startMirror(of: pack)
        let report = try await fetch(try await torrent(of: pack, at: server), pack)
        #expect(report.errors.isEmpty, "\(report.errors)")
        #expect(shared.servedBytes >= pack.totalBytes)
        await server.stop()
    }

    @Test func fetchesFromAPeerThatFetched() async throws {
        let pack = try TestPack(rawBytes: 1_000_000)
        let (mirror, _) = try await startMirror(of: pack)
        let peer = try await RunningPeer(1, pack)
        try await peer.start(FetchSources(mirrors: [try mirror.endpoint]))
        #expect(await peer.end() == nil)
        await mirror.stop()
        let report = try await fetch(try await torrent(of: pack, at: peer.server), pack)
        #expect(report.errors.isEmpty, "\(report.errors)")
        await peer.kill()
    }

    /// A peer that lacks pieces answers 416 for them, which the client takes for a fault; the mirror has all.
    @Test func aPeerThatLacksPiecesHindersNobody() async throws {
        let pack = try TestPack(rawBytes: 5_000_000)
        var slow = PieceServerSettings()
        slow.uploadBytesPerSecond = 3_000_000
        let (mirror, peer) = (try await RunningServer(slow), try await RunningServer())
        mirror.shelf.put(try pack.shared(), as: pack.name)
        let some = (0..<pack.pieceCount).filter { !$0.isMultiple(of: 3) }
        let partial = try SharedPack(
            manifest: pack.manifest, paths: [pack.path],
            verified: PieceSet(pieceCount: pack.pieceCount, pieces: some), clock: MachineClock())
        peer.shelf.put(partial, as: pack.name)
        let seeds = [peer, mirror].map { "http://\($0.server.address)/v1/packs/web/7" }
        let report = try await fetch(pack.manifest.metainfo(webSeeds: seeds).bytes, pack)
        #expect(report.errors.contains { $0.contains("\(peer.server.address)") }, "\(report.errors)")
        #expect(!report.errors.contains { $0.contains("\(mirror.server.address)") }, "\(report.errors)")
        for server in [peer, mirror] { await server.stop() }
    }

    /// A seed that refuses is asked again: a peer alone, which gets what it lacks meanwhile, is enough.
    @Test func aPeerThatGrowsIsEnough() async throws {
        let pack = try TestPack(rawBytes: 2_000_000)
        let partial = try SharedPack(
            manifest: pack.manifest, paths: [pack.path], verified: PieceSet(pieceCount: pack.pieceCount, pieces: [0]),
            clock: MachineClock())
        let peer = try await RunningServer()
        peer.shelf.put(partial, as: pack.name)
        _ = try await fetch(try await torrent(of: pack, at: peer), pack) {
            partial.piecesVerified(pack.manifest.pieces.indices)
        }
        await peer.stop()
    }

    @Test func aBusyServerIsAskedAgain() async throws {
        let pack = try TestPack(rawBytes: 2_000_000)
        var settings = PieceServerSettings(uploadSlots: 1)
        settings.waitingUploads = 0
        let server = try await RunningServer(settings)
        server.shelf.put(try pack.shared(), as: pack.name)
        let slots = server.server.desk.slots
        guard case .granted = slots.acquire(granted: {}) else {
            Issue.record("the only slot is not free")
            return
        }
        _ = try await fetch(try await torrent(of: pack, at: server), pack) { slots.release() }
        await server.stop()
    }

    // MARK: curl and zstd

    @Test func curlAndZstdWorkOnWhatIsServed() async throws {
        let pack = try TestPack(raw: Data(repeating: 65, count: 3_000_000))
        let (server, _) = try await startMirror(of: pack)
        let (url, part, whole) = (
            "http://\(server.server.address)/v1/packs/web/7", scratch.file("a"), scratch.file("b.zst")
        )
        #expect(try await tool("/usr/bin/curl", "-sf", "-r", "0-99", "-o", part, url).status == 0)
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: part))) == pack.bytes(0..<100))
        #expect(try await tool("/usr/bin/curl", "-sf", "-o", whole, url).status == 0)
        #expect(try await tool("/usr/bin/zstd", "-qd", whole).status == 0)
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: scratch.file("b")))
                == Data(contentsOf: URL(fileURLWithPath: pack.scratch.file("raw"))))
        await server.stop()
    }
}

/// Runs a tool to its end; what it printed.
private func tool(_ path: String, _ arguments: String...) async throws -> (status: Int32, output: [UInt8]) {
    let output = NSTemporaryDirectory() + "/drover-transfer-\(UUID().uuidString)"
    try Data().write(to: URL(fileURLWithPath: output))
    defer { try? FileManager.default.removeItem(atPath: output) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    let status = try await withCheckedThrowingContinuation { continuation in
        process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
        do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    return (status, Array(try Data(contentsOf: URL(fileURLWithPath: output))))
}
