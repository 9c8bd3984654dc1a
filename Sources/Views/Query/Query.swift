package import Domain

/// What one query may cost.
package struct QueryLimits: Hashable, Sendable {
    /// Running time; waiting for a connection is not counted.
    package var timeoutMilliseconds = 5_000
    /// More rows are cut off, and the result says so.
    package var maximumRows = 10_000
    /// The same for the bytes of all values.
    package var maximumBytes = 8 << 20
    /// What SQLite may allocate meanwhile, for sorting and the like. The count is the whole process's growth.
    package var maximumMemoryBytes = 256 << 20

    package init() {}
}

package struct QueryResult: Hashable, Sendable {
    package var columns: [String]
    /// Each as long as `columns`.
    package var rows: [[SQLValue]]
    /// The sequence that all of it is true at.
    package var sequence: LogSequence
    /// Whether a limit cut rows off.
    package var isTruncated: Bool
}

/// A query on its way.
struct QueryRequest: Sendable {
    var sql: String
    var arguments: [SQLValue]
    var sequence: LogSequence?
    var limits: QueryLimits
}
