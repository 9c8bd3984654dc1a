package import Domain

/// Where a state's hash is taken, and looked at.
package struct StateHashing: Hashable, Sendable {
    /// Behind every so many events, at the end of the batch that holds them.
    package var intervalEvents: UInt64
    /// Hashes of states up to here are passed over.
    private var start = LogSequence.zero

    package init(intervalEvents: UInt64 = 100_000) { self.intervalEvents = max(1, intervalEvents) }

    /// Whether the state is hashed at an end of a batch, the one before having ended at `sequence`.
    package func isDue(after sequence: LogSequence, at end: LogSequence) -> Bool {
        end > start && end.rawValue / intervalEvents > sequence.rawValue / intervalEvents
    }

    /// Only the newest one or two: a start that compared them all would take much longer than its replay.
    package func latest(before head: LogPosition) -> StateHashing {
        var latest = self
        let events = head.sequence.rawValue
        latest.start = LogSequence(rawValue: events - min(events, intervalEvents &* 2))
        return latest
    }
}
