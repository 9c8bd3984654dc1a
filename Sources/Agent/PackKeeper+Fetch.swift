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

extension PackKeeper {
    /// Returns when the build is whole, verified and executable on this disk. May be called again after any failure: it
    /// goes on from what was verified. One call at a time for a build.
    func fetch(_ app: AppName, _ build: ProvedBuild) async throws {
        let manifest = try await manifest(build.manifest)
        guard manifest.facts.app == app, manifest.facts.build == build.build else {
            throw AgentFailure(
                "manifest \(build.manifest) is of another build than \(app)/\(build.build)", isFinal: true)
        }
        let path = directory.pack(build)
        let isHere = try await BlockingWork.run {
            try self.checkSpace(for: manifest, pack: path)
            return FileManager.default.fileExists(atPath: path)
        }
        if isHere {
            try await BlockingWork.run { try self.offer(manifest, of: build) }
        } else {
            try await transfer(manifest, to: path)
        }
        try await unpack(app, build, manifest, from: path)
    }

    // MARK: Steps of a fetch

    /// The signed manifest, proved by the digest that the target names and by the release key.
    private func manifest(_ digest: Digest) async throws -> Manifest {
        let path = directory.manifest(digest)
        let key = try await releaseKey()
        let kept = await BlockingWork.run { FileManager.default.contents(atPath: path) }
        if let kept, let manifest = try? Manifest.verify([UInt8](kept), trustedKeys: [key]), manifest.digest == digest {
            return manifest
        }
        guard let data = try await client.manifest(digest) else {
            throw AgentFailure("the region does not have manifest \(digest) yet")
        }
        let manifest = try Manifest.verify([UInt8](data), trustedKeys: [key])
        guard manifest.digest == digest else {
            throw AgentFailure("the region sent another manifest than \(digest)")
        }
        try await BlockingWork.run { try self.directory.write(data, to: path) }
        return manifest
    }

    /// Learnt from the region once, then kept: a region that changes its key is not believed.
    private func releaseKey() async throws -> [UInt8] {
        let path = "\(directory.root)/release-key.pub"
        let kept = await BlockingWork.run { try? String(contentsOfFile: path, encoding: .utf8) }
        if let kept, let key = bytesFromHex(kept.trimmingCharacters(in: .whitespacesAndNewlines)) { return key }
        let answer = try await client.region()
        guard let key = bytesFromHex(answer.releaseKey), key.count == 32 else {
            throw AgentFailure("the region's release key is not one")
        }
        try await BlockingWork.run { try self.directory.write(Data((answer.releaseKey + "\n").utf8), to: path) }
        return key
    }

    /// Before anything is moved: there must be room for what is missing of the pack and for the file it unpacks to.
    private func checkSpace(for manifest: Manifest, pack path: String) throws {
        let attributes = try FileManager.default.attributesOfFileSystem(forPath: directory.root)
        guard let free = (attributes[.systemFreeSize] as? NSNumber)?.uint64Value else { return }
        let taken = [path, "\(path).partial"].compactMap { path in
            (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? NSNumber
        }
        let packed = manifest.totals.packedLength
        let missing = packed - min(packed, taken.first?.uint64Value ?? 0)
        let needed = missing + manifest.facts.rawLength + settings.minimumFreeBytes
        guard needed <= free else {
            throw AgentFailure(
                "\(directory.root) has \(free) bytes free, \(manifest.packName) needs \(needed): free some space")
        }
    }

    /// Fetches by pieces while telling the tracker, so that others fetch from us what we have.
    private func transfer(_ manifest: Manifest, to path: String) async throws {
        let name = manifest.packName
        setFetching(name, true)
        defer { setFetching(name, false) }
        let first = try? await announce(name)
        var fetchSettings = FetchSettings()
        if let first { fetchSettings.picker.requestsPerMirror = max(1, first.mirrorRequests) }
        let fetcher = try await PackFetcher.open(
            manifest: manifest, finalPath: path, sources: FetchSources(), peer: peer, client: pieces, clock: clock,
            settings: fetchSettings, seed: seed(name.description), logger: logger)
        shelf.put(fetcher.shared, as: name)
        try await fetcher.run(announcing: settings.announcing, first: first.map(Self.announced)) {
            Self.announced(try await self.announce(name))
        }
        let progress = fetcher.progress
        logger.info(
            "fetched",
            metadata: [
                "build": "\(name)", "from-peers": "\(progress.bytesFromPeers)",
                "from-mirror": "\(progress.bytesFromMirrors)",
            ])
    }

    private static func announced(_ answer: AnnounceAnswer) -> Announced {
        let sources = FetchSources(
            mirrors: [answer.mirrorEndpoint].compactMap { try? PackEndpoint($0) },
            neighbours: answer.neighbours.compactMap { try? PackEndpoint($0.endpoint) })
        return Announced(sources: sources, milliseconds: answer.announceMilliseconds)
    }

    /// Each raw segment is verified; the manifest is written last, so that a build with one is whole. Only a pack with
    /// wrong bytes is thrown away: a full disk needs no second transfer.
    private func unpack(
        _ app: AppName, _ build: ProvedBuild, _ manifest: Manifest, from path: String
    ) async throws {
        let isCancelled = CancelFlag()
        let result = await withTaskCancellationHandler {
            await BlockingWork.run {
                Result {
                    try self.directory.make(self.directory.build(app, build))
                    try PackReader(path: path, manifest: manifest)
                        .unpack(to: self.directory.binary(app, build), isCancelled: { isCancelled.isSet })
                    try self.directory.write(
                        Data(manifest.bytes), to: self.directory.manifestName(app, build))
                }
            }
        } onCancel: {
            isCancelled.set()
        }
        do { try result.get() } catch {
            if (error as? PackFailure)?.code == .damaged {
                await BlockingWork.run {
                    self.shelf.remove(manifest.packName, root: manifest.totals.root)
                    self.directory.remove(path)
                }
            }
            throw AgentFailure("the pack of \(app)/\(build.build) does not unpack: \(error)")
        }
    }
}

/// Set once, seen by a thread that cannot be cancelled.
private final class CancelFlag: Sendable {
    private let flag = Mutex(false)

    var isSet: Bool { flag.withLock { $0 } }

    func set() { flag.withLock { $0 = true } }
}
