package import Domain

extension Views {
    /// The last event at or before a time. Times never decrease along a log, so it is a binary search by sequence.
    package func place(of time: Timestamp) async throws(ViewsFailure) -> TimePlace {
        let found = try await query(
            """
            WITH RECURSIVE search(low, high) AS (
              SELECT min(sequence) - 1, max(sequence) + 1 FROM event_rows
              UNION ALL
              SELECT iif(e.time <= ?1, e.sequence, s.low), iif(e.time <= ?1, s.high, e.sequence)
              FROM search s JOIN event_rows e ON e.sequence = (s.low + s.high) / 2
              WHERE s.high - s.low > 1)
            SELECT
              (SELECT e.sequence FROM search s JOIN event_rows e ON e.sequence = s.low WHERE s.high - s.low = 1),
              (SELECT time FROM event_rows ORDER BY sequence LIMIT 1),
              (SELECT time FROM event_rows ORDER BY sequence DESC LIMIT 1)
            """,
            arguments: [.integer(time.milliseconds)])
        let numbers = (found.rows.first ?? []).map { value in
            if case .integer(let number) = value { number } else { Int64?.none }
        }
        guard numbers.count == 3 else {
            throw ViewsFailure(.damaged, "the views' file does not answer: rebuild it from the log")
        }
        return TimePlace(
            sequence: numbers[0].map { LogSequence(rawValue: UInt64(clamping: $0)) },
            first: numbers[1].map { Timestamp(milliseconds: $0) },
            last: numbers[2].map { Timestamp(milliseconds: $0) })
    }
}
