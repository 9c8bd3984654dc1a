import Domain

extension GlobalEvent {
    /// The bytes that SwiftProtobuf would write; nil for the types that logs are not full of.
    func hotEncoded() throws(CodecFailure) -> EncodedEvent? {
        var writer = WireWriter()
        let type: EventType? =
            switch self {
            case .queue(let event): event.write(to: &writer)
            case .replication(let event): event.write(to: &writer)
            case .fleet(let event): event.write(to: &writer)
            case .log, .targets, .retention: nil
            }
        return try type?.seal(writer.bytes)
    }
}

extension QueueEvent {
    fileprivate func write(to writer: inout WireWriter) -> EventType? {
        switch self {
        case .enqueued(let job, let request):
            writer.number(1, job)
            writer.message(2) { request.write(to: &$0) }
            return .jobEnqueued
        case .claimed(let job, let attempt, let worker, let leaseSeconds):
            writer.number(1, job)
            writer.number(2, attempt)
            writer.text(3, worker)
            writer.number(4, UInt64(leaseSeconds))
            return .jobClaimed
        case .heartbeat(let job, let attempt, let counter, let stage):
            writer.number(1, job)
            writer.number(2, attempt)
            writer.number(3, counter)
            writer.value(4, stage, as: Drover_V1_AttemptStage.self)
            return .jobHeartbeat
        case .uploaded(let job, let attempt, let pack):
            writer.number(1, job)
            writer.number(2, attempt)
            writer.pack(3, pack)
            return .packUploaded
        case .succeeded(let job, let attempt):
            writer.number(1, job)
            writer.number(2, attempt)
            return .jobSucceeded
        case .failed(let job, let reason, let detail):
            writer.number(1, job)
            writer.value(2, reason, as: Drover_V1_FailureReason.self)
            writer.text(3, detail)
            return .jobFailed
        case .attemptFailed, .attemptReleased, .leaseExpired, .requeued, .cancelRequested, .enqueueReused: return nil
        }
    }
}

extension JobRequest {
    fileprivate func write(to writer: inout WireWriter) {
        writer.text(1, app)
        writer.text(2, repository)
        writer.text(3, commit.rawValue)
        writer.text(4, recipePath)
        writer.signedNumber(5, priority)
        writer.number(6, isForced ? 1 : 0)
    }
}

extension ReplicationEvent {
    fileprivate func write(to writer: inout WireWriter) -> EventType? {
        switch self {
        case .packStored(let build, let attempt, let region, let manifest):
            writer.number(1, build)
            writer.number(2, attempt)
            writer.text(3, region)
            writer.digest(4, manifest)
            return .packStored
        case .packLost, .packRemoved: return nil
        }
    }
}

extension FleetEvent {
    fileprivate func write(to writer: inout WireWriter) -> EventType? {
        switch self {
        case .workerWaiting(let worker):
            writer.text(1, worker)
            return .workerWaiting
        case .regionLevel(let region, let level):
            writer.text(1, region)
            writer.message(2) { level.write(to: &$0) }
            return .regionLevel
        case .regionJoined, .regionStatusChanged, .regionStore, .workerJoined, .workerDrain: return nil
        }
    }
}

extension RegionLevel {
    fileprivate func write(to writer: inout WireWriter) {
        writer.text(1, app)
        writer.revision(2, revision)
        writer.number(3, UInt64(selected))
        writer.number(4, UInt64(healthy))
        writer.number(5, UInt64(failed))
        writer.number(6, UInt64(silent))
        writer.text(7, detail)
    }
}

extension RegionEvent {
    /// As the global events'.
    func hotEncoded() throws(CodecFailure) -> EncodedEvent? {
        var writer = WireWriter()
        return try write(to: &writer)?.seal(writer.bytes)
    }

    private func write(to writer: inout WireWriter) -> EventType? {
        switch self {
        case .taken(let fact, let sequence):
            guard fact.build != nil, schemaRevision == 1 else { return nil }
            writer.message(1) { fact.write(to: &$0) }
            writer.number(2, sequence)
            return .factTaken
        case .followed(let position):
            writer.message(1) { inner in
                inner.identity(1, position.log)
                inner.number(2, position.epoch)
                inner.number(3, position.sequence)
                inner.digest(4, position.chain)
            }
            return .followed
        case .packStored(let build, let attempt, let manifest):
            writer.number(1, build)
            writer.number(2, attempt)
            writer.digest(3, manifest)
            return .localPackStored
        case .peerChanged(let peer, let app, let report):
            writer.text(1, peer)
            writer.text(2, app)
            writer.message(3) { inner in
                inner.revision(1, report.revision)
                if let build = report.build { inner.optionalNumber(2, build.rawValue) }
                inner.value(3, report.health, as: Drover_V1_PeerHealth.self)
                inner.text(4, report.detail)
            }
            return .peerChanged
        case .peerSilent(let peer):
            writer.text(1, peer)
            return .peerSilent
        case .peerReturned(let peer):
            writer.text(1, peer)
            return .peerReturned
        case .log, .refollowed, .packLost, .packRemoved, .peerEnrolled: return nil
        }
    }
}

extension GlobalFact {
    /// Those about packs; the others are few.
    fileprivate func write(to writer: inout WireWriter) {
        switch self {
        case .packUploaded(let build, let app, let attempt, let pack):
            writer.message(1) { $0.uploaded(build, app, attempt, pack) }
        case .packStored(let build, let app, let attempt, let pack, let region):
            writer.message(2) { inner in
                inner.uploaded(build, app, attempt, pack)
                inner.text(5, region)
            }
        case .packLost(let build, let region):
            writer.message(3) { inner in
                inner.number(1, build)
                inner.text(2, region)
            }
        case .jobFailed(let job): writer.message(4) { $0.number(1, job) }
        case .buildRetired, .target, .region, .settings: break
        }
    }
}

extension WireWriter {
    fileprivate mutating func uploaded(_ build: BuildID, _ app: AppName, _ attempt: AttemptNumber, _ pack: UploadedPack)
    {
        number(1, build)
        text(2, app)
        number(3, attempt)
        self.pack(4, pack)
    }
}
