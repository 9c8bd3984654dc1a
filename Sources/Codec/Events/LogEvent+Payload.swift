import Domain
import Foundation

extension LogEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .engineStarted(let version, let level):
            var message = Drover_V1_EngineStarted()
            (message.version, message.level) = (version, level)
            return try EventType.engineStarted.seal(message)
        case .engineStalled(let milliseconds):
            var message = Drover_V1_EngineStalled()
            message.milliseconds = milliseconds
            return try EventType.engineStalled.seal(message)
        case .clockJumped(let milliseconds):
            var message = Drover_V1_ClockJumped()
            message.milliseconds = milliseconds
            return try EventType.clockJumped.seal(message)
        case .epochStarted(let epoch, let reason):
            var message = Drover_V1_EpochStarted()
            (message.epoch, message.reason) = (epoch.rawValue, reason)
            return try EventType.epochStarted.seal(message)
        case .levelRaised(let level):
            var message = Drover_V1_LevelRaised()
            message.level = level
            return try EventType.levelRaised.seal(message)
        case .settingsChanged(let settings):
            var message = Drover_V1_SettingsChanged()
            message.settings = Drover_V1_Settings(settings)
            return try EventType.settingsChanged.seal(message)
        case .refused(let attempt, let code, let count):
            var message = Drover_V1_Refused()
            (message.job, message.attempt) = (attempt.job.rawValue, attempt.attempt.rawValue)
            (message.command, message.code, message.count) = (attempt.command, code.rawValue, count)
            return try EventType.refused.seal(message)
        case .stateHashed(let sequence, let fingerprint, let digest):
            var message = Drover_V1_StateHashed()
            (message.at, message.fingerprint) = (sequence.rawValue, fingerprint)
            message.digest = Data(digest.bytes)
            return try EventType.stateHashed.seal(message)
        case .backupProved(let sequence, let fingerprint, let digest, let milliseconds):
            var message = Drover_V1_BackupProved()
            (message.at, message.fingerprint) = (sequence.rawValue, fingerprint)
            (message.digest, message.milliseconds) = (Data(digest.bytes), milliseconds)
            return try EventType.backupProved.seal(message)
        case .payloadRedacted(let sequence, let payload, let substitute, let reason):
            var message = Drover_V1_PayloadRedacted()
            (message.at, message.reason) = (sequence.rawValue, reason)
            (message.payload, message.substitute) = (Data(payload.bytes), Data(substitute.bytes))
            return try EventType.payloadRedacted.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .engineStarted:
            let message: Drover_V1_EngineStarted = try type.open(payload)
            self = .engineStarted(version: message.version, level: message.level)
        case .engineStalled:
            let message: Drover_V1_EngineStalled = try type.open(payload)
            self = .engineStalled(milliseconds: message.milliseconds)
        case .clockJumped:
            let message: Drover_V1_ClockJumped = try type.open(payload)
            self = .clockJumped(milliseconds: message.milliseconds)
        case .epochStarted:
            let message: Drover_V1_EpochStarted = try type.open(payload)
            self = .epochStarted(epoch: Epoch(rawValue: message.epoch), reason: message.reason)
        case .levelRaised:
            let message: Drover_V1_LevelRaised = try type.open(payload)
            self = .levelRaised(level: message.level)
        case .settingsChanged:
            let message: Drover_V1_SettingsChanged = try type.open(payload)
            self = .settingsChanged(try required(message.hasSettings, message.settings, "settings").value)
        case .refused: self = try Self.refused(type.open(payload))
        case .stateHashed:
            let message: Drover_V1_StateHashed = try type.open(payload)
            self = .stateHashed(
                at: LogSequence(rawValue: message.at), fingerprint: message.fingerprint,
                digest: try digest(message.digest, "digest"))
        case .backupProved:
            let message: Drover_V1_BackupProved = try type.open(payload)
            self = .backupProved(
                at: LogSequence(rawValue: message.at), fingerprint: message.fingerprint,
                digest: try digest(message.digest, "digest"), milliseconds: message.milliseconds)
        case .payloadRedacted:
            let message: Drover_V1_PayloadRedacted = try type.open(payload)
            self = .payloadRedacted(
                at: LogSequence(rawValue: message.at), payload: try digest(message.payload, "payload"),
                substitute: try digest(message.substitute, "substitute"), reason: message.reason)
        default: throw type.misplaced(in: "a log's own events")
        }
    }

    private static func refused(_ message: Drover_V1_Refused) throws(CodecFailure) -> LogEvent {
        guard let code = RefusalCode(rawValue: message.code) else {
            throw .malformed("code", "is not a refusal's code")
        }
        let attempt = RefusedAttempt(
            job: JobID(rawValue: message.job), attempt: AttemptNumber(rawValue: message.attempt),
            command: message.command)
        return .refused(attempt, code: code, count: message.count)
    }
}
