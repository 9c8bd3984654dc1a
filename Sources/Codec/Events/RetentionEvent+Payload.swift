import Domain

extension RetentionEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .settingsChanged(let settings):
            var message = Drover_V1_RetentionChanged()
            (message.keptBuilds, message.keptSeconds) = (settings.keptBuilds, settings.keptSeconds)
            (message.graceSeconds, message.fullPercent) = (settings.graceSeconds, settings.fullPercent)
            return try EventType.retentionChanged.seal(message)
        case .pinned(let build, let reason):
            var message = Drover_V1_BuildPinned()
            (message.build, message.reason) = (build.rawValue, reason)
            return try EventType.buildPinned.seal(message)
        case .unpinned(let build, let reason):
            var message = Drover_V1_BuildUnpinned()
            (message.build, message.reason) = (build.rawValue, reason)
            return try EventType.buildUnpinned.seal(message)
        case .retired(let build, let cause, let end):
            var message = Drover_V1_BuildRetired()
            (message.build, message.removeAfter) = (build.rawValue, end.milliseconds)
            message.cause = Drover_V1_RetirementCause(cause)
            return try EventType.buildRetired.seal(message)
        case .claimsStopped(let region):
            var message = Drover_V1_ClaimsStopped()
            message.region = region.rawValue
            return try EventType.claimsStopped.seal(message)
        case .claimsResumed: return try EventType.claimsResumed.seal(Drover_V1_ClaimsResumed())
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .retentionChanged:
            let message: Drover_V1_RetentionChanged = try type.open(payload)
            var settings = RetentionSettings()
            (settings.keptBuilds, settings.keptSeconds) = (message.keptBuilds, message.keptSeconds)
            (settings.graceSeconds, settings.fullPercent) = (message.graceSeconds, message.fullPercent)
            self = .settingsChanged(settings)
        case .buildPinned:
            let message: Drover_V1_BuildPinned = try type.open(payload)
            self = .pinned(BuildID(rawValue: message.build), reason: message.reason)
        case .buildUnpinned:
            let message: Drover_V1_BuildUnpinned = try type.open(payload)
            self = .unpinned(BuildID(rawValue: message.build), reason: message.reason)
        case .buildRetired:
            let message: Drover_V1_BuildRetired = try type.open(payload)
            self = .retired(
                BuildID(rawValue: message.build), try message.cause.value("cause"),
                removeAfter: Timestamp(milliseconds: message.removeAfter))
        case .claimsStopped:
            let message: Drover_V1_ClaimsStopped = try type.open(payload)
            self = .claimsStopped(try name(message.region, "region"))
        case .claimsResumed:
            let _: Drover_V1_ClaimsResumed = try type.open(payload)
            self = .claimsResumed
        default: throw type.misplaced(in: "retention")
        }
    }
}
