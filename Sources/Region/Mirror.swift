import Blobs
import Client
import Domain
import Engine
import Foundation
import Logging
import Metrics
import Packs
import Ports
import ServiceLifecycle
import Serving
import Swarm
import Transfer
import Wire

/// Makes this region's store agree with the global log: reads uploads back, copies packs from other regions, offers what
/// is proved to the peers, and tells the global process what is stored.
///
/// Every effect is derived from the state again after a crash, and may be done twice. Only bytes that are proved wrong
/// are deleted: a disk that cannot be read is tried again.
struct Mirror: Service {
    /// Between two looks at a state that changes all the time.
    static let lookMilliseconds: Int64 = 20
    /// The longest time without a look: rests end that late at most.
    static let restMilliseconds: Int64 = 1000
    /// Pieces on their way from other regions, of all copies together.
    static let copyBytes: UInt64 = 128 << 20

    private enum Fact: Sendable {
        case look
        case ended(MirrorStep, isGood: Bool)
    }

    private let name: RegionName
    private let engine: EngineService<Regional>
    private let upstream: any RegionUpstream
    private let store: DirectoryBlobStore
    private let keeper: StoreKeeper
    private let manifests: Manifests
    private let shelf: PackShelf
    private let clock: any ClockSource
    private let settings: MirrorSettings
    private let seed: UInt64
    private let metrics: MetricsRegistry
    private let logger: Logger
    private let copying = ByteBudget(bytes: Mirror.copyBytes)
    private let facts = AsyncStream.makeStream(of: Fact.self)

    init(
        name: RegionName, engine: EngineService<Regional>, upstream: any RegionUpstream, keeper: StoreKeeper,
        manifests: Manifests, shelf: PackShelf, clock: any ClockSource, settings: MirrorSettings = MirrorSettings(),
        seed: UInt64, metrics: MetricsRegistry, logger: Logger
    ) {
        (self.name, self.engine, self.upstream, self.keeper) = (name, engine, upstream, keeper)
        (self.manifests, self.shelf, self.clock, self.settings) = (manifests, shelf, clock, settings)
        (self.seed, self.metrics, self.logger, store) = (seed, metrics, logger, keeper.store)
    }

