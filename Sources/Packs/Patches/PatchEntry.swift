internal import Domain

/// What rebuilds one segment: ranges of the base, which one behind the other are its window, and streams.
struct PatchEntry {
    /// Ascending, apart from one another, none empty.
    var ranges: [Range<UInt64>]
    var streams: PatchStreams
    /// Whether fresh bytes are compressed with the window as reference.
    var refersToWindow = false

    /// No entry of a segment of so many bytes is longer.
    static func maximumBytes(segment: Int) -> Int { 4 * segment + (1 << 20) }

    /// The segment is a range of the base.
    init(copyOf range: Range<UInt64>) {
        ranges = range.isEmpty ? [] : [range]
        streams = PatchStreams()
        streams.steps = [PatchStep(base: 0, copied: Int(range.upperBound - range.lowerBound), fresh: 0)]
    }

    init(_ segment: [UInt8], window: [UInt8], ranges: [Range<UInt64>], effort: PatchEffort) {
        self.ranges = ranges
        let steps = SegmentMatcher.steps(segment.span, window.span, effort: effort)
        streams = PatchStreams(segment.span, window.span, steps)
        // Few fresh bytes are not worth the reading of a large window.
        refersToWindow = !window.isEmpty && streams.fresh.count >= window.count >> effort.referenceLog
    }
}

extension PatchEntry {
    /// The bytes: numbers, then one zstd frame for each stream that is not empty.
    func encoded(window: [UInt8], level: Int32) throws(PackFailure) -> [UInt8] {
        let parts = [control, streams.gaps, streams.differences, streams.fresh]
        var head = VarintWriter()
        head.append(ranges.count)
        var end: UInt64 = 0
        for range in ranges {
            head.append(Int(range.lowerBound - end))
            head.append(Int(range.upperBound - range.lowerBound))
            end = range.upperBound
        }
        head.append(streams.steps.count)
        head.append(refersToWindow ? 1 : 0)
        var frames: [UInt8] = []
        for (index, part) in parts.enumerated() {
            let isFresh = index == parts.count - 1
            let frame =
                part.isEmpty
                ? [] : try Zstandard.compress(part, reference: isFresh && refersToWindow ? window : [], level: level)
            head.append(part.count)
            head.append(frame.count)
            frames += frame
        }
        return head.bytes + frames
    }

    /// All copied lengths, then all fresh ones, then how far each step's place is from the end of the one before.
    private var control: [UInt8] {
        var (writer, end) = (VarintWriter(), 0)
        for step in streams.steps { writer.append(step.copied) }
        for step in streams.steps { writer.append(step.fresh) }
        for step in streams.steps {
            writer.append(signed: step.base - end)
            end = step.base + step.copied
        }
        return writer.bytes
    }
}

/// An entry as it was read: its numbers are checked, its frames are not opened.
struct EncodedPatchEntry {
    private(set) var ranges: [Range<UInt64>] = []
    private(set) var stepCount = 0
    private var refersToWindow = false
    private var parts: [(length: Int, frame: Range<Int>)] = []
    private let bytes: [UInt8]
    private let length: Int

    var freshLength: Int { parts[3].length }
    var windowLength: Int { ranges.reduce(0) { $0 + Int($1.upperBound - $1.lowerBound) } }

    /// Reads the entry of a segment of `length` bytes. Any bytes give an entry within the limits, or a failure.
    init(_ bytes: [UInt8], length: Int, baseLength: UInt64) throws(PackFailure) {
        (self.bytes, self.length) = (bytes, length)
        var reader = VarintReader(bytes)
        try readRanges(&reader, baseLength)
        guard let steps = reader.next(), let reference = reader.next(), reference <= 1 else {
            throw Self.damaged("ends early")
        }
        (stepCount, refersToWindow) = (steps, reference == 1)
        var lengths: [(part: Int, frame: Int)] = []
        // Control, gaps, differences, fresh bytes.
        for limit in [length + 64, 2 * length, length, length] {
            guard let part = reader.next(), let frame = reader.next(), part <= limit, frame <= bytes.count,
                (part == 0) == (frame == 0)
            else { throw Self.damaged("has a stream of an impossible length") }
            lengths.append((part, frame))
        }
        var start = reader.position
        for (part, frame) in lengths {
            guard frame <= bytes.count - start else { throw Self.damaged("ends early") }
            parts.append((part, start..<(start + frame)))
            start += frame
        }
        guard start == bytes.count else { throw Self.damaged("goes on after its end") }
        // Three numbers a step, each of a byte at least.
        guard stepCount <= parts[0].length / 3, stepCount <= length / 16 + 2 else {
            throw Self.damaged("has too many steps")
        }
    }

    private mutating func readRanges(_ reader: inout VarintReader, _ baseLength: UInt64) throws(PackFailure) {
        guard let count = reader.next(), count <= PatchLimits.maximumRanges else {
            throw Self.damaged("has too many ranges")
        }
        var (end, total): (UInt64, Int) = (0, 0)
        for _ in 0..<count {
            guard let gap = reader.next(), let size = reader.next(), size > 0,
                UInt64(gap) <= baseLength - end, UInt64(size) <= baseLength - end - UInt64(gap),
                size <= PatchLimits.maximumWindowBytes - total
            else { throw Self.damaged("names a range that is not in the base, or too long a window") }
            let start = end + UInt64(gap)
            end = start + UInt64(size)
            total += size
            ranges.append(start..<end)
        }
    }

    /// Memory: the window, twice the segment, and what is left of the segment's other streams.
    func rebuild(window: [UInt8]) throws(PackFailure) -> [UInt8] {
        var streams = PatchStreams()
        streams.steps = try steps(part(0, reference: []))
        streams.gaps = try part(1, reference: [])
        streams.differences = try part(2, reference: [])
        streams.fresh = try part(3, reference: refersToWindow ? window : [])
        guard let segment = streams.rebuild(window, length: length) else {
            throw Self.damaged("does not give a whole segment")
        }
        return segment
    }

    private func part(_ index: Int, reference: [UInt8]) throws(PackFailure) -> [UInt8] {
        guard parts[index].length > 0 else { return [] }
        let frame = Array(bytes[parts[index].frame])
        guard let part = try Zstandard.decompress(frame, length: parts[index].length, reference: reference) else {
            throw Self.damaged("does not decompress")
        }
        return part
    }

    private func steps(_ control: [UInt8]) throws(PackFailure) -> [PatchStep] {
        var reader = VarintReader(control)
        var steps = [PatchStep](repeating: PatchStep(base: 0, copied: 0, fresh: 0), count: stepCount)
        func next() throws(PackFailure) -> Int {
            guard let number = reader.next() else { throw Self.damaged("has steps without their lengths") }
            return number
        }
        for index in steps.indices { steps[index].copied = try next() }
        for index in steps.indices { steps[index].fresh = try next() }
        var end = 0
        for index in steps.indices {
            guard let distance = reader.nextSigned() else { throw Self.damaged("has steps without their places") }
            let (base, isTooFar) = end.addingReportingOverflow(distance)
            guard !isTooFar, (0...PatchLimits.maximumWindowBytes).contains(base), steps[index].copied <= length else {
                throw Self.damaged("has a step beyond its window")
            }
            steps[index].base = base
            end = base + steps[index].copied
        }
        guard reader.isAtEnd else { throw Self.damaged("has lengths without steps") }
        return steps
    }

    private static func damaged(_ what: String) -> PackFailure {
        PackFailure(.damaged, "an entry of the patch \(what); fetch the whole pack")
    }
}
