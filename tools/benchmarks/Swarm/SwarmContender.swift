import Foundation

/// One way to bring a file from one machine to many.
protocol SwarmContender: Sendable {
    var name: String { get }

    /// Makes what the seed serves, once.
    func prepare(_ file: String, in directory: String) async throws

    /// Programs with their arguments; they run until they are stopped.
    func seed(at address: String, in directory: String) -> [[String]]

    /// One program for a peer. `output` in its directory appears, whole, when it has the file.
    func peer(at address: String, seed: String, others: [String], in directory: String) -> [String]
}

struct DroverContender: SwarmContender {
    /// Between certificates of one authority, instead of in the clear.
    var isEncrypted = false
    var name: String { isEncrypted ? "Drover, mutual TLS" : "Drover" }
    /// Where certificates are kept.
    let directory: String

    private static let port = 9000
    private static let app = "file"
    /// What a peer keeps beside `output` until that is whole.
    static let partialFile = "output.pack.partial"

    func prepare(_ file: String, in directory: String) async throws {
        try await shell(
            product("drover"), ["pack", "create", file, "--app", Self.app, "--output", "\(directory)/packs"],
            in: directory)
        guard isEncrypted else { return }
        let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        for line in [
            "req -x509 \(newKey) -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
            "req \(newKey) -subj /CN=machine -keyout machine.key -out machine.request",
            "x509 -req -in machine.request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out machine.pem",
        ] {
            try await shell("/usr/bin/openssl", line.split(separator: " ").map(String.init), in: directory)
        }
    }

    private var transport: [String] {
        guard isEncrypted else { return ["--insecure"] }
        return [
            "--tls-certificate", "\(directory)/machine.pem", "--tls-key", "\(directory)/machine.key", "--tls-ca",
            "\(directory)/ca.pem",
        ]
    }

    func seed(at address: String, in directory: String) -> [[String]] {
        [
            [product("drover"), "pack", "serve", "\(directory)/packs", "--listen", "\(address):\(Self.port)"]
                + transport
        ]
    }

    func peer(at address: String, seed: String, others: [String], in directory: String) -> [String] {
        [
            product("drover"), "pack", "fetch",
            "\(isEncrypted ? "https" : "http")://\(seed):\(Self.port)/v1/packs/\(Self.app)/1", "--output",
            "\(directory)/output", "--listen", "\(address):\(Self.port)", "--seed-seconds", "3600",
        ] + transport
    }
}

/// libtorrent by its Python module, tuned for a local network; all know each other from the beginning.
struct LibtorrentContender: SwarmContender {
    let name = "libtorrent, tuned"
    let script: String
    let torrent: String

    private static let port = 6881

    /// `directory`: where the torrent is kept.
    init(script: String, directory: String) { (self.script, torrent) = (script, "\(directory)/file.torrent") }

    func prepare(_ file: String, in directory: String) async throws {
        try await shell("/usr/bin/python3", [script, "create", file, torrent], in: directory)
    }

    func seed(at address: String, in directory: String) -> [[String]] {
        [["/usr/bin/python3", script, "seed", torrent, directory, "\(address):\(Self.port)"]]
    }

    func peer(at address: String, seed: String, others: [String], in directory: String) -> [String] {
        ["/usr/bin/python3", script, "fetch", torrent, directory, "\(address):\(Self.port)"]
            + ([seed] + others).map { "\($0):\(Self.port)" }
    }
}

/// aria2 as a BitTorrent client, without its limits; the seed's machine runs a tracker.
struct AriaContender: SwarmContender {
    let name = "aria2, tuned"
    let script: String
    let directory: String

    private static let trackerPort = 6969
    private var torrent: String { "\(directory)/tracked.torrent" }
    private var whitelist: String { "\(directory)/whitelist" }
    private var done: String { "\(directory)/done.sh" }

    func prepare(_ file: String, in directory: String) async throws {
        let tracker = "http://\(ShapedNetwork.seedAddress):\(Self.trackerPort)/announce"
        let hash = try await shell("/usr/bin/python3", [script, "create", file, torrent, tracker], in: directory)
        // Debian's tracker serves what it is told to.
        try Data(hash.utf8).write(to: URL(filePath: whitelist))
        // aria2 gives its number, the count of files and the path.
        try Data("#!/bin/sh\nexec ln \"$3\" \"$(dirname \"$3\")/output\"\n".utf8).write(to: URL(filePath: done))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: done)
    }

    func seed(at address: String, in directory: String) -> [[String]] {
        let port = "\(Self.trackerPort)"
        return [
            ["/usr/bin/opentracker", "-i", address, "-p", port, "-P", port, "-w", whitelist],
            client(["--bt-seed-unverified=true", "-d", directory]),
        ]
    }

    func peer(at address: String, seed: String, others: [String], in directory: String) -> [String] {
        client(["--on-bt-download-complete=\(done)", "-d", directory])
    }

    private func client(_ more: [String]) -> [String] {
        [
            "/usr/bin/aria2c", "-q", "--no-conf", "--file-allocation=none", "--listen-port=6881", "--seed-ratio=0",
            "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--disable-ipv6=true",
            "--bt-max-peers=0", "--bt-request-peer-speed-limit=500M", "--max-upload-limit=0", "--bt-tracker-interval=2",
            "--disk-cache=64M",
        ] + more + [torrent]
    }
}

/// Everybody fetches from one HTTP server.
struct NginxContender: SwarmContender {
    let name = "one nginx"

    func prepare(_ file: String, in directory: String) async throws {
        let configuration = """
            daemon off; master_process off; pid nginx.pid; error_log stderr; user root;
            events { worker_connections 1024; }
            http { access_log off; sendfile on; server { listen 8000; root \(directory); } }
            """
        try Data(configuration.utf8).write(to: URL(filePath: "\(directory)/nginx.conf"))
    }

    func seed(at address: String, in directory: String) -> [[String]] {
        [["/usr/sbin/nginx", "-p", directory, "-c", "\(directory)/nginx.conf"]]
    }

    func peer(at address: String, seed: String, others: [String], in directory: String) -> [String] {
        [
            "/bin/sh", "-c",
            "curl -sSfo part http://\(seed):8000/file && mv part output && sleep 3600",
        ]
    }
}