    private var now: Int64 { clock.read().monotonicMilliseconds }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await watch() }
                var work = MirrorWork(settings: settings, seed: seed)
                for await fact in facts.stream {
                    guard await take(fact, into: &work) else { break }
                    for step in work.next(now: now) { group.addTask { await attempt(step) } }
                }
                group.cancelAll()
            }
        }
    }

    /// Says when it is time for a look.
    private func watch() async {
        var position = LogSequence.zero
        while !Task.isCancelled {
            position = await engine.waitForChange(after: position, timeoutMilliseconds: Self.restMilliseconds).sequence
            facts.continuation.yield(.look)
            try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
        }
    }

    /// False when the engine has stopped.
    private func take(_ fact: Fact, into work: inout MirrorWork) async -> Bool {
        switch fact {
        case .ended(let step, isGood: true):
            if let withdrawn = work.succeeded(step, now: now) { shelf.remove(withdrawn) }
        case .ended(let step, isGood: false): work.failed(step, now: now)
        case .look:
            let (here, seen) = (name, work.seen)
            do throws(EngineFailure) {
                let (changes, logTime) = try await engine.readNow { state, _, now in
                    (state.mirrorChanges(after: seen, here: here), now)
                }
                for name in work.learned(changes, logTime: logTime, now: now) { shelf.remove(name) }
            } catch {
                logger.warning("the mirror waits for the engine", metadata: ["failure": "\(error)"])
                return error.code != .stopped
            }
        }
        return true
    }

    private func attempt(_ step: MirrorStep) async {
        do {
            try await perform(step)
            facts.continuation.yield(.ended(step, isGood: true))
        } catch {
            if !Task.isCancelled {
                logger.warning("the mirror tries again", metadata: ["build": "\(step.build)", "failure": "\(error)"])
            }
            facts.continuation.yield(.ended(step, isGood: false))
        }
    }

    private func perform(_ step: MirrorStep) async throws {
        switch step {
        case .effect(.verifyUpload(let build, let attempt, _, let digest)):
            try await verifyUpload(build, attempt, digest)
        case .effect(.mirror(let build, let attempt, let app, let digest, let regions)):
            try await copy(PackName(app: app, build: build), attempt, digest, from: regions)
        case .effect(.reportStored(let build, let attempt, let digest)):
            try await upstream.packStored(build, attempt, manifest: digest)
        case .effect(.reportLost(let build)):
            try await upstream.packLost(build, detail: "missing or damaged in the store of \(name)")
        case .effect(.remove(let build, let app, _)): try await remove(PackName(app: app, build: build))
        case .effect(.reportRemoved(let build)): try await upstream.packRemoved(build)
        case .offer(let pack): try await offer(pack)
        }
    }

    // MARK: Uploads

    private func verifyUpload(_ build: BuildID, _ attempt: AttemptNumber, _ digest: Digest) async throws {
        let manifest = try await manifests(digest)
        let key = RegionKey.pack(build, attempt)
        guard let path = try await store.localPath(key) else {
            return try await unsound(build, attempt, "the pack is not in the store of \(name)")
        }
        if let damage = try await PackCheck.damage(at: path, manifest) {
            try await store.delete(key)
            return try await unsound(
                build, attempt, "the pack in the store of \(name) is not what its manifest says: \(damage)")
        }
        try await stored(build, attempt, manifest)
    }

    private func unsound(_ build: BuildID, _ attempt: AttemptNumber, _ detail: String) async throws {
        switch try await engine.read({ state, _ in UnsoundPack(attempt, of: state.packs[build]) }) {
        case .lost: try await keeper.lost(build, attempt, detail: detail)
        case .failedAttempt: try await upstream.uploadFailed(build, attempt, detail: detail)
        case .forgotten: return
        }
    }

    private func stored(_ build: BuildID, _ attempt: AttemptNumber, _ manifest: Manifest) async throws {
        let outcome = try await engine.submit(
            .packStored(build, attempt, manifest: manifest.digest), actor: .projector("mirror"), isDerived: true)
        if case .refused(let refusal, _) = outcome {
            // It is not wanted any more: another attempt's, or another branch's of the global log.
            try await store.delete(RegionKey.pack(build, attempt))
            throw refusal
        }
        await keeper.tidy([build])
    }

    // MARK: Copies

    private func copy(
        _ pack: PackName, _ attempt: AttemptNumber, _ digest: Digest, from regions: [RegionName]
    ) async throws {
        let manifest = try await manifests(digest)
        let key = RegionKey.pack(pack.build, attempt)
        if try await store.localPath(key) == nil {
            let endpoints = try await mirrors(of: regions)
            let upload = try await keeper.beginUpload(pack.build, attempt, bytes: manifest.totals.packedLength)
            try await PackCopier(memory: copying, logger: logger).copy(manifest, pack, into: upload, from: endpoints)
            try await upload.finish(as: key)
        }
        guard let path = try await store.localPath(key) else {
            throw BlobFailure(.notFound, "the copy of \(pack) is gone from the store")
        }
        if let damage = try await PackCheck.damage(at: path, manifest) {
            try await store.delete(key)
            throw damage
        }
        try await stored(pack.build, attempt, manifest)
    }

    /// Where the packs of other regions are fetched, nearest knowledge first.
    private func mirrors(of regions: [RegionName]) async throws -> [String] {
        let neighbours = try await engine.read { state, _ in regions.compactMap { state.neighbours[$0]?.endpoint } }
        var mirrors: [String] = []
        for endpoint in neighbours {
            let client = RegionClient(endpoint: endpoint, actor: .region(name), settings: .withoutRetries)
            if let answer = try? await client.region() { mirrors.append(answer.mirrorEndpoint) }
        }
        guard !mirrors.isEmpty else {
            throw BlobFailure(.notFound, "none of the regions \(regions.map(\.rawValue)) answers")
        }
        return mirrors
    }

    // MARK: Retired builds

    /// Nobody begins to fetch it any more; who has begun has the file open, and comes to its end. The log says that it is
    /// removed when it is.
    private func remove(_ pack: PackName) async throws {
        guard try await keeper.isRemovable(pack.build) else { return }
        shelf.remove(pack)
        try await keeper.remove(pack.build)
        try await keeper.noteRemoved(pack.build)
    }

    // MARK: Offers

    /// Offers a stored pack to the peers; one that is gone from the store is a fact for the log.
    private func offer(_ pack: OfferedPack) async throws {
        let (build, key) = (pack.name.build, RegionKey.pack(pack.name.build, pack.attempt))
        let manifest = try await manifests(pack.manifest)
        guard let path = try await store.localPath(key),
            try await store.information(key)?.bytes == manifest.totals.packedLength
        else {
            return try await keeper.lost(
                build, pack.attempt, detail: "missing from the store of \(name), or of another length")
        }
        let layout = try manifest.layout()
        let (toPeers, toOthers) = (sentCounter(pack.name, to: "peer"), sentCounter(pack.name, to: "other"))
        let shared = try SharedPack(
            manifest: manifest, paths: [path],
            verified: PieceSet(pieceCount: layout.pieceCount, pieces: 0..<layout.pieceCount), clock: clock,
            ledger: MirrorLedgerSettings(), seed: build.rawValue
        ) { bytes, peer in (peer == nil ? toOthers : toPeers).increment(by: Int64(clamping: bytes)) }
        shelf.put(shared, as: pack.name)
    }

    /// Packed bytes that the mirror gave away of one build. Divided by the pack's length: the copies it sent.
    private func sentCounter(_ pack: PackName, to receiver: String) -> Counter {
        Counter(
            label: "drover_mirror_sent_bytes",
            dimensions: [("app", pack.app.rawValue), ("build", pack.build.description), ("to", receiver)],
            factory: metrics)
    }
}
