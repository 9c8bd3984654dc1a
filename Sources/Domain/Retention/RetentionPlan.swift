internal import DequeModule

/// A live region whose store is full.
struct FullStore: Hashable, Sendable {
    var region: RegionName
    /// What must go until it is not.
    var excessBytes: UInt64
    /// Of retired builds whose removal is not reported yet.
    var leavingBytes: UInt64
    /// Whether packs are what fills it; to retire some does not help otherwise.
    var isOfPacks: Bool

    var isShort: Bool { isOfPacks && excessBytes > leavingBytes }
}

extension GlobalState {
    /// Retirements of one plan: more follow in the next.
    static let maximumRetirements = 100

    /// The retention projector's work. Costs what is due, and what targets and pins keep of the old builds.
    package func planRetention(now: Timestamp) -> Plan<RetentionCommand> {
        var plan = Plan<RetentionCommand>()
        guard log.level >= LogState.retentionLevel else { return plan }
        if let end = retention.heldUntil, now < end {
            plan.askAgainAt = end
            return plan
        }
        for aged in retention.older where !isHeld(aged.build) {
            let due = ageEnd(aged)
            if due > now || plan.effects.count == Self.maximumRetirements {
                plan.askAgainAt = max(due, now)
                break
            }
            plan.effects.append(.retire(aged.build, .unused))
        }
        return plan
    }

    /// The space projector's work: the oldest go first where a store is full of packs; where not enough can go, claims
    /// stop. Costs the regions, and while a store is full what is left.
    package func planSpace(now: Timestamp) -> Plan<RetentionCommand> {
        var plan = Plan<RetentionCommand>()
        guard log.level >= LogState.retentionLevel else { return plan }
        if let end = retention.heldUntil, now < end {
            plan.askAgainAt = end
            return plan
        }
        let full = fullStores()
        let spare = spare(for: full)
        var chosen: Set<BuildID> = []
        for store in full where store.isOfPacks { hasten(in: store, &chosen, &plan.effects, now: now) }
        for store in full where store.isShort { retire(spare, in: store, &chosen, &plan.effects) }
        if claimsChange(full, spare) != nil { plan.effects.append(.settleClaims) }
        return plan
    }

    /// Retired builds whose grace goes on, as many as it takes.
    private func hasten(
        in store: FullStore, _ chosen: inout Set<BuildID>, _ effects: inout [RetentionCommand], now: Timestamp
    ) {
        var left = store.excessBytes
        for build in retention.leaving where holds(store.region, build) {
            if left == 0 || effects.count >= Self.maximumRetirements { return }
            left -= min(packedBytes(build), left)
            guard let retirement = retention.retired[build], retirement.removeAfter > now else { continue }
            if chosen.insert(build).inserted { effects.append(.retire(build, .space)) }
        }
    }

    private func retire(
        _ spare: [AgedBuild], in store: FullStore, _ chosen: inout Set<BuildID>, _ effects: inout [RetentionCommand]
    ) {
        var left = store.excessBytes - store.leavingBytes
        for aged in spare where holds(store.region, aged.build) {
            if left == 0 || effects.count >= Self.maximumRetirements { return }
            left -= min(packedBytes(aged.build), left)
            if chosen.insert(aged.build).inserted { effects.append(.retire(aged.build, .space)) }
        }
    }

    /// What full stores may do without, the oldest first; nothing where that is not asked.
    private func spare(for full: [FullStore]) -> [AgedBuild] {
        guard full.contains(where: \.isShort) else { return [] }
        let recent = retention.recent.values.flatMap { $0.dropLast() }
        return (Array(retention.older) + recent).filter { !isHeld($0.build) }.sorted()
    }

    /// Whether something keeps it that neither age nor a full store changes.
    private func isHeld(_ build: BuildID) -> Bool {
        guard let app = queue.builds.look(build, { $0?.app }) else { return true }
        return retention.pins[build] != nil || targets.keeps(build, of: app) != nil
    }

    func holds(_ region: RegionName, _ build: BuildID) -> Bool {
        replication.packs.look(build) { $0?.stored.contains(region) == true }
    }

    /// At most what a store can have.
    func packedBytes(_ build: BuildID) -> UInt64 {
        let built = queue.builds.look(build) { $0?.pack.packedBytes }
        // Its job has not succeeded where a region says so in the same moment.
        let bytes = built ?? queue.jobs.look(build) { $0?.attempt?.pack?.packedBytes }
        return min(bytes ?? 0, StoreLevel.maximumBytes)
    }

    /// Live regions whose store is full, ascending.
    func fullStores() -> [FullStore] {
        let percent = retention.settings.fullPercent
        let full = fleet.regions.compactMap { name, region -> FullStore? in
            guard region.status.isLive, let store = region.store else { return nil }
            let excess = store.excess(of: region.packBytes, percent: percent)
            guard excess > 0 else { return nil }
            return FullStore(region: name, excessBytes: excess, leavingBytes: 0, isOfPacks: region.isFullOfPacks)
        }
        return full.sorted { $0.region < $1.region }.map { store in
            var store = store
            for build in retention.leaving where holds(store.region, build) {
                store.leavingBytes = min(store.leavingBytes + packedBytes(build), StoreLevel.maximumBytes)
            }
            return store
        }
    }

    /// Whether a full store that has the build needs its bytes.
    func isWantedForSpace(_ build: BuildID) -> Bool {
        let isLeaving = retention.retired[build] != nil
        return fullStores().contains { holds($0.region, build) && (isLeaving ? $0.isOfPacks : $0.isShort) }
    }

    /// What settles the claims; nil where nothing changes.
    func claimsChange() -> RetentionEvent? {
        let full = fullStores()
        return claimsChange(full, spare(for: full))
    }

    /// Claims stop where more of a store must go than is going or could go.
    private func claimsChange(_ full: [FullStore], _ spare: [AgedBuild]) -> RetentionEvent? {
        let stop = full.first { store in
            if !store.isOfPacks { return true }
            var left = store.excessBytes - min(store.leavingBytes, store.excessBytes)
            for aged in spare where left > 0 && holds(store.region, aged.build) {
                left -= min(packedBytes(aged.build), left)
            }
            return left > 0
        }?.region
        guard stop != retention.claimsStoppedBy else { return nil }
        return stop.map { .claimsStopped($0) } ?? .claimsResumed
    }

    /// Why no worker gets a job, and what to do; nil while they do.
    package var claimsProblem: Refusal? { retention.claimsStoppedBy.map { fleet.storeFull($0) } }
}

extension FleetState {
    /// Claims stop because of this region's store.
    func storeFull(_ name: RegionName) -> Refusal {
        RegionRecord.storeFull(name, isOfPacks: regions[name]?.isFullOfPacks ?? true)
    }
}

extension RegionRecord {
    /// Whether packs are what fills the store, where it is full.
    var isFullOfPacks: Bool { store?.isFilled(by: packBytes) ?? true }

    /// - Parameter isOfPacks: Whether packs are what fills it.
    package static func storeFull(_ name: RegionName, isOfPacks: Bool) -> Refusal {
        let problem =
            isOfPacks
            ? "the store of region \(name) is full, and what could go of it is not enough: "
                + "unpin builds, give it more room, or raise --full-percent"
            : "the disk of region \(name) is full, and packs are the smaller part of it: "
                + "free the disk, give the store one of its own, or raise --full-percent"
        return Refusal(.storeFull, problem)
    }
}
