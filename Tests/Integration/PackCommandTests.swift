import Domain
import Foundation
import Ports
import Processes
import Testing

/// `drover pack` on one machine: the built binary, real sockets, real files.
@Suite(.timeLimit(.minutes(10)))
struct PackCommandTests {
    private let system: System

    init() throws { system = try System() }

    private func path(_ name: String) -> String { "\(system.directory)/\(name)" }

    private func randomFile(_ name: String, bytes: Int) throws -> Data {
        let random = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/urandom"))
        let data = try #require(try random.read(upToCount: bytes))
        try data.write(to: URL(fileURLWithPath: path(name)))
        return data
    }

    private func drover(_ arguments: String...) async throws -> (code: Int32, text: String) {
        try await system.run(try System.product("drover"), ["pack"] + arguments)
    }

    /// Starts a long command; its process and where it prints.
    private func start(_ name: String, _ arguments: [String]) async throws -> ProcessIdentity {
        try await system.processes.startDependent(
            ProcessSpecification(
                executable: try System.product("drover"), arguments: ["pack"] + arguments,
                environment: ["PATH": "/usr/bin:/bin", "HOME": system.directory], directory: system.directory,
                outputPath: path("\(name).out")), deathSignal: SIGKILL)
    }

    /// Serves what stands in `packs`; the URL that it says.
    private func serve(_ more: String...) async throws -> (ProcessIdentity, String) {
        let name = "serve-\(UUID().uuidString)"
        let identity = try await start(name, ["serve", path("packs")] + more)
        let url = try await eventually("serve says where") {
            try? String(contentsOfFile: path("\(name).out"), encoding: .utf8).split(separator: "\n").first {
                $0.hasPrefix("serving ")
            }?.split(separator: " ").last.map(String.init)
        }
        return (identity, url)
    }

    /// `drover ... | head` ends as other programs do; a full disk is said.
    @Test func whoCannotPrintEndsWithoutACrash() async throws {
        _ = try randomFile("file", bytes: 100_000)
        let made = try await drover("create", path("file"), "--output", path("packs"), "--app", "web", "--json")
        try #require(made.code == 0, "\(made.text)")
        let inspect = "'\(try System.product("drover"))' pack inspect '\(path("packs/web/1.pack"))'"
        // Nobody reads any more when it begins.
        let closed = try await system.run(
            "/bin/bash", ["-c", "(sleep 0.2; \(inspect); echo code $? >&2) | true"])
        #expect(closed.text.contains("code 141") && !closed.text.contains("rash"), "\(closed.text)")
        let full = try await system.run("/bin/bash", ["-c", "\(inspect) >/dev/full"])
        #expect(full.code == 1 && full.text.contains("standard output cannot be written"), "\(full.text)")
    }

