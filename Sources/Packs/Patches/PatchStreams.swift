/// What rebuilds a segment beside its window, sorted by kind, so that each compresses by what it is.
///
/// Where a copied byte differs, the segment's next four bytes have a number other than the window's: an address that moved.
/// The difference of the two numbers is the same wherever the same thing moved, so it is what is stored.
struct PatchStreams: Hashable {
    var steps: [PatchStep] = []
    /// How many copied bytes are equal before each difference.
    var gaps: [UInt8] = []
    /// For each difference four bytes, or one where a step has fewer than four copied bytes left.
    var differences: [UInt8] = []
    var fresh: [UInt8] = []

    init() {}

    init(_ segment: Span<UInt8>, _ window: Span<UInt8>, _ steps: [PatchStep]) {
        self.steps = steps
        var (at, gap, gaps) = (0, 0, VarintWriter())
        for step in steps {
            var done = 0
            while done < step.copied {
                let equal = commonLength(segment, at + done, window, step.base + done, limit: step.copied - done)
                done += equal
                gap += equal
                guard done < step.copied else { break }
                gaps.append(gap)
                gap = 0
                done += append(segment, at + done, window, step.base + done, left: step.copied - done)
            }
            at += step.copied
            for byte in at..<(at + step.fresh) { fresh.append(segment[byte]) }
            at += step.fresh
        }
        self.gaps = gaps.bytes
    }

    /// Appends a difference; returns of how many bytes.
    private mutating func append(
        _ segment: Span<UInt8>, _ at: Int, _ window: Span<UInt8>, _ base: Int, left: Int
    ) -> Int {
        guard left >= 4 else {
            differences.append(segment[at] &- window[base])
            return 1
        }
        let difference = segment.halfWord(at) &- window.halfWord(base)
        for shift: UInt32 in [0, 8, 16, 24] { differences.append(UInt8(truncatingIfNeeded: difference >> shift)) }
        return 4
    }

    /// Rebuilds a segment of `length` bytes; nil where the streams do not fit one another, the window or the length.
    func rebuild(_ window: [UInt8], length: Int) -> [UInt8]? {
        var segment: [UInt8] = []
        segment.reserveCapacity(length)
        var (gapReader, read, used) = (VarintReader(gaps), 0, 0)
        // Counted in copied bytes.
        var (done, next) = (0, gapReader.isAtEnd ? Int.max : 0)
        if next == 0 {
            guard let first = gapReader.next() else { return nil }
            next = first
        }
        for step in steps {
            guard step.copied <= length - segment.count, step.base >= 0, step.base <= window.count,
                step.copied <= window.count - step.base
            else { return nil }
            let start = segment.count
            segment += window[step.base..<(step.base + step.copied)]
            while next < done + step.copied {
                let (at, left) = (start + next - done, done + step.copied - next)
                let width = left >= 4 ? 4 : 1
                guard used + width <= differences.count else { return nil }
                add(differences[used..<(used + width)], to: &segment, at: at)
                used += width
                next += width
                guard !gapReader.isAtEnd else {
                    next = .max
                    break
                }
                guard let gap = gapReader.next() else { return nil }
                next += gap
            }
            done += step.copied
            guard step.fresh <= min(length - segment.count, fresh.count - read) else { return nil }
            segment += fresh[read..<(read + step.fresh)]
            read += step.fresh
        }
        let isWhole = segment.count == length && read == fresh.count && used == differences.count && next == .max
        return isWhole ? segment : nil
    }

    private func add(_ difference: ArraySlice<UInt8>, to segment: inout [UInt8], at offset: Int) {
        var carry: UInt16 = 0
        for (index, byte) in difference.enumerated() {
            let sum = UInt16(segment[offset + index]) + UInt16(byte) + carry
            segment[offset + index] = UInt8(truncatingIfNeeded: sum)
            carry = sum >> 8
        }
    }
}
