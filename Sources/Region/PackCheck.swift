import Dispatch
import Packs

/// Compares packs on the disk with their manifests, on threads of its own, away from the event loops.
enum PackCheck {
    private static let hashing = DispatchQueue(label: "drover.region.hashing", attributes: .concurrent)

    /// Every piece and the length. Nil when the pack is whole; what is damaged otherwise. A disk that cannot be read is
    /// thrown: it says nothing about the pack.
    static func damage(at path: String, _ manifest: Manifest) async throws(PackFailure) -> PackFailure? {
        try await judged { () throws(PackFailure) in
            try PackReader(path: path, manifest: manifest).verifyPacked()
        }
    }

    /// The same, piece by piece at no more than a rate.
    static func damage(
        at path: String, _ manifest: Manifest, bytesPerSecond: UInt64
    ) async throws -> PackFailure? {
        let reader = try PackReader(path: path, manifest: manifest)
        for piece in manifest.pieces.indices {
            let damage = try await judged { () throws(PackFailure) in _ = try reader.readPiece(piece) }
            if let damage { return damage }
            let bytes = manifest.pieceRange(piece).map { $0.upperBound - $0.lowerBound } ?? 0
            try await Task.sleep(for: .milliseconds(Int64(bytes * 1000 / max(1, bytesPerSecond))))
        }
        return nil
    }

    private static func judged(
        _ check: @escaping @Sendable () throws(PackFailure) -> Void
    ) async throws(PackFailure) -> PackFailure? {
        let result: Result<Void, PackFailure> = await withCheckedContinuation { continuation in
            hashing.async { continuation.resume(returning: Result { () throws(PackFailure) in try check() }) }
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
