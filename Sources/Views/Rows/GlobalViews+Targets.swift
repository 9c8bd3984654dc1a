import Domain

extension GlobalViews {
    private typealias Deployment = RowValues<GlobalTables.DeploymentColumn>

    static func targetsSQL(_ change: Change) -> String {
        switch change {
        case .insertDeployment:
            "INSERT OR IGNORE INTO deployment_rows (sequence, epoch, number, time, app, scope, build, manifest, selector, "
                + "reason, actor, deadline, when_replicated, allow_empty) "
                + "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        case .converge:
            "INSERT OR IGNORE INTO deployment_region_rows (sequence, epoch, number, region) VALUES (?1, ?2, ?3, ?4)"
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
            guard try rows.tables.deployments.current(RowKey(id))?.isOpen == true else { return }
            try rows[.converge].add(sequence).add(id.epoch.rawValue).add(id.number).add(region.rawValue).run()
        case .deploymentEnded(let id, _, let status, let detail):
            try rows.tables.deployments.change(RowKey(id), at: sequence) { row in
                guard row.isOpen else { return false }
                (row[.status], row[.detail]) = (.text(status.rawValue), .text(detail))
                row[.endedAt] = .integer(header.time.milliseconds)
                return true
            }
        }
    }

    private static func changed(
        _ target: Target, _ opening: DeploymentOpening?, _ header: FrameHeader, _ rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        let actor = try rows.actor(target.actor)
        let key = RowKey(.text(target.app.rawValue), .text(target.scope.description))
        if let current = try rows.tables.targets.current(key), current.revision(.epoch, .number) >= target.revision {
            return
        }
        try rows.tables.targets.put(RowValues(target, actor: actor), key, at: sequence)
        let id = target.deployment
        let isKnown = try rows.tables.deployments.change(RowKey(id), at: sequence) { row in
            guard row.isOpen else { return false }
            row[.status] = .text(DeploymentStatus.running.rawValue)
            row.setRevision(target.revision)
            return true
        }
        if let opening, !isKnown {
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
        var row = Deployment()
        (row[.status], row[.detail]) = (.text(status.rawValue), .text(""))
        row.setRevision(revision)
        rows.tables.deployments.begin(row, RowKey(opening.id), at: sequence)
    }
}

extension RowKey {
    fileprivate init(_ id: Revision) { self.init(.integer(id.epoch.rawValue), .integer(id.number)) }
}

extension RowValues<GlobalTables.DeploymentColumn> {
    fileprivate var isOpen: Bool { self[.status] == .text("waiting") || self[.status] == .text("running") }

    fileprivate mutating func setRevision(_ revision: Revision) {
        self[.revisionEpoch] = .integer(revision.epoch.rawValue)
        self[.revisionNumber] = .integer(revision.number)
    }
}
