/// How packs are made. All of it that a reader must know travels in the manifest.
package struct PackSettings: Hashable, Sendable {
    /// Raw bytes of a segment; the last one is shorter. From `PackLimits.minimumSegmentBytes`.
    package var segmentBytes: UInt64 = 64 << 20
    /// zstd's level, `PackLimits.zstdLevels`: 1 keeps packing faster than a build host's network.
    package var zstdLevel: Int32 = 1
    /// Segments compressed at once. Memory is bounded by about (threads + 1) x `segmentBytes`.
    package var compressionThreads: Int = 2
    package var limits = PackLimits()

    package init() {}
}

/// What a pack and its manifest may amount to, whoever wrote them.
package struct PackLimits: Hashable, Sendable {
    package var maximumManifestBytes = 4 << 20
    package var maximumRawBytes: UInt64 = 256 << 30

    package static let minimumSegmentBytes: UInt64 = 1 << 10
    package static let maximumSegmentBytes: UInt64 = 1 << 30
    /// Level 19 needs an 8 MiB window; higher ones would ask more memory of every peer.
    package static let zstdLevels: ClosedRange<Int32> = -100...19
    /// log2 of the largest window a frame may ask a reader to hold: 8 MiB.
    package static let maximumWindowLog: Int32 = 23
    package static let maximumPieceHashesPerLine = 64
    package static let maximumTextBytes = 4096

    package init() {}

    /// The most that one segment's frame may take: zstd's own bound is raw + raw/256 + at most 512 bytes.
    package static func maximumPackedBytes(rawBytes: UInt64) -> UInt64 { rawBytes + rawBytes / 256 + 1024 }

    /// How many segments a raw length is cut into: one, empty, for an empty file.
    package static func segmentCount(rawBytes: UInt64, segmentBytes: UInt64) -> UInt64 {
        max(1, quotientRoundedUp(rawBytes, segmentBytes))
    }
}

/// The unit of transfer and of verification: BEP 52's piece.
package enum PieceLength {
    package static let minimum: UInt64 = 64 << 10
    package static let maximum: UInt64 = 16 << 20
    package static let preferredMaximumPieces: UInt64 = 1024

    /// The smallest power of two from 64 KiB to 16 MiB that gives at most 1,024 pieces of the raw length, which is
    /// known before packing starts.
    package static func forRawLength(_ rawLength: UInt64) -> UInt64 {
        var length = minimum
        while length < maximum, quotientRoundedUp(rawLength, length) > preferredMaximumPieces { length *= 2 }
        return length
    }
}

func quotientRoundedUp(_ dividend: UInt64, _ divisor: UInt64) -> UInt64 {
    dividend / divisor + (dividend.isMultiple(of: divisor) ? 0 : 1)
}
