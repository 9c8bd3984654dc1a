import Domain
import NIOCore
import NIOHTTP1
import Swarm
import Wire

@testable import Packs
@testable import Transfer

/// What takes bytes from strangers. Each must answer any bytes with a value or a failure: no trap, bounded memory.
enum FuzzTarget: String, CaseIterable {
    /// The manifest of a pack, or a draft of it.
    case manifest
    /// What a neighbour says it has, and what a mirror offers.
    case haves
    /// A request's line and its `Range`.
    case range
    /// Bytes that a client sends to a whole server.
    case requests
    /// What a server answers to the question for a piece.
    case answers
    /// What makes a segment of another file.
    case patch
    /// A trap that must be found: it says that the others are instrumented.
    case control

    static let real = allCases.filter { $0 != .control }

    func take(_ bytes: [UInt8]) {
        switch self {
        case .manifest: Self.manifest(bytes)
        case .haves: Self.haves(bytes)
        case .range: Self.range(bytes)
        case .requests: FuzzedServer.shared.take(bytes)
        case .answers: Self.answers(bytes)
        case .patch: Self.patch(bytes)
        case .control: Self.control(bytes)
        }
    }

    /// One map of 256, and nothing else, leads to it.
    private static func control(_ bytes: [UInt8]) {
        var stream = HaveStream(pieceCount: 8)
        guard let have = try? stream.take(bytes), have.pieces == [1, 3, 4] else { return }
        fatalError("the planted trap")
    }

    private static func require(_ condition: Bool, _ what: String) {
        if !condition { fatalError(what) }
    }

    /// Whoever reads a manifest reads the same bytes.
    private static func manifest(_ bytes: [UInt8]) {
        if let manifest = try? Manifest.decode(bytes) {
            require(bytes.starts(with: manifest.unsignedBytes), "a manifest is not the bytes it was read from")
            require(manifest.pieces.count <= Int(PieceLayout.maximumPieces), "too many pieces")
            _ = (manifest.packName, manifest.totals, RawIdentity(manifest))
        }
        _ = try? PackDraft.decode(bytes)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    /// The first two bytes are the count of pieces, the third how long each portion is.
    private static func haves(_ bytes: [UInt8]) {
        guard bytes.count > 3 else { return }
        let pieceCount = max(1, min(number(bytes[..<2]), Int(PieceLayout.maximumPieces)))
        let portion = Int(bytes[2]) + 1
        var stream = HaveStream(pieceCount: pieceCount)
        var rest = bytes[3...]
        do {
            while !rest.isEmpty {
                if let have = try stream.take(rest.prefix(portion)) {
                    require(have.pieceCount == pieceCount && have.count <= pieceCount, "a set of other pieces")
                    require(have.pieces.allSatisfy { $0 < pieceCount }, "a piece that there is not")
                }
                rest = rest.dropFirst(portion)
            }
        } catch {}
        if let set = PieceSet(bytes: bytes.dropFirst(3), pieceCount: pieceCount) {
            require(set.bytes.elementsEqual(bytes.dropFirst(3)), "a set has two forms")
        }
    }

    /// Lines: the target, the range.
    private static func range(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
        let (uri, range) = (String(decoding: lines[0], as: UTF8.self), lines.count > 1 ? lines[1] : [])
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: uri)
        _ = try? PackRoute.parse(head, PieceServerSettings())
        for total in [0, 1, 16_384, 10_000_000_000, UInt64.max] {
            guard let bytes = ByteRange.parse(String(decoding: range, as: UTF8.self), totalBytes: total) else {
                continue
            }
            require(!bytes.isEmpty && bytes.upperBound <= total, "\(bytes) of \(total) bytes")
        }
        _ = try? PackEndpoint(uri)
    }

    /// The first byte chooses the status, the second how long each portion is; the lengths in the head are right.
    private static func answers(_ bytes: [UInt8]) {
        guard bytes.count > 2, let endpoint = try? PackEndpoint("http://127.0.0.1:9") else { return }
        let statuses: [HTTPResponseStatus] = [.ok, .partialContent, .notFound, .serviceUnavailable, .movedPermanently]
        let head = HTTPResponseHead(
            version: .http1_1, status: statuses[Int(bytes[0]) % statuses.count],
            headers: ["Content-Range": "bytes 100-1123/5000", TransferHeader.version: "\(bytes[1])"])
        var delivered = 0
        let readers: [any AnswerReader] = [
            RangeReader(100..<1124, totalBytes: 5000, endpoint, progress: {}) { result in
                if case .success(let piece) = result { require(piece.count == 1024, "a piece of another length") }
                delivered += 1
            },
            SmallReader(endpoint, maximumBytes: 256) { result in
                if case .success(let answer) = result {
                    require(answer.body.count <= 256, "more than was allowed")
                    _ = try? answer.map(1000, endpoint)
                }
                delivered += 1
            },
            HavesReader(endpoint, pieceCount: 1000, tell: { _ in }) { _ in delivered += 1 },
        ]
        for reader in readers {
            do throws(SourceFailure) {
                try reader.began(head)
                var rest = bytes[2...]
                while !rest.isEmpty {
                    let portion = rest.prefix(Int(bytes[1]) + 1)
                    try reader.came(ByteBuffer(bytes: portion))
                    rest = rest.dropFirst(portion.count)
                }
                reader.ended(nil)
            } catch {
                reader.ended(error)
            }
        }
        require(delivered == readers.count, "an answer without its end")
    }

    /// The first two bytes are the segment's length; the base is as long, and counts.
    private static func patch(_ bytes: [UInt8]) {
        guard bytes.count > 2 else { return }
        let length = number(bytes[..<2])
        let base = (0..<max(1, length)).map { UInt8(truncatingIfNeeded: $0) }
        do throws(PackFailure) {
            let entry = try EncodedPatchEntry(Array(bytes[2...]), length: length, baseLength: UInt64(base.count))
            require(entry.windowLength <= base.count, "a window beyond the base")
            let window = entry.ranges.flatMap { base[Int($0.lowerBound)..<Int($0.upperBound)] }
            let segment = try entry.rebuild(window: window)
            require(segment.count == length, "a segment of another length")
        } catch {}
    }
}
