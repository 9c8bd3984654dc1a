import Domain

/// Regions and workers, as the events tell.
struct FleetChecks {
    private(set) var regions: [RegionName: RegionStatus] = [:]
    private(set) var levels: [RegionName: [AppName: RegionLevel]] = [:]
    private var workers: [WorkerName: (region: RegionName, isDraining: Bool)] = [:]

    func status(_ name: RegionName) -> RegionStatus? { regions[name] }

    /// Ascending.
    func live(_ scope: TargetScope) -> [RegionName] {
        regions.filter { $0.value == .live && scope.includes($0.key) }.keys.sorted()
    }

    func mayClaim(_ name: WorkerName) -> String? {
        guard let worker = workers[name] else { return "worker \(name) has not joined" }
        if worker.isDraining { return "worker \(name) is draining" }
        return regions[worker.region] == .live ? nil : "worker \(name)'s region is not live"
    }

    mutating func take(
        _ event: FleetEvent, _ header: FrameHeader, isSilent: (RegionName) -> Bool
    ) -> (rule: String, detail: String)? {
        switch event {
        case .regionJoined(let name, _):
            let old = regions[name]
            if old == .removed { return ("removed-stays-removed", "region \(name) joins and was removed") }
            regions[name] = old == .suspended ? .suspended : .live
        case .regionStatusChanged(let name, let status, let change):
            defer { regions[name] = status }
            switch (change, status) {
            case (.silence, .silent):
                guard regions[name] == .live else { return ("silence-ends-life", "region \(name) was not live") }
                if !isSilent(name) { return ("silence-is-silence", "region \(name) was heard meanwhile") }
            case (.report, .live):
                guard regions[name] == .silent else {
                    return ("who-suspends-resumes", "region \(name) reports itself live and was not silent")
                }
            case (.request, _): break
            default: return ("region-changes", "region \(name) is \(status.rawValue) by \(change)")
            }
        case .regionLevel(let name, let level):
            let old = levels[name]?[level.app]?.revision ?? .zero
            if level.revision < old { return ("levels-grow", "\(name) reports \(level.revision) after \(old)") }
            if level.healthy + level.failed > level.selected {
                return ("levels-add-up", "\(name): \(level.healthy) and \(level.failed) of \(level.selected)")
            }
            levels[name, default: [:]][level.app] = level
        case .regionStore(let name, _):
            if regions[name] == .removed { return ("removed-stays-removed", "region \(name) reports its store") }
        case .workerJoined(let name, let region):
            workers[name] = (region, workers[name]?.isDraining ?? false)
        case .workerWaiting(let name):
            if let problem = mayClaim(name) { return ("who-may-claim", problem) }
        case .workerDrain(let name, let isDraining): workers[name]?.isDraining = isDraining
        }
        return nil
    }
}
