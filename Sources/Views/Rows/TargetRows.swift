import Domain

/// The columns of `target_versions`, the same in both kinds of log.
enum TargetColumn: Int, RowColumn {
    case epoch, number, deploymentEpoch, deploymentNumber, build, manifest, baseBuild, baseManifest
    case previousBuild, previousManifest, selector, admittedShare, actor, reason, issued, expires
}

extension RowValues<TargetColumn> {
    init(_ target: Target, actor: Int64) {
        self.init()
        self[.epoch] = .integer(target.revision.epoch.rawValue)
        self[.number] = .integer(target.revision.number)
        self[.deploymentEpoch] = .integer(target.deployment.epoch.rawValue)
        self[.deploymentNumber] = .integer(target.deployment.number)
        set(target.current, in: .build, .manifest)
        set(target.base, in: .baseBuild, .baseManifest)
        set(target.previous, in: .previousBuild, .previousManifest)
        self[.selector] = .text(labelText(target.selector.labels))
        self[.admittedShare] = .integer(UInt64(target.admittedShare))
        self[.actor] = .integer(actor)
        self[.reason] = .text(target.reason)
        self[.issued] = .integer(target.issued.milliseconds)
        self[.expires] = .integer(target.expires.milliseconds)
    }

    private mutating func set(_ proved: ProvedBuild?, in build: TargetColumn, _ manifest: TargetColumn) {
        guard let proved else { return }
        self[build] = .integer(proved.build.rawValue)
        self[manifest] = .digest(proved.manifest)
    }
}

extension RowValues {
    /// Whether a revision that two columns hold is greater than another; values that are none are smaller.
    func revision(_ epoch: Column, _ number: Column) -> Revision {
        Revision(
            epoch: Epoch(rawValue: UInt64(clamping: self[number: epoch] ?? 0)),
            number: UInt64(clamping: self[number: number] ?? 0))
    }
}
