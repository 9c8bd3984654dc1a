/// Those of some pieces that the fewest sets hold. Counts in 64 pieces at once: bit `k` of every count is one plane.
struct RarestPieces {
    /// How many there are.
    private(set) var count = 0
    /// Meaningful from `firstWord` on.
    private var words: [UInt64]
    private var firstWord = 0

    /// Of what is wanted and one of `holders` has: the pieces that the fewest of `everybody` have. Both are places in
    /// `sources`.
    init(of wanted: PieceSet, at holders: [Int], countedAt everybody: [Int], _ sources: [PickerSource]) {
        words = wanted.words
        var least = UInt32.max
        for index in words.indices {
            var held: UInt64 = 0
            for place in holders { held |= sources[place].have.words[index] }
            var rarest = words[index] & held
            guard rarest != 0 else {
                words[index] = 0
                continue
            }
            let value = Self.narrow(&rarest, index, everybody, sources)
            if value < least { (least, firstWord, count) = (value, index, 0) }
            words[index] = value == least ? rarest : 0
            count += words[index].nonzeroBitCount
        }
    }

    /// Leaves the pieces of one word that the fewest sets hold; how many that is.
    private static func narrow(
        _ pieces: inout UInt64, _ index: Int, _ everybody: [Int], _ sources: [PickerSource]
    ) -> UInt32 {
        var planes = InlineArray<32, UInt64>(repeating: 0)
        var used = 0
        for place in everybody {
            var (carry, plane) = (sources[place].have.words[index], 0)
            while carry != 0 {
                (planes[plane], carry) = (planes[plane] ^ carry, planes[plane] & carry)
                plane += 1
            }
            used = max(used, plane)
        }
        var value: UInt32 = 0
        for plane in (0..<used).reversed() {
            let without = pieces & ~planes[plane]
            if without != 0 { pieces = without } else { value |= 1 << UInt32(plane) }
        }
        return value
    }

    /// The piece at a place among them, ascending. `place` is below `count`.
    func piece(at place: Int) -> Int {
        var left = place
        for index in firstWord..<words.count {
            let held = words[index].nonzeroBitCount
            guard left >= held else { return index * 64 + PieceSet.bit(at: left, of: words[index]) }
            left -= held
        }
        preconditionFailure("place \(place) of \(count)")
    }
}
