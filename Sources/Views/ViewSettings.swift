/// The views' limits.
package struct ViewSettings: Hashable, Sendable {
    /// Queries that run at once; each has a thread and two connections at most.
    package var queryConnections = 3
    /// Queries that may wait for a connection; one more is `busy`.
    package var maximumPendingQueries = 256
    /// Callers that may wait for a sequence; one more is `busy`.
    package var maximumWaits = 10_000
    /// What one value of a query may have, text, blob or in between.
    package var maximumValueBytes = 4 << 20
    /// The length of a query's SQL.
    package var maximumSQLBytes = 100_000
    /// Events read from the log and written in one transaction.
    package var eventsAtOnce = 8192
    /// From this many missing events on an empty file is made anew beside the old one, which is faster.
    package var rebuildEvents: UInt64 = 10_000
    /// Current rows of each versioned table that are kept in memory.
    package var rowsInMemory = 50_000
    /// SQLite's page cache while rebuilding.
    package var rebuildCacheBytes = 128 << 20
    /// SQLite's page cache of the connection that writes.
    package var writerCacheBytes = 16 << 20

    package init() {}
}
