/// Some pieces of a pack, by index: a bit each.
package struct PieceSet: Hashable, Sendable {
    package let pieceCount: Int
    /// How many pieces are in it.
    package private(set) var count = 0
    /// Bit `index % 64` of word `index / 64`. Invariant: bits from `pieceCount` on are zero.
    private(set) var words: [UInt64]

    package init(pieceCount: Int) {
        precondition(pieceCount >= 0)
        self.pieceCount = pieceCount
        words = [UInt64](repeating: 0, count: (pieceCount + 63) / 64)
    }

    /// Words beyond the pieces are cut off.
    init(pieceCount: Int, words: [UInt64]) {
        precondition(pieceCount >= 0 && words.count == (pieceCount + 63) / 64)
        (self.pieceCount, self.words) = (pieceCount, words)
        if let last = words.indices.last { self.words[last] &= mask(ofWord: last) }
        count = self.words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    package static func all(pieceCount: Int) -> PieceSet {
        PieceSet(pieceCount: pieceCount, words: [UInt64](repeating: .max, count: (pieceCount + 63) / 64))
    }

    package init(pieceCount: Int, pieces: some Sequence<Int>) {
        self.init(pieceCount: pieceCount)
        for piece in pieces { insert(piece) }
    }

    package var isEmpty: Bool { count == 0 }
    package var isComplete: Bool { count == pieceCount }

    package func contains(_ piece: Int) -> Bool {
        piece >= 0 && piece < pieceCount && words[piece / 64] >> UInt64(piece % 64) & 1 == 1
    }

    /// Whether it was not there. A piece the pack does not have is ignored.
    @discardableResult
    package mutating func insert(_ piece: Int) -> Bool {
        guard piece >= 0, piece < pieceCount, !contains(piece) else { return false }
        words[piece / 64] |= 1 << UInt64(piece % 64)
        count += 1
        return true
    }

    /// Whether it was there.
    @discardableResult
    package mutating func remove(_ piece: Int) -> Bool {
        guard contains(piece) else { return false }
        words[piece / 64] &= ~(1 << UInt64(piece % 64))
        count -= 1
        return true
    }

    /// Sets of another size of pack have nothing in common with this one.
    package func union(_ other: PieceSet) -> PieceSet { combined(other) { $0 | $1 } }
    package func intersection(_ other: PieceSet) -> PieceSet { combined(other) { $0 & $1 } }
    package func subtracting(_ other: PieceSet) -> PieceSet { combined(other) { $0 & ~$1 } }
    package mutating func formUnion(_ other: PieceSet) { combine(other) { $0 | $1 } }
    package mutating func formIntersection(_ other: PieceSet) { combine(other) { $0 & $1 } }
    package mutating func subtract(_ other: PieceSet) { combine(other) { $0 & ~$1 } }
    package var complement: PieceSet { PieceSet(pieceCount: pieceCount, words: words.map { ~$0 }) }

    /// Whether they have a piece in common.
    package func meets(_ other: PieceSet) -> Bool {
        precondition(other.pieceCount == pieceCount, "sets of packs of \(pieceCount) and \(other.pieceCount) pieces")
        for index in words.indices where words[index] & other.words[index] != 0 { return true }
        return false
    }

    private func combined(_ other: PieceSet, _ operation: (UInt64, UInt64) -> UInt64) -> PieceSet {
        var combined = self
        combined.combine(other, operation)
        return combined
    }

    private mutating func combine(_ other: PieceSet, _ operation: (UInt64, UInt64) -> UInt64) {
        precondition(other.pieceCount == pieceCount, "sets of packs of \(pieceCount) and \(other.pieceCount) pieces")
        var count = 0
        for index in words.indices {
            words[index] = operation(words[index], other.words[index])
            count += words[index].nonzeroBitCount
        }
        self.count = count
    }

    /// The pieces, ascending.
    package var pieces: [Int] {
        var pieces: [Int] = []
        pieces.reserveCapacity(count)
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                pieces.append(index * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
        return pieces
    }

    /// The piece at a place among the pieces, ascending; nil when there are fewer.
    package func piece(at place: Int) -> Int? {
        var left = place
        for (index, word) in words.enumerated() {
            guard left >= word.nonzeroBitCount else { return index * 64 + Self.bit(at: left, of: word) }
            left -= word.nonzeroBitCount
        }
        return nil
    }

    static func bit(at place: Int, of word: UInt64) -> Int {
        var rest = word
        for _ in 0..<place { rest &= rest - 1 }
        return rest.trailingZeroBitCount
    }

    private func mask(ofWord index: Int) -> UInt64 {
        let bits = pieceCount - index * 64
        return bits >= 64 ? .max : (1 << UInt64(bits)) - 1
    }
}

extension PieceSet {
    /// The wire form: BitTorrent's bitfield (BEP 3). Piece 0 is the high bit of the first byte; spare bits are zero.
    package var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: (pieceCount + 7) / 8)
        for piece in pieces { bytes[piece / 8] |= 0x80 >> UInt8(piece % 8) }
        return bytes
    }

    /// Nil unless the bytes are exactly this many pieces' wire form.
    package init?(bytes: some Collection<UInt8>, pieceCount: Int) {
        guard pieceCount >= 0, bytes.count == (pieceCount + 7) / 8 else { return nil }
        self.init(pieceCount: pieceCount)
        for (index, byte) in bytes.enumerated() {
            for bit in 0..<8 where byte & (0x80 >> UInt8(bit)) != 0 {
                guard index * 8 + bit < pieceCount else { return nil }
                insert(index * 8 + bit)
            }
        }
    }
}
