extension FleetState {
    /// What a command leads to. Nothing changes here.
    package func decide(_ command: FleetCommand) -> Decision<FleetEvent, Void> {
        switch command {
        case .regionJoin(let name, let endpoint): regionJoin(name, endpoint: endpoint)
        case .regionReport(let name, let levels): regionReport(name, levels)
        case .regionStore(let name, let store): regionStore(name, store)
        case .regionSilent(let name): change(name, to: .silent, from: [.live], .silence)
        case .regionSuspend(let name, let reason):
            change(name, to: .suspended, from: [.live, .silent], .request(reason: reason))
        case .regionResume(let name, let reason):
            change(name, to: .live, from: [.suspended, .silent, .removed], .request(reason: reason))
        case .regionRemove(let name, let reason):
            change(name, to: .removed, from: [.live, .silent, .suspended], .request(reason: reason))
        case .workerJoin(let name, let region): workerJoin(name, region)
        case .workerDrain(let name, let isDraining): workerDrain(name, isDraining)
        }
    }

    private func regionJoin(_ name: RegionName, endpoint: String) -> Decision<FleetEvent, Void> {
        guard endpoint.utf8.count <= Self.maximumEndpointBytes else {
            return .refused(Refusal(.tooLarge, "endpoint is longer than \(Self.maximumEndpointBytes) bytes"))
        }
        guard let region = regions[name] else {
            guard regions.count < Self.maximumRegions else {
                return .refused(Refusal(.limitReached, "there are \(regions.count) regions already"))
            }
            return .accepted([.regionJoined(name, endpoint: endpoint)], ())
        }
        if region.status == .removed { return .refused(Self.removed(name)) }
        let isNews = region.status == .silent || region.endpoint != endpoint
        return .accepted(isNews ? [.regionJoined(name, endpoint: endpoint)] : [], ())
    }

    private func regionReport(_ name: RegionName, _ levels: [RegionLevel]) -> Decision<FleetEvent, Void> {
        guard let region = regions[name] else { return .refused(Self.unknown(name)) }
        if region.status == .removed { return .refused(Self.removed(name)) }
        guard levels.count <= Self.maximumLevels else {
            return .refused(Refusal(.tooLarge, "a report has at most \(Self.maximumLevels) levels: send several"))
        }
        guard levels.allSatisfy({ $0.detail.utf8.count <= RegionLevel.maximumDetailBytes }) else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(RegionLevel.maximumDetailBytes) bytes"))
        }
        var events: [FleetEvent] =
            region.status == .silent ? [.regionStatusChanged(name, .live, .report)] : []
        var known = region.levels
        for level in levels where known[level.app] != level {
            guard level.revision >= known[level.app]?.revision ?? .zero else { continue }
            known[level.app] = level
            events.append(.regionLevel(name, level))
        }
        return .accepted(events, ())
    }

    private func regionStore(_ name: RegionName, _ store: StoreLevel) -> Decision<FleetEvent, Void> {
        guard let region = regions[name] else { return .refused(Self.unknown(name)) }
        if region.status == .removed { return .refused(Self.removed(name)) }
        guard max(store.usedBytes, store.freeBytes, store.sizeBytes) <= StoreLevel.maximumBytes else {
            return .refused(Refusal(.tooLarge, "a store has at most \(StoreLevel.maximumBytes) bytes"))
        }
        return .accepted(region.store?.isLike(store) == true ? [] : [.regionStore(name, store)], ())
    }

    private func change(
        _ name: RegionName, to status: RegionStatus, from: [RegionStatus], _ change: RegionChange
    ) -> Decision<FleetEvent, Void> {
        guard let region = regions[name] else { return .refused(Self.unknown(name)) }
        if case .request(let reason) = change, reason.utf8.count > QueueCommand.maximumReasonBytes {
            return .refused(Refusal(.tooLarge, "reason is longer than \(QueueCommand.maximumReasonBytes) bytes"))
        }
        if region.status == status { return .accepted([], ()) }
        guard from.contains(region.status) else {
            if region.status == .removed { return .refused(Self.removed(name)) }
            return .refused(Refusal(.regionSuspended, "region \(name) is \(region.status.rawValue)"))
        }
        return .accepted([.regionStatusChanged(name, status, change)], ())
    }

    private func workerJoin(_ name: WorkerName, _ region: RegionName) -> Decision<FleetEvent, Void> {
        guard let record = regions[region] else { return .refused(Self.unknown(region)) }
        if record.status == .removed { return .refused(Self.removed(region)) }
        if workers[name]?.region == region { return .accepted([], ()) }
        guard workers[name] != nil || workers.count < Self.maximumWorkers else {
            return .refused(Refusal(.limitReached, "there are \(workers.count) workers already"))
        }
        return .accepted([.workerJoined(name, region: region)], ())
    }

    private func workerDrain(_ name: WorkerName, _ isDraining: Bool) -> Decision<FleetEvent, Void> {
        guard let worker = workers[name] else {
            return .refused(Refusal(.unknownWorker, "there is no worker \(name): `drover workers` lists them"))
        }
        return .accepted(worker.isDraining == isDraining ? [] : [.workerDrain(name, isDraining: isDraining)], ())
    }

    static func removed(_ name: RegionName) -> Refusal {
        Refusal(
            .regionRemoved,
            "region \(name) was removed: only an operator brings it back (POST /v1/regions/\(name)/resume)")
    }

    /// Why a region's workers get no jobs: nobody would confirm what they upload. Nil while it is live.
    func absence(of name: RegionName) -> Refusal? {
        switch regions[name]?.status {
        case .live: nil
        case .removed: Self.removed(name)
        case .silent, .suspended:
            Refusal(.regionSuspended, "region \(name) is not live: its workers get jobs again when it is back")
        case nil: Self.unknown(name)
        }
    }

    static func unknown(_ name: RegionName) -> Refusal {
        Refusal(.unknownRegion, "there is no region \(name): `drover regions` lists them")
    }
}
