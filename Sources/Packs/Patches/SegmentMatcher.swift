/// A part of a segment: bytes that are nearly those at a place of the window, then fresh ones.
struct PatchStep: Hashable {
    /// In the window.
    var base: Int
    var copied: Int
    var fresh: Int
}

/// Lays a segment along its window: steps that together have the segment's length.
///
/// The idea is that of Percival, "Naive differences of executable code" (2003): what moved still agrees in most bytes, so
/// a place goes on being followed through bytes that differ, until another one agrees better; between two places each
/// gets the bytes that it explains. Places are found by a hash of the window (`WindowIndex`) instead of a suffix array.
struct SegmentMatcher {
    private let index: WindowIndex
    private let effort: PatchEffort
    private var steps: [PatchStep] = []
    /// From where on the segment is not laid yet, and the place in the window that is followed from there.
    private var (laid, followed) = (0, 0)
    /// Where the segment is looked at.
    private var position = 0
    private var misses = 0

    /// Most bytes that are compared to rank a candidate, and that a new place takes from the one before it.
    private static let comparedBytes = 4096
    private static let takenBackBytes = 16 << 10
    /// Fewer equal bytes are no reason to leave the place that is followed.
    private static let advantage = 8

    static func steps(_ segment: Span<UInt8>, _ window: Span<UInt8>, effort: PatchEffort) -> [PatchStep] {
        var matcher = SegmentMatcher(index: WindowIndex(window, effort: effort), effort: effort)
        matcher.run(segment, window)
        return matcher.steps
    }

    private init(index: WindowIndex, effort: PatchEffort) { (self.index, self.effort) = (index, effort) }

    private mutating func run(_ segment: Span<UInt8>, _ window: Span<UInt8>) {
        while position < segment.count {
            let shift = followed - laid
            if (0..<window.count).contains(position + shift) {
                let common = commonLength(segment, position, window, position + shift)
                if common >= Self.advantage {
                    position += common
                    misses = 0
                    continue
                }
            }
            guard position + index.seedLength <= segment.count else { break }
            let (found, length) = best(segment, window, shift)
            guard length >= index.seedLength else {
                misses += 1
                position += min(64, 1 + misses >> effort.patienceLog)
                continue
            }
            let equal = equalBytes(segment, window, shift, count: length)
            if length > equal + Self.advantage {
                turn(to: found, segment, window)
            } else {
                position += max(1, length - 2 * Self.advantage)
            }
        }
        let copied = forward(segment, window, upTo: segment.count)
        steps.append(PatchStep(base: followed, copied: copied, fresh: segment.count - laid - copied))
    }

    /// The candidate with the most equal bytes; of two alike the one nearer to where the present place leads.
    private func best(_ segment: Span<UInt8>, _ window: Span<UInt8>, _ shift: Int) -> (found: Int, length: Int) {
        var (found, length, left) = (0, 0, effort.candidates)
        var candidate = index.first(segment, at: position)
        while let (place, start) = candidate, left > 0 {
            let common = commonLength(segment, position, window, start, limit: Self.comparedBytes)
            let isNearer = abs(start - position - shift) < abs(found - position - shift)
            if common > length || (common == length && isNearer) { (found, length) = (start, common) }
            candidate = index.next(after: place)
            left -= 1
        }
        return (found, length)
    }

    /// How many of the next bytes agree with the place that is followed.
    private func equalBytes(_ segment: Span<UInt8>, _ window: Span<UInt8>, _ shift: Int, count: Int) -> Int {
        let start = max(position, -shift)
        let end = min(position + count, window.count - shift)
        var equal = 0
        var at = start
        while at < end {
            if segment[at] == window[at + shift] { equal += 1 }
            at += 1
        }
        return equal
    }

    /// Leaves the place that is followed for `found`, which equals the segment at `position`.
    private mutating func turn(to found: Int, _ segment: Span<UInt8>, _ window: Span<UInt8>) {
        var copied = forward(segment, window, upTo: position)
        var taken = backward(segment, window, from: found)
        let overlap = laid + copied - (position - taken)
        if overlap > 0 {
            let kept = keptOfOverlap(overlap, copied, taken, found, segment, window)
            copied -= overlap - kept
            taken -= kept
        }
        steps.append(PatchStep(base: followed, copied: copied, fresh: position - taken - laid - copied))
        (laid, followed) = (position - taken, found - taken)
        position += commonLength(segment, position, window, found)
        misses = 0
    }

    /// How far the place that is followed explains the segment: until as far as it has most more equal bytes than others.
    private func forward(_ segment: Span<UInt8>, _ window: Span<UInt8>, upTo end: Int) -> Int {
        let limit = min(end - laid, window.count - followed)
        var (score, most, length, at) = (0, 0, 0, 0)
        while at < limit {
            if at + 8 <= limit, segment.word(laid + at) == window.word(followed + at) {
                score += 8
                at += 8
            } else {
                score += segment[laid + at] == window[followed + at] ? 1 : -1
                at += 1
            }
            if score > most { (most, length) = (score, at) }
        }
        return length
    }

    /// The same backward from `position` for a new place.
    private func backward(_ segment: Span<UInt8>, _ window: Span<UInt8>, from found: Int) -> Int {
        let limit = min(position - laid, found, Self.takenBackBytes)
        var (score, most, length, at) = (0, 0, 0, 1)
        while at <= limit, score > most - 256 {
            score += segment[position - at] == window[found - at] ? 1 : -1
            if score > most { (most, length) = (score, at) }
            at += 1
        }
        return length
    }

    /// How many bytes at the start of an overlap the old place explains better than the new one.
    private func keptOfOverlap(
        _ overlap: Int, _ copied: Int, _ taken: Int, _ found: Int, _ segment: Span<UInt8>, _ window: Span<UInt8>
    ) -> Int {
        let (start, old, new) = (position - taken, followed + copied - overlap, found - taken)
        var (score, most, kept, at) = (0, 0, 0, 0)
        while at < overlap {
            let byte = segment[start + at]
            if byte == window[old + at] { score += 1 }
            if byte == window[new + at] { score -= 1 }
            at += 1
            if score > most { (most, kept) = (score, at) }
        }
        return kept
    }
}
