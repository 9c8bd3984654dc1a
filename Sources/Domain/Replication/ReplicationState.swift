/// How far a build's pack has come, over the live regions.
package enum ReplicationStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// No live region has stored it yet.
    case pending
    /// Some live region still lacks it.
    case partial
    /// Every live region has stored it and read it back.
    case complete
    /// It was stored once, and no region holds it any more.
    case gone
}

/// Where a build's pack is.
package struct PackReplication: Hashable, Sendable, Codable {
    package var manifest: Digest
    package var attempt: AttemptNumber
    /// Regions that read the pack back, ascending.
    package var stored: [RegionName]

    /// Whether the region's copy is of this pack; then it is noted.
    fileprivate mutating func store(in region: RegionName, manifest: Digest) -> Bool {
        guard self.manifest == manifest else { return false }
        if !stored.contains(region) { stored.insert(region, at: stored.firstIndex { $0 > region } ?? stored.count) }
        return true
    }
}

package enum ReplicationEvent: Hashable, Sendable {
    /// The region has the whole pack and read it back.
    case packStored(BuildID, AttemptNumber, region: RegionName, manifest: Digest)
    /// The region found its copy missing or damaged.
    case packLost(BuildID, region: RegionName, detail: String)
}

package struct ReplicationState: Hashable, Sendable, Codable {
    package internal(set) var packs: [BuildID: PackReplication] = [:]
    package internal(set) var impossible: UInt64 = 0

    package init() {}

    /// Takes one fact. Total.
    package mutating func reduce(_ event: ReplicationEvent) {
        switch event {
        case .packStored(let build, let attempt, let region, let manifest):
            let first = PackReplication(manifest: manifest, attempt: attempt, stored: [])
            if !packs[build, default: first].store(in: region, manifest: manifest) { impossible += 1 }
        case .packLost(let build, let region, _):
            guard packs[build] != nil else {
                impossible += 1
                return
            }
            packs[build]?.stored.removeAll { $0 == region }
        }
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
