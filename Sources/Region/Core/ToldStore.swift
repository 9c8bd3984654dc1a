package import Domain

/// What the global process was told of this region's store: nearly the same is told again once a minute only.
package struct ToldStore: Hashable, Sendable {
    /// Looks from one word to the next of the same.
    static let repeatLooks = 6

    /// Of the global log that was told; another one may know less.
    private var epoch: Epoch?
    private var store: StoreLevel?
    private var looks = 0

    package init() {}

    /// What to tell; nil for nothing new.
    package mutating func looked(at now: StoreLevel, follows epoch: Epoch?) -> StoreLevel? {
        if epoch != self.epoch { (self.epoch, store) = (epoch, nil) }
        looks += 1
        return looks < Self.repeatLooks && store?.isLike(now) == true ? nil : now
    }

    package mutating func told(_ store: StoreLevel) { (self.store, looks) = (store, 0) }
}

extension RegionState {
    /// What the packs in this store take. Costs the packs.
    package var storedBytes: UInt64 {
        packs.values.reduce(0) { sum, pack in
            pack.phase == .stored
                ? min(sum + min(pack.packedBytes, StoreLevel.maximumBytes), StoreLevel.maximumBytes) : sum
        }
    }
}
