import Logging

/// Says a lasting trouble once as a warning, then once in a while, so that nobody takes it for a hang and no log fills.
struct TroubleLog: Sendable {
    private let logger: Logger
    private var lastWarning: ContinuousClock.Instant?

    static let warningSeconds = 60

    init(_ logger: Logger) { self.logger = logger }

    mutating func failed(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        let now = ContinuousClock.now
        if let lastWarning, lastWarning.duration(to: now) < .seconds(Self.warningSeconds) {
            return logger.info(message, metadata: metadata)
        }
        lastWarning = now
        logger.warning(message, metadata: metadata)
    }

    mutating func succeeded(_ message: Logger.Message) {
        if lastWarning != nil { logger.notice(message) }
        lastWarning = nil
    }
}
