import Domain

extension RegionEvent {
    /// As `GlobalEvent(hot:)`: what regional logs are full of.
    init?(hot type: UInt16, _ payload: borrowing Span<UInt8>) {
        do throws(Unusual) {
            var fields = WireFields(payload)
            switch EventType(rawValue: Int(type)) {
            case .factTaken: self = try .taken(from: &fields, payload)
            case .followed: self = .followed(try .following(&fields, payload))
            case .localPackStored: self = try .packStored(from: &fields, payload)
            case .peerChanged: self = try .peerChanged(from: &fields, payload)
            case .peerSilent: self = .peerSilent(try fields.name(1, payload))
            case .peerReturned: self = .peerReturned(try fields.name(1, payload))
            default: return nil
            }
            try fields.finish()
        } catch {
            return nil
        }
    }

    private static func taken(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> RegionEvent {
        var inner = try fields.message(1, bytes)
        let fact = try GlobalFact(from: &inner, bytes)
        try inner.finish()
        return .taken(fact, at: LogSequence(rawValue: try fields.number(2, bytes)))
    }

    private static func packStored(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> RegionEvent {
        .packStored(
            BuildID(rawValue: try fields.number(1, bytes)), AttemptNumber(rawValue: try fields.number(2, bytes)),
            manifest: try fields.digest(3, bytes))
    }

    private static func peerChanged(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> RegionEvent {
        let peer: PeerName = try fields.name(1, bytes)
        let app: AppName = try fields.name(2, bytes)
        var inner = try fields.message(3, bytes)
        let revision = try inner.revision(1, bytes)
        let report = PeerApp(
            revision: revision, build: try inner.optionalNumber(2, bytes).map { BuildID(rawValue: $0) },
            health: try inner.value(3, bytes, of: Drover_V1_PeerHealth.self), detail: try inner.text(4, bytes))
        try inner.finish()
        return .peerChanged(peer, app, report)
    }
}

extension LogPosition {
    fileprivate static func following(
        _ fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> LogPosition {
        var inner = try fields.message(1, bytes)
        let position = LogPosition(
            log: try inner.identity(1, bytes), epoch: Epoch(rawValue: try inner.number(2, bytes)),
            sequence: LogSequence(rawValue: try inner.number(3, bytes)), chain: try inner.digest(4, bytes))
        try inner.finish()
        return position
    }
}

extension GlobalFact {
    /// The facts about packs; the others are few.
    fileprivate init(from fields: inout WireFields, _ bytes: borrowing Span<UInt8>) throws(Unusual) {
        if var inner = try fields.optionalMessage(1, bytes) {
            let (build, app, attempt, pack) = try Self.uploaded(from: &inner, bytes)
            self = .packUploaded(build, app, attempt, pack)
            try inner.finish()
        } else if var inner = try fields.optionalMessage(2, bytes) {
            let (build, app, attempt, pack) = try Self.uploaded(from: &inner, bytes)
            self = .packStored(build, app, attempt, pack, region: try inner.name(5, bytes))
            try inner.finish()
        } else if var inner = try fields.optionalMessage(3, bytes) {
            self = .packLost(BuildID(rawValue: try inner.number(1, bytes)), region: try inner.name(2, bytes))
            try inner.finish()
        } else if var inner = try fields.optionalMessage(4, bytes) {
            self = .jobFailed(JobID(rawValue: try inner.number(1, bytes)))
            try inner.finish()
        } else {
            throw Unusual()
        }
    }

    private static func uploaded(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> (BuildID, AppName, AttemptNumber, UploadedPack) {
        let build = BuildID(rawValue: try fields.number(1, bytes))
        let app: AppName = try fields.name(2, bytes)
        let attempt = AttemptNumber(rawValue: try fields.number(3, bytes))
        return (build, app, attempt, try fields.pack(4, bytes))
    }
}
