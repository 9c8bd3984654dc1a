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
    /// A piece that takes longer makes its source wait until the others had a turn.
    static let pieceMilliseconds: Int64 = 60_000
    /// Slow answers after which a source is asked no more.
    static let maximumSlow = 3

    private struct Source {
        var connection: Connection
        var slow = 0
    }

    /// Shared by all copies.
    let memory: ByteBudget
    var pieceMilliseconds = Self.pieceMilliseconds
    let logger: Logger

    /// Pieces come in order; the sources take turns, and one that fails, lies or is slow again and again is asked no
    /// more.
    func copy(
        _ manifest: Manifest, _ pack: PackName, into upload: ResumableUpload, from endpoints: [String]
    ) async throws {
        var sources = endpoints.map {
            Source(
                connection: Connection(
                    endpoint: $0, actor: .region(RegionName(unchecked: "mirror")), settings: .withoutRetries))
        }
        var next = Int(upload.offset / manifest.pieceLength)
        while next < manifest.pieces.count {
            guard !sources.isEmpty else {
                throw BlobFailure(.notFound, "no region gives the pieces of \(pack) that are missing here")
            }
            let group = next..<min(next + Self.piecesAhead, manifest.pieces.count)
            var source = sources.removeFirst()
            do {
                try await copy(group, manifest, pack, into: upload, from: source.connection)
                next = group.upperBound
                sources.append(source)
            } catch let failure as BlobFailure where failure.code != .mismatch {
                throw failure
            } catch let failure as SlowSource {
                source.slow += 1
                logger.info("a source is slow", metadata: ["source": "\(failure.endpoint)"])
                if source.slow < Self.maximumSlow { sources.append(source) }
            } catch {
                try Task.checkCancellation()
                logger.warning(
                    "a source is dropped",
                    metadata: ["source": "\(source.connection.endpoint)", "failure": "\(error)"])
            }
        }
    }

    private func copy(
        _ pieces: Range<Int>, _ manifest: Manifest, _ pack: PackName, into upload: ResumableUpload,
        from source: Connection
    ) async throws {
        let bytes = UInt64(pieces.count) * manifest.pieceLength
        try await memory.with(bytes) {
            for (piece, bytes) in try await fetch(pieces, manifest, pack, from: source) {
                guard let range = manifest.pieceRange(piece) else { continue }
                try await upload.write(offset: range.lowerBound, bytes)
            }
        }
    }

    /// Verified pieces, in order.
    private func fetch(
        _ pieces: Range<Int>, _ manifest: Manifest, _ pack: PackName, from source: Connection
    ) async throws -> [(Int, [UInt8])] {
        try await withThrowingTaskGroup(of: (Int, [UInt8])?.self) { group in
            for piece in pieces {
                group.addTask { (piece, try await fetch(piece, manifest, pack, from: source)) }
            }
            group.addTask {
                try await Task.sleep(for: .milliseconds(pieceMilliseconds))
                return nil
            }
            var fetched: [(Int, [UInt8])] = []
            while fetched.count < pieces.count, let piece = try await group.next() {
                guard let piece else { throw SlowSource(endpoint: source.endpoint) }
                fetched.append(piece)
            }
            group.cancelAll()
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

private struct SlowSource: Error {
    var endpoint: String
}
