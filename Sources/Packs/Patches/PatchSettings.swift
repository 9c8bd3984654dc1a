/// How patches are made.
package struct PatchSettings: Hashable, Sendable {
    package enum Level: String, Hashable, Sendable, CaseIterable {
        /// About as fast as zstd's level 3.
        case fast
        /// Searches densely and compresses with zstd's level 19.
        case thorough
    }

    package var level = Level.fast
    /// Segments worked on at once, as far as `memoryBytes` lets them.
    package var threads = 2
    /// About the most that making a patch may hold in memory. Less means fewer segments at once, then a smaller window.
    package var memoryBytes: UInt64 = 2 << 30
    /// How much of the base a segment may refer to.
    package var windowBytes = PatchLimits.maximumWindowBytes

    package init() {}
}

/// What a patch may ask of whoever applies it.
package enum PatchLimits {
    /// Applying holds, for each segment worked on, at most about this, twice the segment, and the segment's entry.
    package static let maximumWindowBytes = 96 << 20
    package static let minimumWindowBytes = 64 << 10
    /// Files with longer segments get no patch.
    package static let maximumSegmentBytes: UInt64 = 64 << 20
    package static let maximumSegments = 1 << 16
    package static let maximumRanges = 4096
}

/// What a level does.
struct PatchEffort: Sendable {
    /// Every how many bytes of the window a place is remembered.
    var stride: Int
    /// Equal bytes from which a place counts as found.
    var minimumMatch: Int
    /// Places compared for each lookup.
    var candidates: Int
    /// After so many bytes without a match (a power of two, its logarithm), lookups become rarer.
    var patienceLog: Int
    /// Fresh bytes refer to the window when they are at least this part of it, as a power of two.
    var referenceLog: Int
    var zstdLevel: Int32

    init(_ level: PatchSettings.Level) {
        switch level {
        case .fast:
            (stride, minimumMatch, candidates, patienceLog, referenceLog, zstdLevel) = (8, 32, 4, 6, 6, 3)
        case .thorough:
            (stride, minimumMatch, candidates, patienceLog, referenceLog, zstdLevel) = (4, 32, 16, 9, 8, 19)
        }
    }

    /// About the most that one segment takes: itself twice and its window; first the window's index (a link of 4 bytes a
    /// place, and heads rounded up to a power of two), then its streams, their frames and zstd's tables.
    func memoryBytes(segment: UInt64, window: UInt64) -> UInt64 {
        let tables: UInt64 = zstdLevel > 12 ? 192 << 20 : 64 << 20
        let index = window / UInt64(stride) * 12
        return 2 * segment + window + max(index, 4 * segment + min(tables, 8 * segment))
    }
}
