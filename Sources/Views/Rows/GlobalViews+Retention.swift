import Domain

extension GlobalViews {
    static func write(
        _ event: RetentionEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, SQLValue.integer(header.time.milliseconds))
        let tables = rows.tables
        switch event {
        case .settingsChanged(let settings):
            try changeRetention(at: sequence, rows) { row in
                row[.keptBuilds] = .integer(Int64(settings.keptBuilds))
                row[.keptSeconds] = .integer(Int64(settings.keptSeconds))
                row[.graceSeconds] = .integer(Int64(settings.graceSeconds))
                row[.fullPercent] = .integer(Int64(settings.fullPercent))
            }
        case .pinned(let build, let reason):
            let key = RowKey(.integer(build.rawValue))
            guard try isBuild(key, rows), try tables.retirements.current(key) == nil else { return }
            var row = RowValues<GlobalTables.PinColumn>()
            row[.actor] = try .integer(rows.actor(header.actor))
            (row[.reason], row[.time]) = (.text(reason), time)
            try tables.pins.put(row, key, at: sequence)
        case .unpinned(let build, _): try tables.pins.end(RowKey(.integer(build.rawValue)), at: sequence)
        case .retired(let build, let cause, let end):
            let key = RowKey(.integer(build.rawValue))
            guard try isBuild(key, rows) else { return }
            var row = RowValues<GlobalTables.RetirementColumn>()
            row[.time] = try tables.retirements.current(key)?[.time] ?? time
            (row[.cause], row[.removeAfter]) = (.text(cause.rawValue), .integer(end.milliseconds))
            try tables.retirements.put(row, key, at: sequence)
            try tables.pins.end(key, at: sequence)
        case .claimsStopped(let region):
            try changeRetention(at: sequence, rows) { $0[.claimsStoppedBy] = .text(region.rawValue) }
        case .claimsResumed: try changeRetention(at: sequence, rows) { $0[.claimsStoppedBy] = .null }
        }
    }

    private static func isBuild(_ key: RowKey, _ rows: RowWriter<GlobalViews>) throws(ViewsFailure) -> Bool {
        try rows.tables.jobs.current(key)?[.status] == .text("succeeded")
    }

    private static func changeRetention(
        at sequence: UInt64, _ rows: RowWriter<GlobalViews>,
        _ body: (inout RowValues<GlobalTables.RetentionColumn>) -> Void
    ) throws(ViewsFailure) {
        let key = RowKey(.integer(1 as UInt64))
        var row = try rows.tables.retention.current(key) ?? RowValues()
        body(&row)
        try rows.tables.retention.put(row, key, at: sequence)
    }
}

extension RowValues<GlobalTables.StoreColumn> {
    init(_ store: StoreLevel, at time: Timestamp) {
        self.init()
        (self[.usedBytes], self[.freeBytes]) = (.integer(store.usedBytes), .integer(store.freeBytes))
        self[.sizeBytes] = .integer(store.sizeBytes)
        self[.time] = .integer(time.milliseconds)
    }
}
