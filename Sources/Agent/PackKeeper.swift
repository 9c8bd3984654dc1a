import Client
import Domain
import Foundation
import Logging
import Packs
import Ports
import Swarm
import Synchronization
import Transfer
import Wire

/// Gets packs from the swarm, proves them, unpacks them, and gives them on.
final class PackKeeper: Sendable {
    let peer: PeerName
    let directory: AgentDirectory
    let settings: AgentSettings
    let client: RegionClient
    let shelf: PackShelf
    let pieces = PieceClient()
    let clock: any ClockSource
    let logger: Logger
    /// Where other peers fetch from us.
    private let endpoint: String
    /// Those that are being fetched, which announce themselves.
    private let fetching = Mutex<Set<PackName>>([])

    static let announceLookMilliseconds: Int64 = 500

    init(
        peer: PeerName, endpoint: String, directory: AgentDirectory, settings: AgentSettings, client: RegionClient,
        shelf: PackShelf, clock: any ClockSource, logger: Logger
    ) {
        (self.peer, self.endpoint, self.directory, self.settings) = (peer, endpoint, directory, settings)
        (self.client, self.shelf, self.clock, self.logger) = (client, shelf, clock, logger)
    }

    /// Different for every peer, and the same after a restart.
    func seed(_ text: String) -> UInt64 {
        var fingerprint = Fingerprint()
        fingerprint.feed(peer.rawValue)
        fingerprint.feed(text)
        return fingerprint.value
    }

    /// Puts kept builds on the shelf; of two with one number the later one stays. Blocking.
    func offer(_ app: AppName, _ builds: [ProvedBuild]) {
        for build in builds {
            do {
                guard let data = FileManager.default.contents(atPath: directory.manifestName(app, build)) else {
                    continue
                }
                try offer(Manifest.decode([UInt8](data)), of: build)
            } catch {
                logger.info(
                    "a kept pack is not offered", metadata: ["build": "\(app)/\(build.build)", "failure": "\(error)"])
            }
        }
    }

    func offer(_ manifest: Manifest, of build: ProvedBuild) throws {
        let path = directory.pack(build)
        guard FileManager.default.fileExists(atPath: path) else { return }
        let count = try manifest.layout().pieceCount
        let shared = try SharedPack(
            manifest: manifest, paths: [path], verified: PieceSet(pieceCount: count, pieces: 0..<count), clock: clock)
        shelf.put(shared, as: manifest.packName)
    }

    /// Takes a build off the shelf and off the disk, whole or not. Blocking.
    func drop(_ app: AppName, _ build: ProvedBuild) {
        let places = [directory.manifestName(app, build), directory.manifest(build.manifest)]
        let data = places.lazy.compactMap { FileManager.default.contents(atPath: $0) }.first
        if let data, let manifest = try? Manifest.decode([UInt8](data)) {
            shelf.remove(PackName(app: app, build: build.build), root: manifest.totals.root)
        }
        directory.removeBuild(app, build)
    }

    // MARK: Announcing

    /// Keeps packs announced that are kept and not being fetched: slowly, but before the tracker forgets them.
    func announceKept() async {
        var due: [PackName: ContinuousClock.Instant] = [:]
        var backoff = Backoff(maximumMilliseconds: settings.keptAnnounceMilliseconds, seed: seed("announce"))
        while !Task.isCancelled {
            let names = shelf.names
            due = due.filter { names.contains($0.key) }
            for name in names where due[name] ?? .now <= .now && !isFetching(name) {
                do {
                    _ = try await announce(name)
                    backoff.succeeded()
                    due[name] = .now.advanced(by: .milliseconds(settings.keptAnnounceMilliseconds))
                } catch {
                    due[name] = .now.advanced(by: .milliseconds(backoff.nextMilliseconds()))
                }
            }
            try? await Task.sleep(for: .milliseconds(Self.announceLookMilliseconds))
        }
    }

    func announce(_ name: PackName) async throws(ClientFailure) -> AnnounceAnswer {
        try await client.announce(name.app, name.build, AnnounceBody(peer: peer, endpoint: endpoint))
    }

    func isFetching(_ name: PackName) -> Bool { fetching.withLock { $0.contains(name) } }

    func setFetching(_ name: PackName, _ isFetching: Bool) {
        _ = fetching.withLock { isFetching ? $0.insert(name).inserted : $0.remove(name) != nil }
    }

    /// Ends its connections; nothing is fetched after.
    func shutdown() async { await pieces.shutdown() }
}
