import Domain

/// The global log's versioned tables.
package final class GlobalTables: ViewTables {
    enum JobColumn: Int, RowColumn {
        case status, failureReason, failureDetail, attempt, attempts, lostAttempts, worker, claimedAt
        case cancelRequestedAt, cancelReason, endedAt, manifest, rawBytes, packedBytes, region
    }

    enum PackRegionColumn: Int, RowColumn { case status, time, detail }

    enum DeploymentColumn: Int, RowColumn { case status, revisionEpoch, revisionNumber, endedAt, detail }

    enum RegionColumn: Int, RowColumn { case status, endpoint, change, reason, time }

    enum LevelColumn: Int, RowColumn { case epoch, number, selected, healthy, failed, silent, detail, time }

    enum WorkerColumn: Int, RowColumn { case region, waitingSince, draining, job }

    enum PinColumn: Int, RowColumn { case actor, reason, time }

    enum RetirementColumn: Int, RowColumn { case cause, time, removeAfter }

    enum StoreColumn: Int, RowColumn { case usedBytes, freeBytes, sizeBytes, time }

    enum RetentionColumn: Int, RowColumn { case keptBuilds, keptSeconds, graceSeconds, fullPercent, claimsStoppedBy }

    /// What the next sign of life of an attempt may have to repeat.
    struct Beat {
        var attempt: AttemptNumber
        var counter: UInt64
        var stage: String
    }

    let jobs: VersionedRows<JobColumn>
    let packRegions: VersionedRows<PackRegionColumn>
    let targets: VersionedRows<TargetColumn>
    let deployments: VersionedRows<DeploymentColumn>
    let regions: VersionedRows<RegionColumn>
    let levels: VersionedRows<LevelColumn>
    let workers: VersionedRows<WorkerColumn>
    let pins: VersionedRows<PinColumn>
    let retirements: VersionedRows<RetirementColumn>
    let stores: VersionedRows<StoreColumn>
    let retention: VersionedRows<RetentionColumn>
    /// The last job asked for; nil until it is read from the file.
    var lastJob: JobID?
    /// The last sign of life of running jobs, as far as it was seen.
    var beats: [JobID: Beat] = [:]
    /// Manifests that `pack_rows` fixed, as far as they were seen.
    var manifests: [BuildID: Digest] = [:]
    private let maximumRows: Int

    package init(on connection: SQLiteHandle, isNew: Bool, maximumRows: Int) throws(ViewsFailure) {
        func table<Column>(_ name: String, _ keys: String...) throws(ViewsFailure) -> VersionedRows<Column> {
            try VersionedRows(name, keys: keys, on: connection, isNew: isNew, maximumRows: maximumRows)
        }
        jobs = try table("job_versions", "job")
        packRegions = try table("pack_region_versions", "build", "region")
        targets = try table("target_versions", "app", "scope")
        deployments = try table("deployment_versions", "epoch", "number")
        regions = try table("region_versions", "name")
        levels = try table("region_level_versions", "region", "app")
        workers = try table("worker_versions", "name")
        pins = try table("pin_versions", "build")
        retirements = try table("retirement_versions", "build")
        stores = try table("region_store_versions", "region")
        retention = try table("retention_versions", "id")
        self.maximumRows = maximumRows
    }

    package func flush() throws(ViewsFailure) {
        try jobs.flush()
        try packRegions.flush()
        try targets.flush()
        try deployments.flush()
        try regions.flush()
        try levels.flush()
        try workers.flush()
        try pins.flush()
        try retirements.flush()
        try stores.flush()
        try retention.flush()
        limitMemory()
    }

    package func makeRoom() throws(ViewsFailure) {
        try jobs.makeRoom()
        try packRegions.makeRoom()
        try targets.makeRoom()
        try deployments.makeRoom()
        try regions.makeRoom()
        try levels.makeRoom()
        try workers.makeRoom()
        try pins.makeRoom()
        try retirements.makeRoom()
        try stores.makeRoom()
        try retention.makeRoom()
        limitMemory()
    }

    package func forget() {
        jobs.forget()
        packRegions.forget()
        targets.forget()
        deployments.forget()
        regions.forget()
        levels.forget()
        workers.forget()
        pins.forget()
        retirements.forget()
        stores.forget()
        retention.forget()
        (lastJob, beats, manifests) = (nil, [:], [:])
    }

    private func limitMemory() {
        if beats.count > maximumRows { beats = [:] }
        if manifests.count > maximumRows { manifests = [:] }
    }
}
