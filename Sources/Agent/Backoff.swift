import Logging
import Swarm

/// How long to wait before the next try: doubled at each failure in a row, and differing between machines that failed
/// at one moment.
struct Backoff: Sendable {
    private let first: Int64
    private let maximum: Int64
    private var failures: Int64 = 0
    private var generator: SeededGenerator

    init(firstMilliseconds: Int64 = 500, maximumMilliseconds: Int64 = 10_000, seed: UInt64) {
        (first, maximum) = (firstMilliseconds, maximumMilliseconds)
        generator = SeededGenerator(seed: seed)
    }

    /// Half of it is chance.
    mutating func nextMilliseconds() -> Int64 {
        let whole = min(first << min(failures, 20), maximum)
        failures += 1
        return whole / 2 + Int64(generator.below(Int(whole / 2) + 1))
    }

    mutating func succeeded() { failures = 0 }
}

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
