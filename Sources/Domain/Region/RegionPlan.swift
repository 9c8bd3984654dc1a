/// What a region's mirror should do.
package enum MirrorEffect: Hashable, Sendable {
    /// A worker uploaded it here: read it back against its manifest.
    case verifyUpload(BuildID, AttemptNumber, app: AppName, manifest: Digest)
    /// Copy it from one of these regions, read it back.
    case mirror(BuildID, AttemptNumber, app: AppName, manifest: Digest, from: [RegionName])
    /// It is stored here and the global log does not say so yet.
    case reportStored(BuildID, AttemptNumber, manifest: Digest)
    /// It is lost here and the global log says that it is stored.
    case reportLost(BuildID)
    /// It is retired: remove what is here of it, after that time of the log.
    case remove(BuildID, app: AppName, after: Timestamp)
    /// It is removed here and the global log says that it is stored.
    case reportRemoved(BuildID)

    package var build: BuildID {
        switch self {
        case .verifyUpload(let build, _, _, _), .mirror(let build, _, _, _, _), .reportStored(let build, _, _),
            .reportLost(let build), .remove(let build, _, _), .reportRemoved(let build):
            build
        }
    }
}

/// One build's pack as the mirror sees it.
package struct MirrorChange: Hashable, Sendable {
    package var build: BuildID
    /// Nil when it is not known any more.
    package var pack: RegionPack?
    /// What should be done; nil for nothing.
    package var effect: MirrorEffect?
}

/// What is new to the mirror.
package struct MirrorChanges: Hashable, Sendable {
    /// What to ask after next time.
    package var count: UInt64
    /// `changes` are all builds there are, whatever was known before.
    package var isWhole: Bool
    /// By build.
    package var changes: [MirrorChange]
}

extension RegionState {
    /// The mirror's work, in build order.
    package func planMirror(here: RegionName) -> [MirrorEffect] {
        mirrorChanges(after: nil, here: here).changes.compactMap(\.effect)
    }

    /// What changed for the mirror since an earlier count; everything at nil. Costs what changed.
    package func mirrorChanges(after earlier: UInt64?, here: RegionName) -> MirrorChanges {
        let changed = earlier.flatMap { packChanges.names(after: $0) }
        let changes = (changed ?? Set(packs.keys)).sorted().map { build in
            let pack = packs[build]
            return MirrorChange(build: build, pack: pack, effect: pack.flatMap { mirrorEffect(build, $0, here: here) })
        }
        return MirrorChanges(count: packChanges.count, isWhole: changed == nil, changes: changes)
    }

    private func mirrorEffect(_ build: BuildID, _ pack: RegionPack, here: RegionName) -> MirrorEffect? {
        if let retirement = pack.retirement { return removal(build, pack, retirement, here: here) }
        switch pack.phase {
        case .stored:
            guard !pack.confirmed.contains(here) else { return nil }
            return .reportStored(build, pack.attempt, manifest: pack.manifest)
        case .lost where pack.confirmed.contains(here): return .reportLost(build)
        case .wanted where pack.sources.contains(here):
            return .verifyUpload(build, pack.attempt, app: pack.app, manifest: pack.manifest)
        case .wanted, .lost, .removed:
            let others = pack.sources.filter { $0 != here && neighbours[$0]?.status == .live }
            guard pack.isSettled, !others.isEmpty else { return nil }
            return .mirror(build, pack.attempt, app: pack.app, manifest: pack.manifest, from: others)
        }
    }
}

extension RegionState {
    /// Whether what is here of a build may go now.
    package func isRemovable(_ build: BuildID, now: Timestamp) -> Bool {
        guard let pack = packs[build], let retirement = pack.retirement else { return false }
        return pack.phase != .stored || retirement.removeAfter <= now
    }

    /// Of a retired build nothing is copied or waited for.
    private func removal(
        _ build: BuildID, _ pack: RegionPack, _ retirement: RegionRetirement, here: RegionName
    ) -> MirrorEffect? {
        switch pack.phase {
        case .stored: .remove(build, app: pack.app, after: retirement.removeAfter)
        case .wanted, .lost: .remove(build, app: pack.app, after: .zero)
        case .removed: pack.confirmed.contains(here) ? .reportRemoved(build) : nil
        }
    }
}

extension GlobalFact {
    /// What a global event means to a region; nil when it does not concern it. `state` is a global
    /// state that holds it, and maybe later events: a job's attempt may be over in it, or its pack gone.
    package static func from(_ event: GlobalEvent, for region: RegionName, state: GlobalState) -> GlobalFact? {
        switch event {
        case .queue(.uploaded(let job, let attempt, let pack)):
            guard pack.region == region, let app = state.queue.jobs[job]?.request.app else { return nil }
            return .packUploaded(job, app, attempt, pack)
        case .queue(.failed(let job, _, _)): return .jobFailed(job)
        case .queue: return nil
        case .replication(.packStored(let build, let attempt, let source, _)):
            let app = state.queue.builds[build]?.app ?? state.queue.jobs[build]?.request.app
            let pack = state.queue.builds[build]?.pack ?? state.queue.jobs[build]?.attempt?.pack
            guard let app, let pack else { return nil }
            return .packStored(build, app, attempt, pack, region: source)
        case .replication(.packLost(let build, let source, _)): return .packLost(build, region: source)
        case .replication(.packRemoved(let build, let source)): return .packLost(build, region: source)
        case .retention(.retired(let build, _, let end)): return .buildRetired(build, removeAfter: end)
        case .retention: return nil
        case .targets(.targetChanged(let target, _, _)): return target.scope.includes(region) ? .target(target) : nil
        case .targets: return nil
        case .fleet(.regionJoined(let name, let endpoint)):
            return .region(name, endpoint: endpoint, state.fleet.regions[name]?.status ?? .live)
        case .fleet(.regionStatusChanged(let name, let status, _)):
            return .region(name, endpoint: state.fleet.regions[name]?.endpoint ?? "", status)
        case .fleet: return nil
        case .log(.settingsChanged(let settings)): return .settings(settings)
        case .log: return nil
        }
    }
}
