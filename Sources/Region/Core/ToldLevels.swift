import Domain

/// What the global process was told of this region's levels, so that only news is told.
struct ToldLevels: Hashable, Sendable {
    /// Levels of one report.
    static let maximumLevels = 200

    /// Of the global log that was told; another one may know less.
    private var epoch: Epoch?
    private var told: [AppName: RegionLevel] = [:]
    /// Not told yet, or changed since.
    private var waiting: [AppName: RegionLevel] = [:]
    /// The count of the state's journal that was seen; nil when everything must be looked at.
    private(set) var seen: UInt64?

    /// A region that follows another epoch tells everything again. To be asked before the state is looked at.
    mutating func follows(_ epoch: Epoch?) {
        guard epoch != self.epoch else { return }
        self = ToldLevels()
        self.epoch = epoch
    }

    mutating func looked(at levels: [RegionLevel], count: UInt64) {
        seen = count
        for level in levels { waiting[level.app] = told[level.app] == level ? nil : level }
    }

    /// What to tell now: nothing, or some.
    var report: [RegionLevel] {
        waiting.keys.sorted().prefix(Self.maximumLevels).compactMap { waiting[$0] }
    }

    var isUpToDate: Bool { waiting.isEmpty }

    mutating func told(_ levels: [RegionLevel]) {
        for level in levels {
            told[level.app] = level
            if waiting[level.app] == level { waiting[level.app] = nil }
        }
    }
}
