import Domain

extension GlobalViews {
    private static let deployments = VersionedTable(
        "deployment_versions", keys: ["epoch", "number"],
        values: ["status", "revision_epoch", "revision_number", "ended_at", "detail"])

    private static let isOpen = "status IN ('waiting', 'running')"

    static func targetsSQL(_ change: Change) -> String {
        switch change {
        case .insertTarget: TargetRows.insert(replaced: "app = ?2 AND scope = ?3")
        case .closeTarget: TargetRows.close(replaced: "app = ?2 AND scope = ?3")
        case .insertDeployment:
            "INSERT OR IGNORE INTO deployment_rows (sequence, epoch, number, time, app, scope, build, manifest, selector, "
                + "reason, actor, deadline, when_replicated, allow_empty) "
                + "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        case .openDeployment: deployments.insert(["ended_at": "NULL", "detail": "''"])
        case .retargetDeployment:
            deployments.change(
                ["status": "'running'", "revision_epoch": "?4", "revision_number": "?5"], where: isOpen)
        case .endDeployment:
            deployments.change(["status": "?4", "ended_at": "?5", "detail": "?6"], where: isOpen)
        case .closeDeployment: deployments.close
        case .converge:
            "INSERT OR IGNORE INTO deployment_region_rows (sequence, epoch, number, region) SELECT ?1, ?2, ?3, ?4 "
                + "WHERE EXISTS (SELECT 1 FROM deployment_versions WHERE \(deployments.keyCondition) "
                + "AND to_sequence IS NULL AND \(isOpen))"
        default: preconditionFailure("\(change) is not the targets'")
        }
    }

    static func write(
        _ event: TargetsEvent, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        switch event {
        case .deploymentWaiting(let opening): try open(opening, .waiting, opening.id, header, rows)
        case .targetChanged(let target, _, let opening): try changed(target, opening, header, rows)
        case .regionConverged(let id, let region):
            try rows[.converge].add(sequence).add(id.epoch.rawValue).add(id.number).add(region.rawValue).run()
        case .deploymentEnded(let id, _, let status, let detail):
            let end = rows[.endDeployment].add(sequence).add(id.epoch.rawValue).add(id.number)
            if try end.add(status.rawValue).add(header.time.milliseconds).add(detail).run() > 0 {
                try close(id, sequence, rows)
            }
        }
    }

    private static func changed(
        _ target: Target, _ opening: DeploymentOpening?, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        TargetRows.bind(target, actor: try rows.actor(target.actor), sequence, to: rows[.insertTarget])
        guard try rows[.insertTarget].run() > 0 else { return }
        try rows[.closeTarget].add(sequence).add(target.app.rawValue).add(target.scope.description).run()
        let id = target.deployment
        let change = rows[.retargetDeployment].add(sequence).add(id.epoch.rawValue).add(id.number)
        if try change.add(target.revision.epoch.rawValue).add(target.revision.number).run() > 0 {
            try close(id, sequence, rows)
        } else if let opening {
            try open(opening, .running, opening.id == id ? target.revision : opening.id, header, rows)
        }
    }

    private static func open(
        _ opening: DeploymentOpening, _ status: DeploymentStatus, _ revision: Revision, _ header: FrameHeader,
        _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let (sequence, request) = (header.sequence.rawValue, opening.request)
        let insert = rows[.insertDeployment].add(sequence).add(opening.id.epoch.rawValue).add(opening.id.number)
        insert.add(header.time.milliseconds).add(request.app.rawValue).add(request.scope.description)
        insert.add(opening.build.build.rawValue).add(opening.build.manifest).add(labelText(request.selector.labels))
        insert.add(request.reason).add(try rows.actor(header.actor)).add(opening.deadline.milliseconds)
        // A deployment begins once.
        guard try insert.add(request.whenReplicated).add(request.allowEmpty).run() > 0 else { return }
        let version = rows[.openDeployment].add(sequence).add(opening.id.epoch.rawValue).add(opening.id.number)
        try version.add(status.rawValue).add(revision.epoch.rawValue).add(revision.number).run()
    }

    private static func close(
        _ id: Revision, _ sequence: UInt64, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        try rows[.closeDeployment].add(sequence).add(id.epoch.rawValue).add(id.number).run()
    }
}
