import Domain

extension GlobalViews {
    static func write(
        _ event: FleetEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, SQLValue.integer(header.time.milliseconds))
        let tables = rows.tables
        switch event {
        case .regionJoined(let name, let endpoint):
            let key = RowKey(.text(name.rawValue))
            var row = try tables.regions.current(key) ?? RowValues()
            if row[.status] != .text("suspended") { row[.status] = .text("live") }
            (row[.endpoint], row[.time]) = (.text(endpoint), time)
            (row[.change], row[.reason]) = (.text("joined"), .text(""))
            try tables.regions.put(row, key, at: sequence)
        case .regionStatusChanged(let name, let status, let change):
            let (kind, reason) = words(change)
            try tables.regions.change(RowKey(.text(name.rawValue)), at: sequence) { row in
                (row[.status], row[.change]) = (.text(status.rawValue), .text(kind))
                (row[.reason], row[.time]) = (.text(reason), time)
                return true
            }
        case .regionLevel(let name, let level): try reported(name, level, header, rows)
        case .regionStore(let name, let store):
            guard try tables.regions.current(RowKey(.text(name.rawValue))) != nil else { return }
            try tables.stores.put(RowValues(store, at: header.time), RowKey(.text(name.rawValue)), at: sequence)
        case .workerJoined(let name, let region):
            let key = RowKey(.text(name.rawValue))
            var row = try tables.workers.current(key) ?? RowValues()
            row[.region] = .text(region.rawValue)
            if row[.draining] == .null { row[.draining] = .zero }
            try tables.workers.put(row, key, at: sequence)
        case .workerWaiting(let name):
            try tables.workers.change(RowKey(.text(name.rawValue)), at: sequence) { row in
                (row[.waitingSince], row[.job]) = (time, .null)
                return true
            }
        case .workerDrain(let name, let isDraining):
            try tables.workers.change(RowKey(.text(name.rawValue)), at: sequence) { row in
                row[.draining] = isDraining ? .one : .zero
                if isDraining { row[.waitingSince] = .null }
                return true
            }
        }
    }

    /// Of a region that is known, and at a revision that is not behind what it said before.
    private static func reported(
        _ region: RegionName, _ level: RegionLevel, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        guard try rows.tables.regions.current(RowKey(.text(region.rawValue))) != nil else { return }
        let key = RowKey(.text(region.rawValue), .text(level.app.rawValue))
        if let current = try rows.tables.levels.current(key), current.revision(.epoch, .number) > level.revision {
            return
        }
        var row = RowValues<GlobalTables.LevelColumn>()
        row[.epoch] = .integer(level.revision.epoch.rawValue)
        row[.number] = .integer(level.revision.number)
        (row[.selected], row[.healthy]) = (.integer(Int64(level.selected)), .integer(Int64(level.healthy)))
        (row[.failed], row[.silent]) = (.integer(Int64(level.failed)), .integer(Int64(level.silent)))
        (row[.detail], row[.time]) = (.text(level.detail), .integer(header.time.milliseconds))
        try rows.tables.levels.put(row, key, at: header.sequence.rawValue)
    }

    private static func words(_ change: RegionChange) -> (kind: String, reason: String) {
        switch change {
        case .silence: ("silence", "")
        case .report: ("report", "")
        case .request(let reason): ("request", reason)
        }
    }
}
