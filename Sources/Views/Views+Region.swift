package import Domain

extension Views where Mapping == RegionalViews {
    /// The last event of this regional log whose adopted global position is at or before a global sequence: where the
    /// region answers a question about that global sequence.
    package func localSequence(ofGlobal sequence: LogSequence) async throws(ViewsFailure) -> LogSequence {
        let found = try await query(
            """
            SELECT coalesce(
              (SELECT min(sequence) - 1 FROM adoption_rows WHERE sequence > coalesce(
                (SELECT sequence FROM adoption_rows WHERE global_sequence <= ?1 ORDER BY sequence DESC LIMIT 1), 0)),
              (SELECT end_sequence FROM view_state))
            """,
            arguments: [.integer(Int64(clamping: sequence.rawValue))])
        guard case .integer(let local)? = found.rows.first?.first else {
            throw ViewsFailure(.damaged, "the views' file has no state: rebuild it from the log")
        }
        return LogSequence(rawValue: UInt64(clamping: local))
    }
}
