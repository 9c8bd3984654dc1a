package import Domain

/// What the global process was told of this region's store, so that only another percent is told.
package struct ToldStore: Hashable, Sendable {
    /// Of the global log that was told; another one may know less.
    private var epoch: Epoch?
    private var percent: UInt32?

    package init() {}

    /// What to tell; nil for nothing new.
    package mutating func looked(at store: StoreLevel, follows epoch: Epoch?) -> StoreLevel? {
        if epoch != self.epoch { (self.epoch, percent) = (epoch, nil) }
        return store.percent == percent ? nil : store
    }

    package mutating func told(_ store: StoreLevel) { percent = store.percent }
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
