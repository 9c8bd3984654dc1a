internal import DequeModule

/// A live region whose store is full.
struct FullStore: Hashable, Sendable {
    var region: RegionName
    /// What must go until it is not.
    var excessBytes: UInt64
    /// Of retired builds whose removal is not reported yet.
    var leavingBytes: UInt64

    var isShort: Bool { excessBytes > leavingBytes }
}

extension GlobalState {
    /// Retirements of one plan: more follow in the next.
    static let maximumRetirements = 100

    /// The retention projector's work. Costs what is due, and what targets and pins keep of the old builds.
    package func planRetention(now: Timestamp) -> Plan<RetentionCommand> {
        var plan = Plan<RetentionCommand>()
        guard log.level >= LogState.retentionLevel else { return plan }
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

    /// The space projector's work: the oldest go first where a store is full; where nothing can go, claims stop. Costs the
    /// regions, and while a store is full what is left.
    package func planSpace(now: Timestamp) -> Plan<RetentionCommand> {
        var plan = Plan<RetentionCommand>()
        guard log.level >= LogState.retentionLevel else { return plan }
        let full = fullStores()
        if !full.isEmpty {
            var chosen: Set<BuildID> = []
            for store in full { plan.effects += hasten(in: store, &chosen, now: now) }
            for store in full where store.isShort {
                plan.effects += retire(in: store, &chosen, atMost: Self.maximumRetirements - plan.effects.count)
            }
        }
        if plan.effects.isEmpty, claimsChange() != nil { plan.effects.append(.settleClaims) }
        return plan
    }

    /// Retired builds whose grace goes on, as many as it takes.
    private func hasten(
        in store: FullStore, _ chosen: inout Set<BuildID>, now: Timestamp
    ) -> [RetentionCommand] {
        var (left, effects) = (Int64(store.excessBytes), [RetentionCommand]())
        for build in retention.leaving where left > 0 && holds(store.region, build) {
            left -= Int64(packedBytes(build))
            guard let retirement = retention.retired[build], retirement.removeAfter > now else { continue }
            if chosen.insert(build).inserted { effects.append(.retire(build, .space)) }
        }
        return effects
    }

    private func retire(
        in store: FullStore, _ chosen: inout Set<BuildID>, atMost most: Int
    ) -> [RetentionCommand] {
        var (left, effects) = (store.excessBytes - store.leavingBytes, [RetentionCommand]())
        for aged in spare where holds(store.region, aged.build) {
            if effects.count >= most { break }
            if chosen.insert(aged.build).inserted { effects.append(.retire(aged.build, .space)) }
            let bytes = packedBytes(aged.build)
            if bytes >= left { break }
            left -= bytes
        }
        return effects
    }

    /// What a full store may do without, the oldest first.
    private var spare: [AgedBuild] {
        let recent = retention.recent.values.flatMap { $0.dropLast() }.sorted()
        return (retention.older + recent).filter { !isHeld($0.build) }
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
    private func packedBytes(_ build: BuildID) -> UInt64 {
        min(queue.builds.look(build) { $0?.pack.packedBytes } ?? 0, StoreLevel.maximumBytes)
    }

    /// Live regions whose store is full, ascending.
    func fullStores() -> [FullStore] {
        let percent = retention.settings.fullPercent
        let full = fleet.regions.compactMap { name, region -> FullStore? in
            guard region.status.isLive, let excess = region.store?.excess(percent: percent), excess > 0 else {
                return nil
            }
            return FullStore(region: name, excessBytes: excess, leavingBytes: 0)
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
        return fullStores().contains { holds($0.region, build) && (isLeaving || $0.isShort) }
    }

    /// Claims stop where a store is full and nothing of it can go or is going; nil where nothing changes.
    func claimsChange() -> RetentionEvent? {
        let stop = fullStores().first { store in
            store.leavingBytes == 0 && !spare.contains { holds(store.region, $0.build) }
        }?.region
        guard stop != retention.claimsStoppedBy else { return nil }
        return stop.map { .claimsStopped($0) } ?? .claimsResumed
    }
}
