import Domain

extension GlobalViews {
    private static let regions = VersionedTable(
        "region_versions", keys: ["name"], values: ["status", "endpoint", "change", "reason", "time"])
    private static let levels = VersionedTable(
        "region_level_versions", keys: ["region", "app"],
        values: ["epoch", "number", "selected", "healthy", "failed", "silent", "detail", "time"])
    private static let workers = VersionedTable(
        "worker_versions", keys: ["name"], values: ["region", "waiting_since", "draining", "job"])

    static func fleetSQL(_ change: Change) -> String {
        switch change {
        case .insertRegion: regions.insert(["status": "'live'", "change": "'joined'", "reason": "''"])
        case .rejoinRegion:
            regions.change([
                "status": "CASE WHEN status IN ('removed', 'silent') THEN 'live' ELSE status END",
                "endpoint": "?3", "change": "'joined'", "reason": "''", "time": "?4",
            ])
        case .changeRegion: regions.change(["status": "?3", "change": "?4", "reason": "?5", "time": "?6"])
        case .closeRegion: regions.close
        case .insertLevel:
            levels.insert(
                where: "EXISTS (SELECT 1 FROM region_versions WHERE name = ?2 AND to_sequence IS NULL) "
                    + "AND NOT EXISTS (SELECT 1 FROM region_level_versions WHERE \(levels.keyCondition) "
                    + "AND to_sequence IS NULL AND (epoch, number) > (?4, ?5))")
        case .closeLevel: levels.close
        case .insertWorker: workers.insert(["waiting_since": "NULL", "draining": "0", "job": "NULL"])
        case .moveWorker: workers.change(["region": "?3"])
        case .waitWorker: workers.change(["waiting_since": "?3", "job": "NULL"])
        case .drainWorker:
            workers.change(["draining": "?3", "waiting_since": "CASE WHEN ?3 THEN NULL ELSE waiting_since END"])
        case .assignWorker: workers.change(["waiting_since": "NULL", "job": "?3"])
        case .closeWorker: workers.close
        default: preconditionFailure("\(change) is not the fleet's")
        }
    }

    static func write(
        _ event: FleetEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, header.time.milliseconds)
        switch event {
        case .regionJoined(let name, let endpoint):
            rows[.rejoinRegion].add(sequence).add(name.rawValue).add(endpoint).add(time)
            guard try !run(.rejoinRegion, closing: .closeRegion, name.rawValue, sequence, rows) else { return }
            try rows[.insertRegion].add(sequence).add(name.rawValue).add(endpoint).add(time).run()
        case .regionStatusChanged(let name, let status, let change):
            let (kind, reason) = words(change)
            rows[.changeRegion].add(sequence).add(name.rawValue).add(status.rawValue).add(kind).add(reason).add(time)
            try run(.changeRegion, closing: .closeRegion, name.rawValue, sequence, rows)
        case .regionLevel(let name, let level): try reported(name, level, header, rows)
        case .workerJoined(let name, let region):
            rows[.moveWorker].add(sequence).add(name.rawValue).add(region.rawValue)
            guard try !run(.moveWorker, closing: .closeWorker, name.rawValue, sequence, rows) else { return }
            try rows[.insertWorker].add(sequence).add(name.rawValue).add(region.rawValue).run()
        case .workerWaiting(let name):
            rows[.waitWorker].add(sequence).add(name.rawValue).add(time)
            try run(.waitWorker, closing: .closeWorker, name.rawValue, sequence, rows)
        case .workerDrain(let name, let isDraining):
            rows[.drainWorker].add(sequence).add(name.rawValue).add(isDraining)
            try run(.drainWorker, closing: .closeWorker, name.rawValue, sequence, rows)
        }
    }

    private static func reported(
        _ region: RegionName, _ level: RegionLevel, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        let insert = rows[.insertLevel].add(sequence).add(region.rawValue).add(level.app.rawValue)
        insert.add(level.revision.epoch.rawValue).add(level.revision.number).add(UInt64(level.selected))
        insert.add(UInt64(level.healthy)).add(UInt64(level.failed)).add(UInt64(level.silent)).add(level.detail)
        guard try insert.add(header.time.milliseconds).run() > 0 else { return }
        try rows[.closeLevel].add(sequence).add(region.rawValue).add(level.app.rawValue).run()
    }

    private static func words(_ change: RegionChange) -> (kind: String, reason: String) {
        switch change {
        case .silence: ("silence", "")
        case .report: ("report", "")
        case .request(let reason): ("request", reason)
        }
    }

    /// Runs a change whose values are bound, and ends the row before it; false where there was none.
    @discardableResult
    private static func run(
        _ change: Change, closing close: Change, _ name: String, _ sequence: UInt64, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) -> Bool {
        guard try rows[change].run() > 0 else { return false }
        try rows[close].add(sequence).add(name).run()
        return true
    }
}
