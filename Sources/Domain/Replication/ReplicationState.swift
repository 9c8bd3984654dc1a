/// How far a build's pack has come, over the live regions.
package enum ReplicationStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// No live region has stored it yet.
    case pending
    /// Some live region still lacks it.
    case partial
    /// Every live region has stored it and read it back.
    case complete
    /// It was stored once, and no region holds it any more: all copies were lost or removed.
    case gone
}

/// Where a build's pack is.
package struct PackReplication: Hashable, Sendable, Codable {
    package var manifest: Digest
    package var attempt: AttemptNumber
    /// Regions that read the pack back, ascending.
    package var stored: [RegionName]
}

package enum ReplicationEvent: Hashable, Sendable {
    /// The region has the whole pack and read it back.
    case packStored(BuildID, AttemptNumber, region: RegionName, manifest: Digest)
    /// The region found its copy missing or damaged.
    case packLost(BuildID, region: RegionName, detail: String)
    /// The region removed its copy of a retired build.
    case packRemoved(BuildID, region: RegionName)
}

package struct ReplicationState: Hashable, Sendable, Codable {
    package internal(set) var packs = IdentifierTable<BuildID, PackReplication>()
    package internal(set) var impossible: UInt64 = 0
    /// Sets of regions that packs had lately: thousands of packs share one.
    private var knownSets: [[RegionName]] = []

    private enum CodingKeys: CodingKey {
        case packs, impossible
    }

    private static let maximumKnownSets = 16

    package init() {}

    /// Takes one fact. Total.
    package mutating func reduce(_ event: ReplicationEvent) {
        switch event {
        case .packStored(let build, let attempt, let region, let manifest):
            store(build, attempt, in: region, manifest: manifest)
        case .packLost(let build, let region, _), .packRemoved(let build, let region):
            let isKnown = packs.change(build) { pack in
                pack?.stored.removeAll { $0 == region }
                return pack != nil
            }
            if !isKnown { impossible += 1 }
        }
    }

    private mutating func store(_ build: BuildID, _ attempt: AttemptNumber, in region: RegionName, manifest: Digest) {
        let known = packs[build]
        guard known?.manifest ?? manifest == manifest else {
            impossible += 1
            return
        }
        let stored = known?.stored ?? []
        if known != nil, stored.contains(region) { return }
        let next = set(of: stored, and: region)
        packs[build] = PackReplication(manifest: manifest, attempt: known?.attempt ?? attempt, stored: next)
    }

    /// The regions with one more, ascending.
    private mutating func set(of regions: [RegionName], and region: RegionName) -> [RegionName] {
        let known = knownSets.first { set in
            set.count == regions.count + 1 && set.contains(region) && regions.allSatisfy { set.contains($0) }
        }
        if let known { return known }
        var set = regions
        set.insert(region, at: set.firstIndex { $0 > region } ?? set.count)
        if knownSets.count == Self.maximumKnownSets { knownSets.removeFirst() }
        knownSets.append(set)
        return set
    }

    /// The status over these regions (the live ones in a scope). A copy in a removed region is none.
    package func status(
        _ build: BuildID, over regions: [RegionName], removed: [RegionName] = []
    ) -> ReplicationStatus {
        guard let pack = packs[build] else { return .pending }
        if pack.stored.allSatisfy(removed.contains) { return .gone }
        let missing = regions.filter { !pack.stored.contains($0) }.count
        if missing == 0, !regions.isEmpty { return .complete }
        return missing == regions.count ? .pending : .partial
    }

    /// The regions of these that lack the build, in their order.
    package func missing(_ build: BuildID, over regions: [RegionName]) -> [RegionName] {
        guard let pack = packs[build] else { return regions }
        return regions.filter { !pack.stored.contains($0) }
    }
}

extension ReplicationState {
    package static func == (left: ReplicationState, right: ReplicationState) -> Bool {
        left.packs == right.packs && left.impossible == right.impossible
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(packs)
        hasher.combine(impossible)
    }
}
