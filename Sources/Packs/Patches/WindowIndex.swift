/// Where in a window the bytes of a segment may be found: places at a fixed stride, by a hash of the bytes there.
///
/// Memory: 4 bytes a place, and between 4 and 8 for the heads.
struct WindowIndex {
    let stride: Int
    /// How many bytes are hashed: a multiple of 8. Shorter matches are not found.
    let seedLength: Int
    /// By hash: the last place that has it, counted from 1; 0 where there is none.
    private var heads: [UInt32]
    /// By place, counted from 1: the one before with the same hash.
    private var links: [UInt32]
    private let shift: UInt64

    init(_ window: Span<UInt8>, effort: PatchEffort) {
        (stride, seedLength) = (effort.stride, effort.minimumMatch)
        let places = window.count < seedLength ? 0 : (window.count - seedLength) / stride + 1
        var bits: UInt64 = 8
        while 1 << bits < places { bits += 1 }
        shift = 64 - bits
        heads = [UInt32](repeating: 0, count: 1 << Int(bits))
        links = [UInt32](repeating: 0, count: places + 1)
        fill(window, places)
    }

    private mutating func fill(_ window: Span<UInt8>, _ places: Int) {
        var last: UInt64?
        for place in 0..<places {
            let word = window.word(place * stride)
            // In a run of one byte the first places stand for all.
            defer { last = word }
            guard word != last else { continue }
            let hash = hash(window, at: place * stride)
            links[place + 1] = heads[hash]
            heads[hash] = UInt32(place + 1)
        }
    }

    @inline(__always)
    private func hash(_ bytes: Span<UInt8>, at offset: Int) -> Int {
        var mixed: UInt64 = 0
        for start in Swift.stride(from: 0, to: seedLength, by: 8) {
            mixed = (mixed ^ bytes.word(offset + start)) &* 0x9e37_79b9_7f4a_7c15
            mixed ^= mixed >> 29
        }
        return Int(truncatingIfNeeded: (mixed &* 0x94d0_49bb_1331_11eb) >> shift)
    }

    /// The last place that may hold the `seedLength` bytes at `offset`; nil where there is none.
    @inline(__always)
    func first(_ bytes: Span<UInt8>, at offset: Int) -> (place: Int, position: Int)? {
        position(of: heads[hash(bytes, at: offset)])
    }

    /// The next one.
    @inline(__always)
    func next(after place: Int) -> (place: Int, position: Int)? { position(of: links[place]) }

    @inline(__always)
    private func position(of place: UInt32) -> (place: Int, position: Int)? {
        place == 0 ? nil : (Int(place), (Int(place) - 1) * stride)
    }
}
