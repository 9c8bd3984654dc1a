/// Landmarks of a whole base: places that its content itself chooses, so that they are found again wherever it moved.
///
/// Memory: at most about `maximumLandmarks` entries of a dictionary, whatever the base's length.
struct BaseMap: Sendable {
    struct Landmark {
        var hash: UInt64
        /// One past its last byte.
        var end: Int
    }

    static let maximumLandmarks: UInt64 = 1 << 20
    /// A landmark's hash depends on as many bytes.
    static let landmarkBytes = 64

    /// A landmark is where these bits of the rolling hash are zero.
    private let mask: UInt64
    /// By hash: where the first one ends.
    private(set) var ends: [UInt64: UInt64] = [:]

    /// Reads all of the base, in parts; the map does not depend on their length.
    init(
        _ base: OpenFile, length: UInt64, threads: Int, partBytes: Int = 16 << 20, isCancelled: () -> Bool = { false }
    ) throws(PackFailure) {
        var log: UInt64 = 8
        while length >> log > Self.maximumLandmarks { log += 1 }
        let mask: UInt64 = ((1 << log) - 1) << (64 - log)
        self.mask = mask
        var ends: [UInt64: UInt64] = [:]
        try inOrder(count: Int(quotientRoundedUp(length, UInt64(partBytes))), threads: threads) { part in
            Result { () throws(PackFailure) -> (UInt64, [Landmark]) in
                // Begins early enough for the part's first landmark.
                let start = part * partBytes
                let first = max(0, start - Self.landmarkBytes)
                let bytes = try base.read(
                    count: min(start + partBytes, Int(length)) - first, at: UInt64(first))
                return (UInt64(first), Self.landmarks(bytes.span, mask: mask, from: start - first))
            }
        } consume: { result throws(PackFailure) in
            guard !isCancelled() else { throw PackFailure(.cancelled, "making the patch was cancelled") }
            let (first, landmarks) = try result.get()
            for landmark in landmarks where ends[landmark.hash] == nil {
                ends[landmark.hash] = first + UInt64(landmark.end)
            }
        }
        self.ends = ends
    }

    /// Landmarks of these bytes that stand in the base too: where each ends here, and where there.
    func find(_ bytes: Span<UInt8>) -> [(here: Int, base: UInt64)] {
        Self.landmarks(bytes, mask: mask, from: Self.landmarkBytes).compactMap { landmark in
            ends[landmark.hash].map { (landmark.end, $0) }
        }
    }

    private static func landmarks(_ bytes: Span<UInt8>, mask: UInt64, from start: Int) -> [Landmark] {
        let table = gears
        var (landmarks, hash, last): ([Landmark], UInt64, UInt64?) = ([], 0, nil)
        for at in 0..<bytes.count {
            // Each byte is shifted out after 64 others.
            hash = hash << 1 &+ table[Int(bytes[at])]
            guard hash & mask == 0, at >= start else { continue }
            // A run of one byte has the same hash everywhere.
            if hash != last { landmarks.append(Landmark(hash: hash, end: at + 1)) }
            last = hash
        }
        return landmarks
    }

    /// A number without a pattern for each byte, by SplitMix64 (Steele, Lea, Flood 2014). Gear hash: Xia and others,
    /// "Ddelta", 2014.
    private static let gears: [UInt64] = (1...256).map { index in
        var mixed = UInt64(index) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
