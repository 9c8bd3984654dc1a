import Blobs
import Client
import Domain
import Logging
import Packs
import Ports
import Swarm

/// Copies a pack from other regions' mirrors, piece by piece: each verified before it is written, going on where an
/// earlier copy stopped.
struct PackCopier: Sendable {
    /// Pieces asked for before the first of them has come.
    static let piecesAhead = 4

    let logger: Logger

    /// Pieces come in order; the sources take turns, and one that fails or lies is asked no more.
    func copy(
        _ manifest: Manifest, _ pack: PackName, into upload: ResumableUpload, from endpoints: [String]
    ) async throws {
        let first = Int(upload.offset / manifest.pieceLength)
        var sources = endpoints.map {
            Connection(endpoint: $0, actor: .region(RegionName(unchecked: "mirror")), settings: .withoutRetries)
        }
        var next = first
        while next < manifest.pieces.count {
            let group = next..<min(next + Self.piecesAhead, manifest.pieces.count)
            guard let source = sources.first else {
                throw BlobFailure(.notFound, "no region gives the pieces of \(pack) that are missing here")
            }
            do {
                for (piece, bytes) in try await fetch(group, manifest, pack, from: source) {
                    guard let range = manifest.pieceRange(piece) else { continue }
                    try await upload.write(offset: range.lowerBound, bytes)
                }
                next = group.upperBound
                sources.append(sources.removeFirst())
            } catch let failure as BlobFailure where failure.code != .mismatch {
                throw failure
            } catch {
                logger.warning(
                    "a source is dropped", metadata: ["source": "\(source.endpoint)", "failure": "\(error)"])
                sources.removeFirst()
            }
        }
    }

    /// Verified pieces, in order.
    private func fetch(
        _ pieces: Range<Int>, _ manifest: Manifest, _ pack: PackName, from source: Connection
    ) async throws -> [(Int, [UInt8])] {
        try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
            for piece in pieces {
                group.addTask { (piece, try await fetch(piece, manifest, pack, from: source)) }
            }
            var fetched: [(Int, [UInt8])] = []
            for try await piece in group { fetched.append(piece) }
            return fetched.sorted { $0.0 < $1.0 }
        }
    }

    private func fetch(
        _ piece: Int, _ manifest: Manifest, _ pack: PackName, from source: Connection
    ) async throws -> [UInt8] {
        guard let range = manifest.pieceRange(piece), !range.isEmpty else { return [] }
        var call = Call(.get, "/v1/packs/\(pack.app)/\(pack.build)")
        call.headers = [("Range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
        let bytes = [UInt8](try await source.data(call).bytes)
        guard manifest.isPiece(bytes, piece) else {
            throw BlobFailure(.mismatch, "\(source.endpoint) sent a piece that is not what the manifest says")
        }
        return bytes
    }
}
