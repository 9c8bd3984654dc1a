import Client
import Dispatch
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
    private let peer: PeerName
    /// Where other peers fetch from us.
    private let endpoint: String
    private let directory: AgentDirectory
    private let client: RegionClient
    private let shelf: PackShelf
    private let pieces = PieceClient()
    private let clock: any ClockSource
    private let logger: Logger
    /// Blocking work: hashing and decompressing whole packs.
    private static let files = DispatchQueue(label: "drover.agent.packs", attributes: .concurrent)

    static let announceMilliseconds: Int64 = 2000
    /// The pause after a fetch's first announcement; each next one is twice as long, up to `announceMilliseconds`. Peers
    /// that start together are told only of those who announced before them: until they know each other, they take from
    /// the mirror what another one has.
    static let firstAnnounceMilliseconds: Int64 = 100

    init(
        peer: PeerName, endpoint: String, directory: AgentDirectory, client: RegionClient, shelf: PackShelf,
        clock: any ClockSource, logger: Logger
    ) {
        (self.peer, self.endpoint, self.directory, self.client) = (peer, endpoint, directory, client)
        (self.shelf, self.clock, self.logger) = (shelf, clock, logger)
    }

    /// Returns when the build is whole, verified and executable on this disk. May be called again after any failure.
    func fetch(_ app: AppName, _ build: ProvedBuild) async throws {
        let manifest = try await manifest(build.manifest)
        guard manifest.facts.app == app, manifest.facts.build == build.build else {
            throw AgentFailure(
                "manifest \(build.manifest) is of another build than \(app)/\(build.build)", isFinal: true)
        }
        let path = directory.pack(build.build)
        if !FileManager.default.fileExists(atPath: path) { try await transfer(manifest, to: path) }
        try await unpack(app, build.build, manifest, from: path)
    }

    /// The manifest that travelled with a kept build.
    func keptManifest(_ app: AppName, _ build: BuildID) throws -> Manifest {
        guard let data = FileManager.default.contents(atPath: directory.manifestName(app, build)) else {
            throw AgentFailure("build \(build) of \(app) is not kept here")
        }
        return try Manifest.decode([UInt8](data))
    }

    func evict(_ app: AppName, _ build: BuildID) {
        shelf.remove(PackName(app: app, build: build))
        if let manifest = try? keptManifest(app, build) { directory.remove(directory.manifest(manifest.digest)) }
        directory.remove(directory.manifestName(app, build))
        directory.remove(directory.build(app, build))
        directory.remove(directory.pack(build))
    }

    /// Offers what is kept from before, then keeps all offered packs announced.
    func shareKept() async {
        for app in directory.apps() {
            for build in directory.keptBuilds(of: app) {
                do { try offer(keptManifest(app, build)) } catch {
                    logger.info("a kept pack is not offered", metadata: ["build": "\(build)", "failure": "\(error)"])
                }
            }
        }
        while !Task.isCancelled {
            for name in shelf.names { _ = try? await announce(name) }
            try? await Task.sleep(for: .milliseconds(Self.announceMilliseconds))
        }
    }

    private func offer(_ manifest: Manifest) throws {
        let path = directory.pack(manifest.facts.build)
        guard FileManager.default.fileExists(atPath: path) else { return }
        let count = try manifest.layout().pieceCount
        let shared = try SharedPack(
            manifest: manifest, paths: [path], verified: PieceSet(pieceCount: count, pieces: 0..<count), clock: clock)
        shelf.put(shared, as: manifest.packName)
    }

    /// Ends its connections; nothing is fetched after.
    func shutdown() async { await pieces.shutdown() }

    // MARK: Steps of a fetch

    /// The signed manifest, proved by the digest that the target names and by the release key.
    private func manifest(_ digest: Digest) async throws -> Manifest {
        let path = directory.manifest(digest)
        let key = try await releaseKey()
        if let data = FileManager.default.contents(atPath: path),
            let manifest = try? Manifest.verify([UInt8](data), trustedKeys: [key]), manifest.digest == digest
        {
            return manifest
        }
        guard let data = try await client.manifest(digest) else {
            throw AgentFailure("the region does not have manifest \(digest) yet")
        }
        let manifest = try Manifest.verify([UInt8](data), trustedKeys: [key])
        guard manifest.digest == digest else {
            throw AgentFailure("the region sent another manifest than \(digest)")
        }
        try directory.write(data, to: path)
        return manifest
    }

    /// Learnt from the region once, then kept: a region that changes its key is not believed.
    private func releaseKey() async throws -> [UInt8] {
        let path = "\(directory.root)/release-key.pub"
        if let text = try? String(contentsOfFile: path, encoding: .utf8),
            let key = bytesFromHex(text.trimmingCharacters(in: .whitespacesAndNewlines))
        {
            return key
        }
        let answer = try await client.region()
        guard let key = bytesFromHex(answer.releaseKey), key.count == 32 else {
            throw AgentFailure("the region's release key is not one")
        }
        try directory.write(Data((answer.releaseKey + "\n").utf8), to: path)
        return key
    }

    /// Fetches by pieces while telling the tracker, so that others fetch from us what we have.
    private func transfer(_ manifest: Manifest, to path: String) async throws {
        var fingerprint = Fingerprint()
        fingerprint.feed(peer.rawValue)
        fingerprint.feed(manifest.facts.build.rawValue)
        let name = manifest.packName
        let fetcher = try await PackFetcher.open(
            manifest: manifest, finalPath: path, sources: FetchSources(), peer: peer, client: pieces, clock: clock,
            seed: fingerprint.value, logger: logger)
        shelf.put(fetcher.shared, as: name)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await fetcher.run() }
            group.addTask { [self] in
                var pause = Self.firstAnnounceMilliseconds
                while !Task.isCancelled {
                    if let answer = try? await announce(name) {
                        fetcher.setSources(
                            FetchSources(
                                mirrors: [try PackEndpoint(answer.mirrorEndpoint)],
                                neighbours: answer.neighbours.compactMap { try? PackEndpoint($0.endpoint) }))
                    }
                    try await Task.sleep(for: .milliseconds(pause))
                    pause = min(pause * 2, Self.announceMilliseconds)
                }
            }
            try await group.next()
            group.cancelAll()
        }
        let progress = fetcher.progress
        logger.info(
            "fetched",
            metadata: [
                "build": "\(name)", "from-peers": "\(progress.bytesFromPeers)",
                "from-mirror": "\(progress.bytesFromMirrors)",
            ])
    }

    private func announce(_ name: PackName) async throws -> AnnounceAnswer {
        try await client.announce(name.app, name.build, AnnounceBody(peer: peer, endpoint: endpoint))
    }

    /// Each raw segment is verified; the manifest is written last, so that a build with one is whole.
    private func unpack(_ app: AppName, _ build: BuildID, _ manifest: Manifest, from path: String) async throws {
        try directory.make(directory.build(app, build))
        let target = directory.binary(app, build)
        let result: Result<Void, PackFailure> = await withCheckedContinuation { continuation in
            Self.files.async {
                continuation.resume(
                    returning: Result { () throws(PackFailure) in
                        try PackReader(path: path, manifest: manifest).unpack(to: target)
                    })
            }
        }
        do throws(PackFailure) { try result.get() } catch {
            directory.remove(path)
            throw AgentFailure("the pack of \(app)/\(build) does not unpack: \(error)")
        }
        try directory.write(Data(manifest.bytes), to: directory.manifestName(app, build))
    }
}
