import ArgumentParser
import Domain
import Engine
import Foundation
import Logging
import Packs
import Ports
import Swarm
import Transfer
import Wire

struct PackFetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch",
        abstract: "Fetch a pack from a server and from everybody who fetches it, and unpack it.",
        discussion: """
            URL is a pack's (http://HOST:PORT/v1/packs/APP/NUMBER), or the server's own when it serves one pack. FILE \
            appears when all of it is verified, in place of what had the name. What was fetched stands beside it \
            (FILE.pack) until then: a fetch that was killed goes on where it was. The manifest must be signed with the \
            --trust key, else with the key that the server names.
            """)

    @Argument(help: "A pack, or a server.") var url: String
    @Option(help: ArgumentHelp("The file to make.", valueName: "file")) var output: String
    @OptionGroup var transfer: TransferOptions
    @Option(help: ArgumentHelp("Give pieces for this long when all is here.", valueName: "n")) var seedSeconds = 0
    @Option(help: ArgumentHelp("The release key: hexadecimal, or a file.", valueName: "key")) var trust: String?
    @Option(help: ArgumentHelp("This machine's zone: neighbours in it are preferred.", valueName: "name"))
    var zone: PeerName?
    @Option(help: ArgumentHelp("This machine's rack.", valueName: "name")) var rack: PeerName?
    @Flag(help: "Print one JSON object when it is done.") var json = false

    func validate() throws {
        guard (0...10_000_000).contains(seedSeconds) else { throw ValidationError("--seed-seconds is 0 or more") }
    }

    func run() async throws {
        try await reportingPackFailures {
            let place = try PackPlace(url)
            let client = PieceClient(try transfer.clientSettings())
            defer { Task { await client.shutdown() } }
            let manifest = try await place.manifest(client, trust: trust)
            try await fetch(manifest.name, manifest, from: place.server, client)
        }
    }

    // MARK: Fetching

    private func fetch(
        _ name: PackName, _ manifest: Manifest, from server: PackEndpoint, _ client: PieceClient
    ) async throws {
        let clock = SystemClock()
        let start = ContinuousClock.now
        let shelf = PackShelf()
        let logger = Logger(label: "drover.pack") { _ in SwiftLogNoOpLogHandler() }
        let listener = try await PieceServer.bind(
            transfer.serverSettings(uploadSlots: PieceServerSettings().uploadSlots), catalog: shelf, logger: logger)
        let peer = Self.peer(listener.address.port)
        try goOnWithWholePack()
        let fetcher = try await PackFetcher.open(
            manifest: manifest, finalPath: "\(output).pack", sources: FetchSources(), peer: peer, client: client,
            clock: clock, seed: UInt64.random(in: .min ... .max), logger: logger)
        shelf.put(fetcher.shared, as: name)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await listener.run() }
            group.addTask { await Self.show(fetcher) }
            try await fetcher.run { try await announce(name, peer, listener.address.port, server, client) }
            ProgressLine.clear()
            try PackReader(path: "\(output).pack", manifest: manifest).unpack(to: output)
            try tell(fetcher, seconds: start.duration(to: .now) / .seconds(1))
            try await seed(name, peer, listener.address.port, server, client)
            group.cancelAll()
        }
        try? FileManager.default.removeItem(atPath: "\(output).pack")
    }

    /// An earlier run ended between fetching and unpacking: its pieces are compared again, not fetched again.
    private func goOnWithWholePack() throws {
        let (whole, partial) = ("\(output).pack", "\(output).pack.partial")
        guard FileManager.default.fileExists(atPath: whole), !FileManager.default.fileExists(atPath: partial) else {
            return
        }
        try FileManager.default.moveItem(atPath: whole, toPath: partial)
    }

    private func announce(
        _ name: PackName, _ peer: PeerName, _ port: Int, _ server: PackEndpoint, _ client: PieceClient
    ) async throws -> Announced {
        let labels = [("zone", zone), ("rack", rack)].reduce(into: [String: String]()) { $0[$1.0] = $1.1?.rawValue }
        let answer = try await client.announce(name, as: peer, port: port, labels: labels, at: server)
        return Announced(
            sources: FetchSources(
                mirrors: [server], neighbours: answer.neighbours.compactMap { try? PackEndpoint($0.endpoint) }),
            milliseconds: answer.announceMilliseconds)
    }

    /// Gives pieces on, and stays known to the tracker, for as long as was asked.
    private func seed(
        _ name: PackName, _ peer: PeerName, _ port: Int, _ server: PackEndpoint, _ client: PieceClient
    ) async throws {
        let end = ContinuousClock.now.advanced(by: .seconds(seedSeconds))
        while ContinuousClock.now < end {
            let pause = try? await announce(name, peer, port, server, client).milliseconds
            let next = ContinuousClock.now.advanced(by: .milliseconds(pause ?? 1000))
            try await Task.sleep(until: min(next, end), clock: .continuous)
        }
    }

    /// Different for every process that fetches.
    private static func peer(_ port: Int) -> PeerName {
        let host = ProcessInfo.processInfo.hostName.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let process = ProcessInfo.processInfo.processIdentifier
        let text = "\(String(host.prefix(32)).lowercased())-\(process)-\(port)"
        return PeerName(rawValue: text) ?? PeerName(unchecked: "peer-\(process)-\(port)")
    }

    private static func show(_ fetcher: PackFetcher) async {
        guard Terminal.showsProgress else { return }
        let line = ProgressLine()
        while !Task.isCancelled, !fetcher.progress.isComplete {
            let now = fetcher.progress
            line.show(
                "fetching \(ProgressLine.bar(now.verifiedBytes, of: now.totalBytes)) "
                    + "\(readable(bytes: now.verifiedBytes)) of \(readable(bytes: now.totalBytes))")
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    private struct Report: Encodable {
        var output: String
        var pack: String
        var bytes: UInt64
        var seconds: Double
        var bytesFromPeers: UInt64
        var bytesFromMirror: UInt64
        var badPieces: UInt64

        enum CodingKeys: String, CodingKey {
            case output, pack, bytes, seconds
            case bytesFromPeers = "bytes_from_peers"
            case bytesFromMirror = "bytes_from_mirror"
            case badPieces = "bad_pieces"
        }
    }

    private func tell(_ fetcher: PackFetcher, seconds: Double) throws {
        let progress = fetcher.progress
        let report = Report(
            output: output, pack: fetcher.manifest.name.description, bytes: fetcher.manifest.facts.rawLength,
            seconds: (seconds * 1000).rounded() / 1000, bytesFromPeers: progress.bytesFromPeers,
            bytesFromMirror: progress.bytesFromMirrors, badPieces: progress.badPieces)
        guard !json else { return try Terminal.say(json: report) }
        Terminal.say(
            "\(output): \(report.pack), \(readable(bytes: report.bytes)) in \(String(format: "%.1f", seconds)) s, "
                + "\(readable(bytes: report.bytesFromPeers)) from peers, "
                + "\(readable(bytes: report.bytesFromMirror)) from the server")
    }
}

extension PeerName: ExpressibleByArgument {
    package init?(argument: String) { self.init(rawValue: argument) }
}
