package import Domain

/// The global log's events as rows.
package enum GlobalViews: ViewMapping {
    package typealias Event = GlobalEvent

    package typealias Tables = GlobalTables

    package enum Change: Int, CaseIterable, Sendable {
        case insertRequest, lastRequest, beat, lastBeat
        case insertPack, findPack
        case insertDeployment, converge
    }

    package static var schema: ViewSchema { .global }

    package static func sql(of change: Change) -> String {
        switch change {
        case .insertRequest, .lastRequest, .beat, .lastBeat: queueSQL(change)
        case .insertPack, .findPack: replicationSQL(change)
        case .insertDeployment, .converge: targetsSQL(change)
        }
    }

    package static func write(
        _ event: GlobalEvent, _ header: FrameHeader, with rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        switch event {
        case .log(let event): try rows.write(event, header)
        case .queue(let event): try write(event, header, rows)
        case .replication(let event): try write(event, header, rows)
        case .targets(let event): try write(event, header, rows)
        case .fleet(let event): try write(event, header, rows)
        case .retention(let event): try write(event, header, rows)
        }
    }

    package static func take(
        _ header: FrameHeader, type: UInt16, schemaRevision: UInt16, _ payload: borrowing Span<UInt8>,
        with rows: RowWriter<GlobalViews>
    ) throws(ViewsFailure) {
        try rows.writeAny(header, type: type, schemaRevision: schemaRevision, payload)
    }

    package static func subject(of event: GlobalEvent) -> EventSubject {
        switch event {
        case .log(.refused(let refused, _, _)): EventSubject(job: refused.job)
        case .log: EventSubject()
        case .queue(let event): subject(of: event)
        case .replication(.packStored(let build, _, let region, _)): EventSubject(job: build, region: region)
        case .replication(.packLost(let build, let region, _)): EventSubject(job: build, region: region)
        case .replication(.packRemoved(let build, let region)): EventSubject(job: build, region: region)
        case .targets(let event): subject(of: event)
        case .fleet(let event): subject(of: event)
        case .retention(let event): subject(of: event)
        }
    }

    private static func subject(of event: QueueEvent) -> EventSubject {
        switch event {
        case .enqueued(let job, let request), .enqueueReused(let job, let request):
            EventSubject(job: job, app: request.app)
        case .claimed(let job, _, let worker, _): EventSubject(job: job, worker: worker)
        case .uploaded(let job, _, let pack): EventSubject(job: job, region: pack.region)
        case .heartbeat(let job, _, _, _), .succeeded(let job, _), .attemptFailed(let job, _, _, _),
            .attemptReleased(let job, _, _), .leaseExpired(let job, _), .requeued(let job),
            .cancelRequested(let job, _),
            .failed(let job, _, _):
            EventSubject(job: job)
        }
    }

    private static func subject(of event: TargetsEvent) -> EventSubject {
        switch event {
        case .deploymentWaiting(let opening):
            EventSubject(job: opening.build.build, app: opening.request.app, region: region(of: opening.request.scope))
        case .targetChanged(let target, _, _):
            EventSubject(job: target.current.build, app: target.app, region: region(of: target.scope))
        case .regionConverged(_, let region): EventSubject(region: region)
        case .deploymentEnded(_, let app, _, _): EventSubject(app: app)
        }
    }

    private static func subject(of event: RetentionEvent) -> EventSubject {
        switch event {
        case .settingsChanged, .claimsResumed: EventSubject()
        case .pinned(let build, _), .unpinned(let build, _), .retired(let build, _, _): EventSubject(job: build)
        case .claimsStopped(let region): EventSubject(region: region)
        }
    }

    private static func subject(of event: FleetEvent) -> EventSubject {
        switch event {
        case .regionJoined(let name, _), .regionStatusChanged(let name, _, _): EventSubject(region: name)
        case .regionStore(let name, _): EventSubject(region: name)
        case .regionLevel(let name, let level): EventSubject(app: level.app, region: name)
        case .workerJoined(let name, let region): EventSubject(region: region, worker: name)
        case .workerWaiting(let name), .workerDrain(let name, _): EventSubject(worker: name)
        }
    }

    private static func region(of scope: TargetScope) -> RegionName? {
        switch scope {
        case .global: nil
        case .region(let name): name
        }
    }
}
