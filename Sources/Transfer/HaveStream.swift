internal import Swarm

/// What somebody has, as it grows: first the whole set's bytes, then four bytes (big-endian) for each piece that comes.
/// Four times 255 are no piece: they say that whoever tells is there.
struct HaveStream {
    /// With nothing new for this long, it says that it is there.
    static let restMilliseconds: Int64 = 10_000
    private static let nothing: [UInt8] = [255, 255, 255, 255]

    private let pieceCount: Int
    private var have: PieceSet?
    private var rest: [UInt8] = []

    init(pieceCount: Int) { self.pieceCount = pieceCount }

    static func bytes(of news: PieceSet) -> [UInt8] {
        guard !news.isEmpty else { return nothing }
        return news.pieces.flatMap { piece in
            (0..<4).map { UInt8(truncatingIfNeeded: piece >> (24 - 8 * $0)) }
        }
    }

    /// Takes what came. What is had now; nil when that is what it was. Fails on bytes that are no such stream.
    mutating func take(_ bytes: some Collection<UInt8>) throws(SourceFailure) -> PieceSet? {
        rest += bytes
        let mapBytes = (pieceCount + 7) / 8
        var isNew = false
        if have == nil {
            guard rest.count >= mapBytes else { return nil }
            guard let map = PieceSet(bytes: rest.prefix(mapBytes), pieceCount: pieceCount) else {
                throw SourceFailure(.unreachable, "that is no map of \(pieceCount) pieces")
            }
            rest.removeFirst(mapBytes)
            (have, isNew) = (map, true)
        }
        let whole = rest.count / 4 * 4
        for start in stride(from: 0, to: whole, by: 4) where !rest[start..<(start + 4)].elementsEqual(Self.nothing) {
            let piece = rest[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
            guard piece < pieceCount else { throw SourceFailure(.unreachable, "there is no piece \(piece)") }
            if have?.insert(piece) == true { isNew = true }
        }
        rest.removeFirst(whole)
        return isNew ? have : nil
    }
}
