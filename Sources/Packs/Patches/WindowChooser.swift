/// Chooses for a segment which ranges of the base are its window.
///
/// The base's landmarks that are found in the segment vote for the blocks they stand in. Code whose addresses all moved
/// has none, so the blocks along the segment come first: those where it would be if it had moved as far as what is
/// around it.
struct WindowChooser {
    let map: BaseMap
    let baseLength: UInt64
    /// The most bytes of a window.
    let budget: Int

    private static let alongWeight = 1 << 32

    /// Also the place of the base where the segment's first known landmark would put its start; nil when none is known.
    struct Choice {
        var ranges: [Range<UInt64>]
        var start: Int?
    }

    private var block: Int { max(4 << 10, min(1 << 20, budget / 64)) }

    /// `offset`: where the segment begins in the target.
    func choose(_ segment: Span<UInt8>, offset: UInt64) -> Choice {
        let votes = map.find(segment)
        var weights: [Int: Int] = [:]
        for vote in votes { weights[Int(vote.base) / block, default: 0] += 1 }
        let shifts = shifts(votes, segmentLength: segment.count, offset: offset)
        for (part, shift) in shifts {
            // Half a block more on both sides.
            let start = Int(offset) + part * block + shift - block / 2
            let end = min(start + 2 * block, Int(baseLength))
            guard end > max(0, start) else { continue }
            for number in (max(0, start) / block)...((end - 1) / block) { weights[number] = Self.alongWeight }
        }
        return Choice(ranges: ranges(weights), start: votes.first.map { Int($0.base) - $0.here })
    }

    /// For each part of the segment as long as a block, how far it moved: the median of its votes, or what its neighbours
    /// on both sides say.
    private func shifts(
        _ votes: [(here: Int, base: UInt64)], segmentLength: Int, offset: UInt64
    ) -> [(part: Int, shift: Int)] {
        let parts = max(1, (segmentLength + block - 1) / block)
        var own = [[Int]](repeating: [], count: parts)
        for vote in votes { own[(vote.here - 1) / block].append(Int(vote.base) - vote.here - Int(offset)) }
        let medians = own.map { $0.isEmpty ? nil : $0.sorted()[$0.count / 2] }
        var (before, after) = (medians, medians)
        for part in 1..<max(2, parts) where part < parts && before[part] == nil { before[part] = before[part - 1] }
        for part in (0..<max(0, parts - 1)).reversed() where after[part] == nil { after[part] = after[part + 1] }
        return (0..<parts).flatMap { part in
            let said = Set([before[part], after[part]].compactMap { $0 })
            return (said.isEmpty ? [0] : said.sorted()).map { (part, $0) }
        }
    }

    /// The heaviest blocks that the budget has room for, neighbours joined.
    private func ranges(_ weights: [Int: Int]) -> [Range<UInt64>] {
        let heaviest = weights.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(budget / block)
        var ranges: [Range<UInt64>] = []
        for number in heaviest.map(\.key).sorted() {
            let start = UInt64(number * block)
            let end = min(start + UInt64(block), baseLength)
            if let last = ranges.last, last.upperBound == start {
                ranges[ranges.count - 1] = last.lowerBound..<end
            } else {
                ranges.append(start..<end)
            }
        }
        return ranges
    }
}
