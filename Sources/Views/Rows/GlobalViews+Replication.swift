import Domain

extension GlobalViews {
    private static let regions = VersionedTable(
        "pack_region_versions", keys: ["build", "region"], values: ["status", "time", "detail"])

    /// The first report fixes a build's manifest; one of another manifest changes nothing.
    private static let isSameManifest = "EXISTS (SELECT 1 FROM pack_rows WHERE build = ?2 AND manifest = ?5)"

    static func replicationSQL(_ change: Change) -> String {
        switch change {
        case .insertPack:
            "INSERT OR IGNORE INTO pack_rows (sequence, build, attempt, manifest) VALUES (?1, ?2, ?3, ?4)"
        case .storePack:
            regions.insert(
                ["status": "'stored'", "detail": "''"],
                where: "\(isSameManifest) AND NOT EXISTS "
                    + "(SELECT 1 FROM pack_region_versions WHERE \(regions.keyCondition) AND to_sequence IS NULL)")
        case .restorePack:
            regions.change(
                ["status": "'stored'", "time": "?4", "detail": "''"], where: "status = 'lost' AND \(isSameManifest)")
        case .losePack:
            regions.change(["status": "'lost'", "time": "?4", "detail": "?5"], where: "status = 'stored'")
        case .closePackRegion: regions.close
        default: preconditionFailure("\(change) is not replication's")
        }
    }

    static func write(
        _ event: ReplicationEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, time) = (header.sequence.rawValue, header.time.milliseconds)
        switch event {
        case .packStored(let build, let attempt, let region, let manifest):
            try rows[.insertPack].add(sequence).add(build.rawValue).add(attempt.rawValue).add(manifest).run()
            for change in [Change.restorePack, .storePack] {
                let statement = rows[change].add(sequence).add(build.rawValue).add(region.rawValue).add(time)
                guard try statement.add(manifest).run() == 0 else {
                    return try close(build, region, sequence, rows)
                }
            }
        case .packLost(let build, let region, let detail):
            let statement = rows[.losePack].add(sequence).add(build.rawValue).add(region.rawValue)
            if try statement.add(time).add(detail).run() > 0 { try close(build, region, sequence, rows) }
        }
    }

    private static func close(
        _ build: BuildID, _ region: RegionName, _ sequence: UInt64, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        try rows[.closePackRegion].add(sequence).add(build.rawValue).add(region.rawValue).run()
    }
}
