import Domain

/// Where a region goes on in the feed: behind what its log has taken over, or further on where parts without facts have
/// led. Such a move is recorded when it is long, so that a restart does not begin far back.
struct FeedCursor: Hashable, Sendable {
    /// A move without facts that is worth an event.
    static let recordedSequences: UInt64 = 10_000

    private var reached: LogPosition?

    /// What to ask after.
    func next(after taken: LogPosition?) -> LogPosition? {
        guard let taken, let reached, reached.log == taken.log, reached.sequence > taken.sequence else { return taken }
        return reached
    }

    /// Whether the part is for the log.
    mutating func answered(_ facts: [TakenFact], _ position: LogPosition, taken: LogPosition?) -> Bool {
        let isRecorded = Self.isNews(facts, position, taken)
        reached = isRecorded ? nil : position
        return isRecorded
    }

    /// What was reached is not on the leader's chain any more.
    mutating func forget() { reached = nil }

    private static func isNews(_ facts: [TakenFact], _ position: LogPosition, _ taken: LogPosition?) -> Bool {
        guard let taken, facts.isEmpty, position.epoch == taken.epoch else { return true }
        let (end, overflow) = taken.sequence.rawValue.addingReportingOverflow(recordedSequences)
        return !overflow && position.sequence.rawValue >= end
    }
}
