import Dispatch
import Foundation
import Packs

/// Compares packs on the disk with their manifests, on threads of its own, away from the event loops.
enum PackCheck {
    private static let hashing = DispatchQueue(label: "drover.region.hashing", attributes: .concurrent)

    /// Compares the length and every piece, at no more than a rate where one is given. Nil when the pack is whole; what
    /// is damaged otherwise. A disk that cannot be read is thrown: it says nothing about the pack. Ends between two
    /// pieces when its task is cancelled.
    static func damage(
        at path: String, _ manifest: Manifest, bytesPerSecond: UInt64? = nil
    ) async throws -> PackFailure? {
        let reader = try PackReader(path: path, manifest: manifest)
        let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.uint64Value ?? 0
        guard bytes == manifest.totals.packedLength else {
            return PackFailure(.damaged, "it has \(bytes) bytes, not \(manifest.totals.packedLength)")
        }
        for piece in manifest.pieces.indices {
            if let damage = try await damage(of: piece, reader) { return damage }
            try Task.checkCancellation()
            guard let bytesPerSecond, let range = manifest.pieceRange(piece) else { continue }
            let bytes = range.upperBound - range.lowerBound
            try await Task.sleep(for: .milliseconds(Int64(bytes * 1000 / max(1, bytesPerSecond))))
        }
        return nil
    }

    private static func damage(of piece: Int, _ reader: PackReader) async throws(PackFailure) -> PackFailure? {
        let result: Result<Void, PackFailure> = await withCheckedContinuation { continuation in
            hashing.async {
                continuation.resume(
                    returning: Result { () throws(PackFailure) in _ = try reader.readPiece(piece) })
            }
        }
        do throws(PackFailure) {
            try result.get()
            return nil
        } catch {
            guard error.code == .damaged else { throw error }
            return error
        }
    }
}
