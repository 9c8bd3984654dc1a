package import Domain
internal import Glibc

/// What a pack is to say of itself, beside what its bytes say.
package struct PackRequest: Hashable, Sendable {
    package var app: AppName
    package var build: BuildID
    package var attempt: AttemptNumber
    /// 40 or 64 lowercase hexadecimal digits.
    package var commit: String
    package var repository: String
    package var run: RunSettings
    package var provenance: PackProvenance

    package init(
        app: AppName, build: BuildID, attempt: AttemptNumber, commit: String, repository: String, run: RunSettings,
        provenance: PackProvenance
    ) {
        (self.app, self.build, self.attempt, self.commit) = (app, build, attempt, commit)
        (self.repository, self.run, self.provenance) = (repository, run, provenance)
    }
}

/// How far packing got. Called on the packing thread, first before any segment, then after each one.
package struct PackProgress: Hashable, Sendable {
    package var rawBytes: UInt64
    package var totalRawBytes: UInt64
    /// Bytes of the pack that are written and will not change.
    package var packedBytes: UInt64
    /// The manifest so far, unsigned: a draft.
    package var draft: [UInt8]
}

/// Makes packs. Blocking: call it on a thread of its own.
package struct PackWriter: Sendable {
    package var settings: PackSettings

    package init(settings: PackSettings = PackSettings()) { self.settings = settings }

    /// Packs one regular file into `output`, which it creates or overwrites, and returns the unsigned manifest when
    /// the pack is on the disk. After a failure `output` is gone. `isCancelled` is asked after each segment.
    ///
    /// Memory: about (`compressionThreads` + 1) segments, whatever the file's size.
    package func pack(
        artifact: String, to output: String, _ request: PackRequest,
        progress: (PackProgress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(PackFailure) -> Manifest {
        let (source, status) = try Self.openArtifact(artifact)
        let facts = facts(request, rawLength: UInt64(status.st_size))
        var manifest = try ManifestWriter(facts, limits: settings.limits)
        let target = try OpenFile.open(output, flags: O_RDWR | O_CREAT | O_TRUNC)
        do throws(PackFailure) {
            let summary = try write(source, target, &manifest, progress: progress, isCancelled: isCancelled)
            try Self.checkUnchanged(source, status)
            try target.synchronize()
            return try manifest.finish(summary, request.provenance, limits: settings.limits)
        } catch {
            OpenFile.remove(output)
            throw error
        }
    }

    private func facts(_ request: PackRequest, rawLength: UInt64) -> PackFacts {
        PackFacts(
            app: request.app, build: request.build, attempt: request.attempt, commit: request.commit,
            repository: request.repository, rawLength: rawLength, segmentLength: settings.segmentBytes,
            pieceLength: PieceLength.forRawLength(rawLength), zstdVersion: Zstandard.version,
            zstdLevel: settings.zstdLevel, run: request.run)
    }

    private func write(
        _ source: OpenFile, _ target: OpenFile, _ manifest: inout ManifestWriter,
        progress: (PackProgress) -> Void, isCancelled: () -> Bool
    ) throws(PackFailure) -> MerkleTree.Summary {
        let (facts, level) = (manifest.draft.facts, settings.zstdLevel)
        var (hasher, rawBytes, writer) = (MerkleHasher(pieceLength: facts.pieceLength), UInt64(0), manifest)
        defer { manifest = writer }
        func report() {
            progress(
                PackProgress(
                    rawBytes: rawBytes, totalRawBytes: facts.rawLength, packedBytes: writer.draft.packedLength,
                    draft: writer.bytes))
        }
        report()
        try inOrder(count: Int(facts.segmentCount), threads: settings.compressionThreads) { index in
            Result { () throws(PackFailure) in
                try Zstandard.compress(
                    source, offset: UInt64(index) * facts.segmentLength, length: facts.rawLength(ofSegment: index),
                    level: level)
            }
        } consume: { result throws(PackFailure) in
            guard !isCancelled() else { throw PackFailure(.cancelled, "packing was cancelled") }
            let segment = try result.get()
            try Self.append(segment, target, &hasher, &writer)
            rawBytes += segment.rawLength
            report()
        }
        return hasher.finalize()
    }

    private static func append(
        _ segment: PackedSegment, _ target: OpenFile, _ hasher: inout MerkleHasher, _ manifest: inout ManifestWriter
    ) throws(PackFailure) {
        let offset = manifest.draft.packedLength
        try target.write(segment.packed, at: offset)
        hasher.update(segment.packed)
        let row = PackSegment(
            rawLength: segment.rawLength, rawDigest: segment.rawDigest, packedLength: UInt64(segment.packed.count),
            offset: offset)
        manifest.append(row, pieces: hasher.pieces[manifest.draft.pieces.count...])
    }

    /// Opens what the build left, if it is one regular file.
    private static func openArtifact(_ path: String) throws(PackFailure) -> (OpenFile, stat) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else {
            guard errno == ENOENT || errno == ENOTDIR else { throw OpenFile.failure("read the artifact", path) }
            throw PackFailure(.artifact, "the build left no artifact at \(path); check the recipe's artifact path")
        }
        try checkRegular(status, path)
        // Never follows a link nor waits for a pipe that took the file's place meanwhile.
        let file = try OpenFile.open(path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        status = try file.status()
        try checkRegular(status, path)
        return (file, status)
    }

    private static func checkRegular(_ status: stat, _ path: String) throws(PackFailure) {
        let kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: ""
            case S_IFDIR: "a directory"
            case S_IFLNK: "a symbolic link"
            default: "a device, pipe or socket"
            }
        guard kind.isEmpty else {
            throw PackFailure(.artifact, "the artifact \(path) is \(kind); the recipe must name one regular file")
        }
    }

    private static func checkUnchanged(_ file: OpenFile, _ before: stat) throws(PackFailure) {
        let after = try file.status()
        guard after.st_size == before.st_size, after.st_mtim.tv_sec == before.st_mtim.tv_sec,
            after.st_mtim.tv_nsec == before.st_mtim.tv_nsec
        else { throw PackFailure(.changed, "\(file.path) changed while it was packed; build again") }
    }
}