    @Test func whatIsMadeIsServedAndFetchedByManyByteForByte() async throws {
        let data = try randomFile("file", bytes: 6_000_000)
        let made = try await drover("create", path("file"), "--output", path("packs"), "--app", "web", "--json")
        try #require(made.code == 0, "\(made.text)")
        let looked = try await drover(
            "inspect", path("packs/web/1.pack"), "--trust", path("packs/release-key.pub"))
        #expect(looked.code == 0 && looked.text.contains("all as the manifest says"), "\(looked.text)")

        let (server, url) = try await serve("--listen", "127.0.0.1:0")
        let ends = try await withThrowingTaskGroup(of: (code: Int32, text: String).self) { group in
            for number in 1...4 {
                group.addTask {
                    try await drover(
                        "fetch", number == 1 ? url : "\(url)/v1/packs/web/1", "--output", path("got\(number)"),
                        "--listen", "127.0.0.1:0", "--trust", path("packs/release-key.pub"), "--seed-seconds", "3",
                        "--json")
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for end in ends { #expect(end.code == 0, "\(end.text)") }
        for number in 1...4 {
            #expect(FileManager.default.contents(atPath: path("got\(number)")) == data)
            #expect(!FileManager.default.fileExists(atPath: path("got\(number).pack")))
        }
        // curl and zstd, as anybody would.
        let whole = try await system.run(
            "/bin/sh", ["-c", "curl -s '\(url)/v1/packs/web/1' | zstd -dc | cmp - '\(path("file"))'"])
        #expect(whole.code == 0, "\(whole.text)")
        let range = try await system.run(
            "/bin/sh",
            [
                "-c",
                "curl -s -r 100-199 '\(url)/v1/packs/web/1' > '\(path("part"))' && "
                    + "tail -c +101 '\(path("packs/web/1.pack"))' | head -c 100 | cmp - '\(path("part"))'",
            ])
        #expect(range.code == 0, "\(range.text)")
        await system.stop(server)
    }

    /// What `create` made, as a stock client fetches it with what `torrent` made: of the directory, then of the server.
    @Test func aBitTorrentClientFetchesWhatIsServed() async throws {
        let data = try randomFile("file", bytes: 3_000_000)
        #expect(try await drover("create", path("file"), "--output", path("packs"), "--app", "web").code == 0)
        let (server, url) = try await serve("--listen", "127.0.0.1:0")
        let key = path("packs/release-key.pub")
        let ends = [
            try await drover(
                "torrent", path("packs"), "--output", path("1.torrent"), "--web-seed", "\(url)/v1/packs/web/1",
                "--trust",
                key),
            try await drover("torrent", url, "--output", path("2.torrent"), "--trust", key),
            try await system.run("/usr/bin/curl", ["-sf", "-o", path("3.torrent"), "\(url)/v1/packs/web/1/torrent"]),
        ]
        for end in ends { #expect(end.code == 0, "\(end.text)") }
        let torrents = (1...3).map { FileManager.default.contents(atPath: path("\($0).torrent")) }
        #expect(torrents[0] != nil && torrents[0] == torrents[1] && torrents[1] == torrents[2])

        let script = """
            import libtorrent as lt, sys, time
            session = lt.session({
                "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
                "listen_interfaces": "127.0.0.1:0"})
            info = lt.torrent_info(sys.argv[1])
            torrent = session.add_torrent({"ti": info, "save_path": sys.argv[2]})
            end = time.monotonic() + 120
            while not torrent.status().is_seeding and time.monotonic() < end: time.sleep(0.1)
            print(info.info_hashes().v2.to_bytes().hex(), "seeding" if torrent.status().is_seeding else "not whole")
            """
        let client = try await system.run(
            "/usr/bin/python3", ["-W", "ignore", "-c", script, path("2.torrent"), path("client")])
        #expect(client.text.contains("seeding"), "\(client.text) (libtorrent is installed by: tools/packages test)")
        let unpacked = try await system.run("/usr/bin/zstd", ["-qd", path("client/web-1.zst")])
        #expect(unpacked.code == 0, "\(unpacked.text)")
        #expect(FileManager.default.contents(atPath: path("client/web-1")) == data)

        let looked = try await drover("inspect", path("packs/web/1.manifest"))
        let infohash = try #require(client.text.split(separator: " ").first)
        #expect(infohash.count == 64 && looked.text.contains("infohash   \(infohash)"), "\(looked.text)")
        await system.stop(server)
    }

    @Test func aPatchIsMadeOfFilesOrPacksAndApplied() async throws {
        let old = try randomFile("old", bytes: 3_000_000)
        var new = old
        new.replaceSubrange(1_000_000..<1_001_000, with: Data("some other bytes".utf8))
        try new.write(to: URL(fileURLWithPath: path("new")))
        for name in ["old", "new"] {
            let made = try await drover("create", path(name), "--output", path("packs"), "--app", "web")
            try #require(made.code == 0, "\(made.text)")
        }
        let files = try await drover("patch", "create", path("old"), path("new"), "--output", path("patch"))
        #expect(files.code == 0, "\(files.text)")
        let packs = try await drover(
            "patch", "create", path("packs/web/1.pack"), path("packs/web/2.pack"), "--output", path("same"),
            "--level", "thorough", "--json")
        #expect(packs.code == 0, "\(packs.text)")
        #expect(!FileManager.default.fileExists(atPath: path("same.base")))
        for patch in ["patch", "same"] {
            #expect(try #require(FileManager.default.contents(atPath: path(patch))).count < 1000)
            let applied = try await drover(
                "patch", "apply", path(patch), "--base", path("old"), "--output", path("got"), "--manifest",
                path("packs/web/2.manifest"), "--trust", path("packs/release-key.pub"))
            #expect(applied.code == 0, "\(applied.text)")
            #expect(FileManager.default.contents(atPath: path("got")) == new)
            try FileManager.default.removeItem(atPath: path("got"))
        }
        let looked = try await drover("patch", "inspect", path("patch"))
        #expect(looked.code == 0 && looked.text.contains("all entries as the header says"), "\(looked.text)")
    }

    @Test func aPatchThatDoesNotFitIsRefused() async throws {
        _ = try randomFile("old", bytes: 100_000)
        _ = try randomFile("other", bytes: 100_000)
        #expect(try await drover("patch", "create", path("old"), path("other"), "--output", path("patch")).code == 0)
        let wrong = try await drover("patch", "apply", path("patch"), "--base", path("patch"), "--output", path("got"))
        #expect(wrong.code == 1 && wrong.text.contains("wrong-base"), "\(wrong.text)")
        var bytes = try #require(FileManager.default.contents(atPath: path("patch")))
        bytes[5000] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path("patch")))
        for arguments in [["inspect"], ["apply", "--base", path("old"), "--output", path("got")]] {
            let damaged = try await system.run(
                try System.product("drover"), ["pack", "patch", arguments[0], path("patch")] + arguments.dropFirst())
            #expect(damaged.code == 1 && damaged.text.contains("damaged"), "\(damaged.text)")
        }
        #expect(!FileManager.default.fileExists(atPath: path("got")))
        let usage = try await drover("patch", "apply", path("patch"), "--base", path("old"), "--output", path("old"))
        #expect(usage.code == 2, "\(usage.text)")
        let missing = try await drover("patch", "inspect", path("none"))
        #expect(missing.code == 1, "\(missing.text)")
    }

    @Test func aFetchThatWasKilledGoesOnWhereItWas() async throws {
        let data = try randomFile("file", bytes: 12_000_000)
        #expect(try await drover("create", path("file"), "--output", path("packs"), "--app", "web").code == 0)
        let (server, url) = try await serve("--listen", "127.0.0.1:0", "--limit-up", "4M")
        let fetch = ["fetch", url, "--output", path("got"), "--listen", "127.0.0.1:0", "--json"]
        let first = try await start("first", fetch)
        let map = path("got.pack.partial.pieces")
        let _: Bool = try await eventually("some pieces are here") {
            let bytes = FileManager.default.contents(atPath: map).map(Array.init) ?? []
            // The set's bits stand between the head of 84 bytes and the checksum of 32.
            return bytes.count > 116 && bytes[84..<(bytes.count - 32)].contains { $0 != 0 } ? true : nil
        }
        await system.stop(first, SIGKILL)
        #expect(!FileManager.default.fileExists(atPath: path("got")))

        let end = try await system.run(try System.product("drover"), ["pack"] + fetch)
        try #require(end.code == 0, "\(end.text)")
        let line = try #require(end.text.split(separator: "\n").last { $0.hasPrefix("{") })
        let report = try JSONDecoder().decode(Report.self, from: Data(line.utf8))
        #expect(report.bytesFromMirror < 12_000_000, "pieces that were here were fetched again")
        #expect(FileManager.default.contents(atPath: path("got")) == data)
        await system.stop(server)
    }

    private struct Report: Decodable {
        var bytesFromMirror: UInt64

        enum CodingKeys: String, CodingKey {
            case bytesFromMirror = "bytes_from_mirror"
        }
    }

    @Test func whatIsDamagedOrNotTrustedMakesNoFile() async throws {
        _ = try randomFile("file", bytes: 300_000)
        #expect(try await drover("create", path("file"), "--output", path("packs"), "--app", "web").code == 0)
        let (server, url) = try await serve("--listen", "127.0.0.1:0")
        let other = String(repeating: "ab", count: 32)
        let distrusted = try await drover(
            "fetch", url, "--output", path("got"), "--listen", "127.0.0.1:0", "--trust", other)
        #expect(distrusted.code == 1 && distrusted.text.contains("[untrusted]"), "\(distrusted.text)")
        #expect(!FileManager.default.fileExists(atPath: path("got")))

        let pack = try FileHandle(forUpdating: URL(fileURLWithPath: path("packs/web/1.pack")))
        try pack.seek(toOffset: 70_000)
        try pack.write(contentsOf: Data("damage".utf8))
        try pack.close()
        let looked = try await drover("inspect", path("packs/web/1.pack"))
        #expect(looked.code == 1 && looked.text.contains("piece 1"), "\(looked.text)")
        await system.stop(server)
    }

    @Test func whatCannotBeMeantIsRefusedWithAWord() async throws {
        _ = try randomFile("file", bytes: 1000)
        let cases: [([String], String)] = [
            (["create", path("nowhere"), "--output", path("packs")], "no artifact at"),
            (["create", system.directory, "--output", path("packs"), "--app", "web"], "is a directory"),
            (["create", path("file"), "--output", path("packs"), "--level", "99"], "--level is -100 to 19"),
            (["create", path("file"), "--output", path("packs"), "--commit", "main"], "hexadecimal digits"),
            (["serve", path("packs"), "--listen", "0.0.0.0:0"], "or --insecure"),
            (["serve", path("packs"), "--listen", "nonsense", "--insecure"], "HOST:PORT"),
            (["serve", path("nothing"), "--insecure"], "there is no directory"),
            (["serve", path("packs"), "--tls-key", "k", "--insecure"], "go together"),
            (["serve", path("packs"), "--insecure", "--limit-up", "fast"], "--limit-up"),
            (["fetch", "http://127.0.0.1:1/v2/x", "--output", path("o"), "--insecure"], "names no pack"),
            (["fetch", "ftp://127.0.0.1:1", "--output", path("o"), "--insecure"], "no endpoint"),
            (["fetch", "http://127.0.0.1:1", "--output", path("o")], "or --insecure"),
            (["fetch", "http://127.0.0.1:1", "--output", path("o"), "--insecure"], "does not answer"),
            (["inspect", path("nothing")], "there is no manifest"),
            (["torrent", path("nothing"), "--output", path("o")], "there is no manifest"),
            (["torrent", system.directory, "--output", path("o")], "has no pack"),
            (["torrent", "https://127.0.0.1:1", "--output", path("o")], "no certificate"),
            (["torrent", "http://127.0.0.1:1", "--output", path("o")], "does not answer"),
            (["torrent", path("file"), "--output", path("o"), "--web-seed", "ftp://a/b"], "--web-seed is a URL"),
            (["torrent", path("file"), "--output", path("o"), "--web-seed", "http://a/b c"], "--web-seed is a URL"),
        ]
        for (arguments, word) in cases {
            let end = try await system.run(try System.product("drover"), ["pack"] + arguments)
            #expect(end.code == 1 || end.code == 2, "\(arguments): \(end)")
            #expect(end.text.contains(word), "\(arguments): \(end.text)")
        }
    }
}
