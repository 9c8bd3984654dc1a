import Blobs
import Domain
import Engine
import Logging
import Ports
import Swarm
import Transfer

/// Keeps the store to what the log says: drops what dead attempts and other branches of the global log left.
struct StoreKeeper: Sendable {
    /// Names of one page of a listing.
    static let pageNames = 500

    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let store: DirectoryBlobStore
    let shelf: PackShelf
    let logger: Logger

    /// A stored pack is missing or damaged; nothing if the log speaks of another one by now.
    func lost(_ build: BuildID, _ attempt: AttemptNumber, detail: String) async throws {
        let isMeant = try await engine.read { state, _ in state.packs[build]?.attempt == attempt }
        guard isMeant else { return }
        logger.warning("a pack is lost here", metadata: ["build": "\(build)", "detail": "\(detail)"])
        let outcome = try await engine.submit(
            .packLost(build, detail: detail), actor: .projector("store"), isDerived: true)
        if case .refused(let refusal, _) = outcome { throw refusal }
    }

    /// Goes on with an upload of this length, or begins it; one of another length was another pack's.
    func beginUpload(
        _ build: BuildID, _ attempt: AttemptNumber, bytes: UInt64
    ) async throws(BlobFailure) -> ResumableUpload {
        let name = RegionKey.upload(build, attempt)
        do throws(BlobFailure) {
            return try await store.beginUpload(name, bytes: bytes)
        } catch {
            guard error.code == .exists else { throw error }
            for upload in store.openUploads() where upload.name == name { try await upload.abandon() }
            return try await store.beginUpload(name, bytes: bytes)
        }
    }

    // MARK: Dead attempts

    /// Drops what other attempts of these builds left. To be called for builds whose job has failed, or whose pack the
    /// global log has named.
    func tidy(_ builds: Set<BuildID>) async {
        do {
            let packs = try await engine.read { state, _ in state.packs.filter { builds.contains($0.key) } }
            for build in builds.sorted() {
                let pack = packs[build]
                try await drop(below: "packs/\(build)/") { isLeftover($0.attempt, of: pack) }
                try await abandon {
                    $0.job == build && (isLeftover($0.attempt, of: pack) || Self.isStored($0.attempt, pack))
                }
            }
        } catch {
            logger.info("leftovers stay for now", metadata: ["failure": "\(error)"])
        }
    }

    private static func isStored(_ attempt: AttemptNumber, _ pack: RegionPack?) -> Bool {
        pack?.attempt == attempt && pack?.phase == .stored
    }

    /// Drops what was left while nobody looked: of every attempt that has a pack or an upload here. The global process
    /// knows those that this region's log does not.
    func sweep() async throws {
        var places = Set(store.openUploads().compactMap { RegionKey.attempt(of: $0.name) })
        try await visit("packs/") { place, _ in places.insert(place) }
        let jobs = Set(places.map(\.job))
        let known = try await engine.read { state, _ in jobs.filter { state.packs[$0] != nil } }
        await tidy(known)
        for place in places.sorted() where !known.contains(place.job) {
            guard try await upstream.isOver(place.job, place.attempt) else { continue }
            try await store.delete(RegionKey.pack(place.job, place.attempt))
            try await abandon { $0 == place }
        }
    }

    // MARK: Retired builds

    /// Whether what is here of a build may go: it is retired, and its grace is over. The log that is followed may have been
    /// set back since that was planned.
    func isRemovable(_ build: BuildID) async throws -> Bool {
        try await engine.readNow { state, _, now in state.isRemovable(build, now: now) }
    }

    /// Says that it is removed; or that it is lost, where it was taken back meanwhile that it may go.
    func noteRemoved(_ build: BuildID) async throws {
        let outcome = try await engine.submit(.packRemoved(build), actor: .projector("mirror"), isDerived: true)
        guard case .refused = outcome else { return }
        let attempt = try await engine.read { state, _ in state.packs[build]?.attempt }
        guard let attempt else { return }
        try await lost(build, attempt, detail: "removed, as it was retired once")
    }

    /// Drops what is here of a build: packs, uploads and output. Its manifest stays: this region's log names it, and a
    /// backup carries every blob that its log names. May be repeated after a crash.
    func remove(_ build: BuildID) async throws(BlobFailure) {
        try await abandon { $0.job == build }
        try await drop(below: "packs/\(build)/") { _ in true }
        try await drop(below: "logs/\(build)/") { _ in true }
    }

    // MARK: Other branches

    /// Drops what the global log does not know at this position, before the region goes back to it: the numbers of
    /// these jobs are given again.
    func dropBranch(after common: LogSequence) async throws {
        let other = try await engine.read { state, _ in OtherBranch(state, after: common) }
        for (build, pack) in other.packs { shelf.remove(PackName(app: pack.app, build: build)) }
        try await abandon { other.hasPacks(of: $0.job) }
        try await drop(below: "packs/") { other.hasPacks(of: $0.job) }
        try await drop(below: "logs/") { other.hasOutput(of: $0.job) }
    }

    /// Drops an attempt's output from an object on: a number given again, or an attempt begun again, writes another.
    func dropOutput(_ job: JobID, _ attempt: AttemptNumber, from object: UInt64) async throws(BlobFailure) {
        try await visit("logs/\(job)/\(attempt)/") { (_, name) throws(BlobFailure) in
            guard let number = name.split(separator: "/").last.flatMap({ UInt64($0) }), number >= object else { return }
            try await store.delete(.named(name))
        }
    }

    // MARK: Steps

    private func abandon(where isGone: (StoredAttempt) -> Bool) async throws(BlobFailure) {
        for upload in store.openUploads() {
            guard let place = RegionKey.attempt(of: upload.name), isGone(place) else { continue }
            do throws(BlobFailure) {
                try await upload.abandon()
            } catch {
                // Somebody else has ended it.
                guard error.code == .notFound else { throw error }
            }
        }
    }

    private func drop(below prefix: String, where isGone: (StoredAttempt) -> Bool) async throws(BlobFailure) {
        try await visit(prefix) { (place, name) throws(BlobFailure) in
            if isGone(place) { try await store.delete(.named(name)) }
        }
    }

    private func visit(
        _ prefix: String, _ body: (StoredAttempt, String) async throws(BlobFailure) -> Void
    ) async throws(BlobFailure) {
        var last: String?
        while true {
            let page = try await store.list(prefix: prefix, after: last, limit: Self.pageNames)
            for blob in page {
                guard case .named(let name) = blob.key else { continue }
                last = name
                if let place = RegionKey.attempt(of: name) { try await body(place, name) }
            }
            if page.count < Self.pageNames { return }
        }
    }
}
