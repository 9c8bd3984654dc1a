internal import Glibc

/// Reads one pack by its manifest; nothing that differs from the manifest leaves it. Blocking; any thread may use it.
///
/// The manifest must have been verified by the caller (`Manifest.verify`).
package final class PackReader: Sendable {
    package let manifest: Manifest
    private let file: OpenFile

    package init(path: String, manifest: Manifest) throws(PackFailure) {
        self.manifest = manifest
        file = try OpenFile.open(path, flags: O_RDONLY)
    }

    /// One piece's bytes, verified.
    package func readPiece(_ index: Int) throws(PackFailure) -> [UInt8] {
        guard let range = manifest.pieceRange(index) else {
            throw PackFailure(.damaged, "the pack has no piece \(index); it has \(manifest.pieces.count)")
        }
        let scratch = Scratch(count: Int(range.upperBound - range.lowerBound))
        let count = try unsafe file.read(
            into: scratch.prefix(Int(range.upperBound - range.lowerBound)), at: range.lowerBound)
        let bytes = unsafe Array(scratch.prefix(count))
        guard manifest.isPiece(bytes, index) else {
            throw PackFailure(.damaged, "piece \(index) of \(file.path) is damaged; fetch it again")
        }
        return bytes
    }

    /// Compares every piece, and the length. `progress`: packed bytes verified.
    package func verifyPacked(progress: (UInt64) -> Void = { _ in }) throws(PackFailure) {
        try checkLength()
        for index in manifest.pieces.indices {
            _ = try readPiece(index)
            progress(manifest.pieceRange(index)?.upperBound ?? 0)
        }
    }

    /// Where `unpack` writes before the file has its name: what a killed process leaves there is written over by the
    /// next one, so only one may unpack to a path at a time.
    package static func temporaryPath(of path: String) -> String { "\(path).unpacking" }

    /// Writes the raw file to `path` with mode 0755, whole, verified and durable, or not at all. Each segment is
    /// compared with its digest. `progress`: raw bytes written. Memory: a few MiB, and zstd's window.
    package func unpack(
        to path: String, progress: (UInt64) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(PackFailure) {
        try checkLength()
        try OpenFile.writeWhole(path, temporary: Self.temporaryPath(of: path)) { target throws(PackFailure) in
            try unpackSegments(target, progress: progress, isCancelled: isCancelled)
        }
    }

    private func unpackSegments(
        _ target: OpenFile, progress: (UInt64) -> Void, isCancelled: () -> Bool
    ) throws(PackFailure) {
        let decompressor = try Decompressor.make()
        var written: UInt64 = 0
        for (index, segment) in manifest.segments.enumerated() {
            guard !isCancelled() else { throw PackFailure(.cancelled, "unpacking was cancelled") }
            try decompressor.unpack(file, segment, index: index, to: target, rawOffset: written)
            written += segment.rawLength
            progress(written)
        }
    }

    private func checkLength() throws(PackFailure) {
        let length = UInt64(try file.status().st_size)
        guard length == manifest.totals.packedLength else {
            throw PackFailure(
                .damaged,
                "\(file.path) has \(length) bytes, its manifest says \(manifest.totals.packedLength); fetch it again")
        }
    }
}
