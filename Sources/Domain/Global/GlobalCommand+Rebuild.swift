extension Global {
    /// The command that these events (of one command id, in order) came from.
    package static func command(from events: [GlobalEvent]) -> GlobalCommand? {
        events.first.flatMap { command(from: $0, events) }
    }

    /// The command of a first event; the others are asked for only where a command has several.
    static func command(from first: GlobalEvent, _ events: @autoclosure () -> [GlobalEvent]) -> GlobalCommand? {
        switch first {
        case .queue(let event): queueCommand(event)
        case .targets(let event): targetsCommand(event)
        case .fleet(let event): fleetCommand(event, events())
        case .replication(.packStored(let build, let attempt, let region, let manifest)):
            .packStored(build, attempt, region: region, manifest: manifest)
        case .replication(.packLost(let build, let region, let detail)):
            detail == removedUnretired
                ? .packRemoved(build, region: region) : .packLost(build, region: region, detail: detail)
        case .replication(.packRemoved(let build, let region)): .packRemoved(build, region: region)
        case .retention(let event): .retention(retentionCommand(event))
        case .log(.settingsChanged(let settings)): .changeSettings(settings)
        case .log: nil
        }
    }

    private static func queueCommand(_ event: QueueEvent) -> GlobalCommand? {
        switch event {
        case .enqueued(_, let request), .enqueueReused(_, let request): .queue(.enqueue(request))
        case .claimed(_, _, let worker, _): .queue(.claim(worker))
        case .heartbeat(let job, let attempt, let counter, let stage):
            .queue(.heartbeat(job, attempt, counter: counter, stage: stage))
        case .uploaded(let job, let attempt, let pack): .queue(.reportUploaded(job, attempt, pack))
        case .attemptFailed(let job, let attempt, let reason, let detail):
            .queue(.reportFailed(job, attempt, reason, detail: detail))
        case .attemptReleased(let job, let attempt, let detail): .queue(.release(job, attempt, detail: detail))
        case .leaseExpired(let job, let attempt): .queue(.expireLease(job, attempt))
        case .cancelRequested(let job, let reason): .queue(.cancel(job, reason: reason))
        case .succeeded, .requeued, .failed: nil
        }
    }

    private static func targetsCommand(_ event: TargetsEvent) -> GlobalCommand? {
        switch event {
        case .deploymentWaiting(let opening): .targets(.deploy(opening.request))
        case .targetChanged(let target, let origin, let opening):
            switch origin {
            case .deploy, .rollback: opening.map { .targets(.deploy($0.request)) }
            case .waitingOver: .targets(.startWaiting(target.deployment))
            case .reissue: .targets(.reissue(target.app, target.scope))
            }
        case .regionConverged(let id, _), .deploymentEnded(let id, _, _, _): .targets(.settle(id))
        }
    }

    private static func fleetCommand(_ event: FleetEvent, _ events: [GlobalEvent]) -> GlobalCommand? {
        switch event {
        case .regionJoined(let name, let endpoint): .fleet(.regionJoin(name, endpoint: endpoint))
        case .regionLevel(let name, _): .fleet(.regionReport(name, levels(events)))
        case .regionStore(let name, let store): .fleet(.regionStore(name, store))
        case .regionStatusChanged(let name, let status, let change): statusCommand(name, status, change, events)
        case .workerJoined(let name, let region): .fleet(.workerJoin(name, region))
        case .workerWaiting(let name): .queue(.claim(name))
        case .workerDrain(let name, let isDraining): .fleet(.workerDrain(name, isDraining: isDraining))
        }
    }

    private static func retentionCommand(_ event: RetentionEvent) -> RetentionCommand {
        switch event {
        case .settingsChanged(let settings): .changeSettings(settings)
        case .pinned(let build, let reason): .pin(build, reason: reason)
        case .unpinned(let build, let reason): .unpin(build, reason: reason)
        case .retired(let build, let cause, _): .retire(build, cause)
        case .claimsStopped, .claimsResumed: .settleClaims
        }
    }

    private static func statusCommand(
        _ name: RegionName, _ status: RegionStatus, _ change: RegionChange, _ events: [GlobalEvent]
    ) -> GlobalCommand? {
        switch (change, status) {
        case (.silence, _): .fleet(.regionSilent(name))
        case (.report, _): .fleet(.regionReport(name, levels(events)))
        case (.request(let reason), .live): .fleet(.regionResume(name, reason: reason))
        case (.request(let reason), .suspended): .fleet(.regionSuspend(name, reason: reason))
        case (.request(let reason), .removed): .fleet(.regionRemove(name, reason: reason))
        case (.request, .silent): nil
        }
    }

    private static func levels(_ events: [GlobalEvent]) -> [RegionLevel] {
        events.compactMap { event in
            if case .fleet(.regionLevel(_, let level)) = event { level } else { nil }
        }
    }
}
