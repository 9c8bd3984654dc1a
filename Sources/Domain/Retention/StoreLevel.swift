/// What a region says of its store.
package struct StoreLevel: Hashable, Sendable, Codable {
    /// What its packs take.
    package var usedBytes: UInt64
    /// What is left for more.
    package var freeBytes: UInt64
    /// What they may take at most: what the region's operator set, or the whole disk; 0 where a region does not say.
    package var sizeBytes: UInt64

    /// More than any store has, and few enough to count with.
    package static let maximumBytes: UInt64 = 1 << 56

    package init(usedBytes: UInt64, freeBytes: UInt64, sizeBytes: UInt64 = 0) {
        (self.usedBytes, self.freeBytes, self.sizeBytes) = (usedBytes, freeBytes, sizeBytes)
    }

    private var used: UInt64 { min(usedBytes, Self.maximumBytes) }

    /// What packs could take now: less than `sizeBytes` where others fill the disk, less than they take where the size
    /// was set below that.
    package var capacityBytes: UInt64 {
        let room = used + min(freeBytes, Self.maximumBytes)
        return sizeBytes == 0 ? room : min(room, sizeBytes)
    }

    /// Whole percents, rounded down, above 100 where packs take more than they may; 0 for a store without any bytes.
    package var percent: UInt32 {
        guard capacityBytes > 0 else { return sizeBytes > 0 ? 100 : 0 }
        return UInt32(clamping: used * 100 / capacityBytes)
    }

    /// What must be removed of so many bytes of packs until the store is less full than so many percent; 0 where it is.
    package func excess(of used: UInt64, percent: UInt32) -> UInt64 {
        let (capacity, used) = (capacityBytes, min(used, Self.maximumBytes))
        let limit = capacity / 100 * UInt64(percent) + capacity % 100 * UInt64(percent) / 100
        return (capacity > 0 || sizeBytes > 0) && used >= limit ? used - limit + 1 : 0
    }

    /// Whether packs are the larger part of what is full, so that it helps to remove some.
    package func isFilled(by used: UInt64) -> Bool { min(used, Self.maximumBytes) >= sizeBytes / 2 }

    /// Whether nobody needs to know the difference: the same percent of nearly the same capacity.
    package func isLike(_ other: StoreLevel) -> Bool {
        let (less, more) = (min(capacityBytes, other.capacityBytes), max(capacityBytes, other.capacityBytes))
        return percent == other.percent && sizeBytes == other.sizeBytes && more - less <= more / 100
    }
}
