internal import Domain
internal import Glibc

/// Reads one patch and rebuilds its target. Blocking; any thread may use it.
///
/// Whatever the patch holds, what is rebuilt is the target or there is a failure: `damaged` when the patch is to blame,
/// `wrongBase` when the base is.
package final class PatchReader: Sendable {
    package let header: PatchHeader
    private let file: OpenFile
    private let offsets: [UInt64]

    package init(path: String) throws(PackFailure) {
        file = try OpenFile.open(path, flags: O_RDONLY | O_NONBLOCK)
        header = try PatchHeader.read(file)
        var (offsets, end) = ([UInt64](), header.length)
        for entry in header.entries {
            offsets.append(end)
            end += entry.length
        }
        self.offsets = offsets
    }

    /// What a segment takes.
    package struct Summary: Hashable, Sendable {
        package var rawBytes: Int
        package var windowBytes: Int
        package var windowRanges: Int
        package var steps: Int
        package var freshBytes: Int
    }

    /// Compares an entry with its digest and looks at its numbers, not into its streams.
    package func summary(ofEntry index: Int) throws(PackFailure) -> Summary {
        let entry = try decoded(index)
        return Summary(
            rawBytes: header.target.length(ofSegment: index), windowBytes: entry.windowLength,
            windowRanges: entry.ranges.count, steps: entry.stepCount, freshBytes: entry.freshLength)
    }

    /// Writes the target to `path` with mode 0755, whole, verified and durable, or not at all. Each segment is compared
    /// with the manifest, whose signature the caller has verified, as it is rebuilt; without a manifest the whole is
    /// compared with the header. `path` may not be the base.
    ///
    /// Memory, for each of `threads`: the window that the patch asks for (`PatchLimits.maximumWindowBytes` at most), and
    /// about three segments.
    package func apply(
        base: String, to path: String, manifest: Manifest? = nil, threads: Int = 1,
        progress: (UInt64) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(PackFailure) {
        if let manifest, RawIdentity(manifest) != header.target {
            throw PackFailure(.damaged, "the patch \(file.path) gives another file than the manifest names")
        }
        let baseFile = try OpenFile.open(base, flags: O_RDONLY | O_NONBLOCK)
        let length = try baseFile.regularLength()
        guard length == header.base.length else {
            throw PackFailure(
                .wrongBase, "\(base) has \(length) bytes, the patch is against a file of \(header.base.length)")
        }
        try OpenFile.writeWhole(path, temporary: PackReader.temporaryPath(of: path)) { target throws(PackFailure) in
            try rebuild(baseFile, target, manifest, threads: threads, progress: progress, isCancelled: isCancelled)
        }
    }

    private func rebuild(
        _ base: OpenFile, _ target: OpenFile, _ manifest: Manifest?, threads: Int, progress: (UInt64) -> Void,
        isCancelled: () -> Bool
    ) throws(PackFailure) {
        var (hasher, written) = (ContentHasher(), UInt64(0))
        try inOrder(count: header.entries.count, threads: threads) { [self] index in
            Result { () throws(PackFailure) in
                let segment = try self.segment(index, base)
                return (index, segment, ContentHasher.digest(segment))
            }
        } consume: { result throws(PackFailure) in
            guard !isCancelled() else { throw PackFailure(.cancelled, "applying the patch was cancelled") }
            let (index, segment, digest) = try result.get()
            guard manifest == nil || manifest?.segments[index].rawDigest == digest else {
                throw wrongBase(base, "segment \(index)")
            }
            try target.write(segment, at: written)
            written += UInt64(segment.count)
            hasher.update(digest.bytes)
            progress(written)
        }
        guard hasher.finalize() == header.target.digest else { throw wrongBase(base, "the target") }
    }

    private func segment(_ index: Int, _ base: OpenFile) throws(PackFailure) -> [UInt8] {
        let entry = try decoded(index)
        var window: [UInt8] = []
        window.reserveCapacity(entry.windowLength)
        for range in entry.ranges {
            window += try base.read(count: Int(range.upperBound - range.lowerBound), at: range.lowerBound)
        }
        return try entry.rebuild(window: window)
    }

    private func decoded(_ index: Int) throws(PackFailure) -> EncodedPatchEntry {
        try EncodedPatchEntry(
            try entry(index), length: header.target.length(ofSegment: index), baseLength: header.base.length)
    }

    private func entry(_ index: Int) throws(PackFailure) -> [UInt8] {
        let bytes = try file.read(count: Int(header.entries[index].length), at: offsets[index])
        guard ContentHasher.digest(bytes) == header.entries[index].digest else {
            throw PackFailure(
                .damaged, "entry \(index) of the patch \(file.path) is damaged; fetch it again, or the whole pack")
        }
        return bytes
    }

    /// The entries are as they were made, so it is the base that differs, unless the patch was made wrong.
    private func wrongBase(_ base: OpenFile, _ what: String) -> PackFailure {
        PackFailure(
            .wrongBase,
            "\(what) that the patch makes of \(base.path) is not the manifest's; fetch the whole pack, the base may be damaged"
        )
    }
}
