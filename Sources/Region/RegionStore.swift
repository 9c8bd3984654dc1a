import Blobs
import Domain
import Packs
import Ports

/// How a region's store names what it holds.
enum RegionKey {
    /// The packed bytes that one attempt uploaded, or that were mirrored from there.
    static func pack(_ build: BuildID, _ attempt: AttemptNumber) -> BlobKey { .named("packs/\(build)/\(attempt)") }

    /// An upload or a copy that is not whole yet.
    static func upload(_ build: BuildID, _ attempt: AttemptNumber) -> String { "pack-\(build)-\(attempt)" }

    /// One sealed object of an attempt's output.
    static func output(_ job: JobID, _ attempt: AttemptNumber, _ object: UInt64) -> BlobKey {
        .named("logs/\(job)/\(attempt)/\(object)")
    }

    /// The attempt that a pack, an object of output or an upload is of; nil for what is none of these.
    static func attempt(of name: String) -> StoredAttempt? {
        let isUpload = name.hasPrefix("pack-")
        let parts = name.split(separator: isUpload ? "-" : "/", omittingEmptySubsequences: false)
        guard parts.count >= 3, ["pack", "packs", "logs"].contains(parts[0]), let job = JobID(String(parts[1])),
            let attempt = AttemptNumber(String(parts[2]))
        else { return nil }
        return StoredAttempt(job: job, attempt: attempt)
    }
}

struct StoredAttempt: Hashable, Comparable, Sendable {
    var job: JobID
    var attempt: AttemptNumber

    static func < (left: StoredAttempt, right: StoredAttempt) -> Bool {
        (left.job, left.attempt) < (right.job, right.attempt)
    }
}

/// Signed manifests: from this store, else from the global process, then kept.
struct Manifests: Sendable {
    let store: DirectoryBlobStore
    let keys: ReleaseKeyBox
    let upstream: any RegionUpstream

    func callAsFunction(_ digest: Digest) async throws -> Manifest {
        let upstream = upstream
        let key = try await keys.key { try await upstream.releaseKey() }
        return try await store.manifest(digest, trusting: key) { try await upstream.manifest(digest) }
    }
}

extension DirectoryBlobStore {
    /// A signed manifest, proved by its digest and by the release key, from this store or else from `fetch`, then kept.
    func manifest(
        _ digest: Digest, trusting key: [UInt8], fetch: () async throws -> [UInt8]
    ) async throws -> Manifest {
        if let bytes = try await soundManifest(digest) { return try Manifest.verify(bytes, trustedKeys: [key]) }
        let bytes = try await fetch()
        let manifest = try Manifest.verify(bytes, trustedKeys: [key])
        guard manifest.digest == digest else {
            throw BlobFailure(.mismatch, "the manifest that came has the digest \(manifest.digest), not \(digest)")
        }
        try await put(.content(digest), bytes: UInt64(bytes.count), from: OneChunk(bytes))
        return manifest
    }

    /// The stored bytes; nil where there are none, or where they are damaged: those are dropped, to be fetched again.
    private func soundManifest(_ digest: Digest) async throws(BlobFailure) -> [UInt8]? {
        guard let stored = try await information(.content(digest)) else { return nil }
        if stored.bytes <= UInt64(PackLimits().maximumManifestBytes) {
            let bytes = try await read(.content(digest), offset: 0, count: Int(stored.bytes))
            if ContentHasher.digest(bytes) == digest { return bytes }
        }
        try await delete(.content(digest))
        return nil
    }
}
