import ArgumentParser
import Domain
import Foundation
import Packs
import Swarm
import Transfer

struct PackTorrentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "torrent",
        abstract: "Make the torrent that a BitTorrent v2 client fetches a pack with.",
        discussion: """
            SOURCE is a manifest, a pack with its manifest beside it, a directory of one pack (`create` makes all of \
            them), or a URL as `fetch` takes it, which becomes the first web seed. The client makes the packed file, \
            APP-NUMBER.zst: `zstd -d` opens it.

            A web seed is a pack at any server or peer (http://HOST:PORT/v1/packs/APP/NUMBER), or a folder with \
            APP-NUMBER.zst in it (https://HOST/FOLDER/, with its slash). The torrent is private: clients tell no public \
            table of it.
            """)

    @Argument(help: "A manifest, a pack, a directory of one, or a URL.") var source: String
    @Option(help: ArgumentHelp("The file to make.", valueName: "file")) var output: String
    @Option(
        name: .customLong("web-seed"), parsing: .singleValue,
        help: ArgumentHelp("Where the packed bytes are; as often as there are places.", valueName: "url"))
    var webSeeds: [String] = []
    @Option(help: ArgumentHelp("The release key that must have signed it: hexadecimal, or a file.", valueName: "key"))
    var trust: String?
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        if let wrong = webSeeds.first(where: { !Self.isWebSeed($0) }) {
            throw ValidationError("--web-seed is a URL, http or https, not \(wrong.prefix(80))")
        }
    }

    static func isWebSeed(_ text: String) -> Bool {
        guard text.utf8.count <= 2048, text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            let url = URLComponents(string: text), url.string == text
        else { return false }
        return ["http", "https"].contains(url.scheme) && url.host?.isEmpty == false && url.fragment == nil
    }

    func run() async throws {
        try await reportingPackFailures {
            guard source.contains("://") else { return try make(local(), webSeeds) }
            let place = try PackPlace(source)
            guard place.server.description.hasPrefix("http://") else {
                throw CommandStop(
                    .refused,
                    "drover: BitTorrent clients show \(place.server) no certificate, so it is no web seed: name a "
                        + "manifest, and with --web-seed where the pack is had without one")
            }
            let client = PieceClient()
            defer { Task { await client.shutdown() } }
            let manifest = try await place.manifest(client, trust: trust)
            let seed = "\(place.server)/v1/packs/\(manifest.name.app)/\(manifest.name.build)"
            try make(manifest, [seed] + webSeeds)
        }
    }

    private func local() throws -> Manifest {
        guard (try? FileManager.default.contentsOfDirectory(atPath: source)) != nil else {
            return try ManifestFile(source).read(trust: trust)
        }
        let directory = PackDirectory(path: source)
        let names = directory.names
        guard let only = names.first, names.count == 1 else {
            let what = names.isEmpty ? "no pack" : names.prefix(8).map(\.description).joined(separator: ", ")
            throw CommandStop(
                .refused, "drover: \(source) has \(what): name one as \(source)/APP/NUMBER.manifest")
        }
        return try ManifestFile(directory.manifest(only)).read(trust: trust)
    }

    private struct Report: Encodable {
        var torrent: String
        var pack: String
        /// What a client makes.
        var file: String
        var infohash: Digest
        var webSeeds: [String]

        enum CodingKeys: String, CodingKey {
            case torrent, pack, file, infohash
            case webSeeds = "web_seeds"
        }
    }

    private func make(_ manifest: Manifest, _ seeds: [String]) throws {
        let metainfo = manifest.metainfo(webSeeds: seeds)
        try Data(metainfo.bytes).write(to: URL(fileURLWithPath: output), options: .atomic)
        let report = Report(
            torrent: output, pack: manifest.name.description, file: metainfo.name, infohash: metainfo.infohash,
            webSeeds: seeds)
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say("\(output): \(report.pack) as \(report.file), infohash \(report.infohash)")
        for seed in seeds { Terminal.say("web seed  \(seed)") }
        if seeds.isEmpty {
            Terminal.complain("no web seed: say with --web-seed where the pack is, or clients have only each other")
        }
    }
}
