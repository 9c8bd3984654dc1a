import Domain

extension GlobalViews {
    static func replicationSQL(_ change: Change) -> String {
        switch change {
        case .insertPack: "INSERT OR IGNORE INTO pack_rows (sequence, build, attempt, manifest) VALUES (?1, ?2, ?3, ?4)"
        case .findPack: "SELECT manifest FROM pack_rows WHERE build = ?1"
        default: preconditionFailure("\(change) is not replication's")
        }
    }

    static func write(
        _ event: ReplicationEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, SQLValue.integer(header.time.milliseconds))
        let table = rows.tables.packRegions
        switch event {
        case .packStored(let build, let attempt, let region, let manifest):
            // The first report fixes a build's manifest; one of another manifest changes nothing.
            guard try self.manifest(of: build, attempt, manifest, header, rows) == manifest else { return }
            let key = RowKey(.integer(build.rawValue), .text(region.rawValue))
            var row = RowValues<GlobalTables.PackRegionColumn>()
            (row[.status], row[.time], row[.detail]) = (.text("stored"), time, .text(""))
            if let current = try table.current(key) {
                guard current[.status] != .text("stored") else { return }
            }
            try table.put(row, key, at: sequence)
        case .packLost(let build, let region, let detail):
            try table.change(RowKey(.integer(build.rawValue), .text(region.rawValue)), at: sequence) { row in
                guard row[.status] == .text("stored") else { return false }
                (row[.status], row[.time], row[.detail]) = (.text("lost"), time, .text(detail))
                return true
            }
        case .packRemoved(let build, let region):
            try table.change(RowKey(.integer(build.rawValue), .text(region.rawValue)), at: sequence) { row in
                guard row[.status] == .text("stored") else { return false }
                (row[.status], row[.time], row[.detail]) = (.text("removed"), time, .text(""))
                return true
            }
        }
    }

    /// A build's manifest, which is the given one where none is known yet.
    private static func manifest(
        of build: BuildID, _ attempt: AttemptNumber, _ manifest: Digest, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) -> Digest? {
        if let known = rows.tables.manifests[build] { return known }
        let insert = rows[.insertPack].add(header.sequence.rawValue).add(build.rawValue).add(attempt.rawValue)
        var known: Digest? = manifest
        if try insert.add(manifest).run() == 0 {
            guard case .blob(let bytes)? = try rows[.findPack].add(build.rawValue).first() else { return nil }
            known = Digest(bytes: bytes)
        }
        rows.tables.manifests[build] = known
        return known
    }
}
