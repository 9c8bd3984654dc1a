import Domain

extension GlobalEvent {
    /// An event of a type that logs are full of, from a payload of revision 1 in its usual form; nil for any other, about
    /// which SwiftProtobuf decides.
    init?(hot type: UInt16, _ payload: borrowing Span<UInt8>) {
        do throws(Unusual) {
            var fields = WireFields(payload)
            switch EventType(rawValue: Int(type)) {
            case .jobEnqueued: self = .queue(try .enqueued(from: &fields, payload))
            case .jobClaimed: self = .queue(try .claimed(from: &fields, payload))
            case .jobHeartbeat: self = .queue(try .heartbeat(from: &fields, payload))
            case .packUploaded: self = .queue(try .uploaded(from: &fields, payload))
            case .jobSucceeded: self = .queue(try .succeeded(from: &fields, payload))
            case .attemptFailed: self = .queue(try .attemptFailed(from: &fields, payload))
            case .attemptReleased: self = .queue(try .attemptReleased(from: &fields, payload))
            case .leaseExpired: self = .queue(try .leaseExpired(from: &fields, payload))
            case .jobRequeued: self = .queue(try .requeued(from: &fields, payload))
            case .jobFailed: self = .queue(try .failed(from: &fields, payload))
            case .packStored: self = .replication(try .packStored(from: &fields, payload))
            case .regionLevel: self = .fleet(try .regionLevel(from: &fields, payload))
            case .workerWaiting: self = .fleet(try .workerWaiting(from: &fields, payload))
            default: return nil
            }
            try fields.finish()
        } catch {
            return nil
        }
    }
}

extension ReplicationEvent {
    fileprivate static func packStored(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> ReplicationEvent {
        .packStored(
            BuildID(rawValue: try fields.number(1, bytes)), AttemptNumber(rawValue: try fields.number(2, bytes)),
            region: try fields.name(3, bytes), manifest: try fields.digest(4, bytes))
    }
}

extension FleetEvent {
    fileprivate static func workerWaiting(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> FleetEvent {
        .workerWaiting(try fields.name(1, bytes))
    }

    fileprivate static func regionLevel(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> FleetEvent {
        let region: RegionName = try fields.name(1, bytes)
        var inner = try fields.message(2, bytes)
        let app: AppName = try inner.name(1, bytes)
        let level = RegionLevel(
            app: app, revision: try inner.revision(2, bytes), selected: try inner.smallNumber(3, bytes),
            healthy: try inner.smallNumber(4, bytes),
            failed: try inner.smallNumber(5, bytes), silent: try inner.smallNumber(6, bytes),
            detail: try inner.text(7, bytes))
        try inner.finish()
        return .regionLevel(region, level)
    }
}
