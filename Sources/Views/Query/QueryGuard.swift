import Domain
import GRDBSQLite
import Synchronization

/// Watches one connection's queries: what they may touch, and how long and how much they may take.
///
/// SQLite calls it on the thread that runs the query; only `isCancelled` is set from elsewhere.
final class QueryGuard: @unchecked Sendable {
    enum Stop {
        case time, memory, cancel
    }

    private let readsPast: Bool
    /// While the connection's own statements run: everything is allowed.
    var isTrusted = true
    /// The first thing that was refused in this query.
    private(set) var refusal: String?
    private(set) var stop: Stop?
    private var deadline = ContinuousClock.now
    private var memoryLimit: Int64 = .max
    private var cancellation: QueryCancellation?

    /// - Parameter readsPast: refuse what would show rows of later than the sequence asked for.
    init(readsPast: Bool) { self.readsPast = readsPast }

    func begin(_ limits: QueryLimits, _ cancellation: QueryCancellation) {
        refusal = nil
        stop = nil
        deadline = .now + .milliseconds(limits.timeoutMilliseconds)
        memoryLimit = sqlite3_memory_used() + Int64(limits.maximumMemoryBytes)
        self.cancellation = cancellation
        isTrusted = false
    }

    func end() {
        isTrusted = true
        cancellation = nil
    }

    /// Whether the running query must stop now.
    func shouldStop() -> Bool {
        guard !isTrusted, stop == nil else { return stop != nil && !isTrusted }
        if cancellation?.isCancelled == true {
            stop = .cancel
        } else if ContinuousClock.now >= deadline {
            stop = .time
        } else if sqlite3_memory_used() > memoryLimit {
            stop = .memory
        }
        return stop != nil
    }

    /// Whether SQLite may compile this part of a statement.
    func authorizes(_ action: Int32, _ first: String?, _ second: String?, schema: String?, view: String?) -> Bool {
        if isTrusted { return true }
        let problem = problem(action, first ?? "", second ?? "", schema: schema, view: view)
        if let problem, refusal == nil { refusal = problem }
        return problem == nil
    }

    private func problem(
        _ action: Int32, _ first: String, _ second: String, schema: String?, view: String?
    ) -> String? {
        switch action {
        case SQLITE_SELECT, SQLITE_RECURSIVE: nil
        case SQLITE_READ: readProblem(table: first, column: second, schema: schema, view: view)
        case SQLITE_FUNCTION:
            Self.refusedFunctions.contains(second.lowercased()) ? "the function \(second)()" : nil
        case SQLITE_PRAGMA: Self.allowedPragmas.contains(first.lowercased()) ? nil : "PRAGMA \(first)"
        case SQLITE_INSERT: "INSERT into \(first)"
        case SQLITE_UPDATE: "UPDATE of \(first)"
        case SQLITE_DELETE: "DELETE from \(first)"
        case SQLITE_ATTACH: "ATTACH"
        case SQLITE_DETACH: "DETACH"
        case SQLITE_TRANSACTION, SQLITE_SAVEPOINT: "\(first) of a transaction"
        case SQLITE_ALTER_TABLE: "ALTER TABLE"
        case SQLITE_REINDEX, SQLITE_ANALYZE: "a change of an index"
        case SQLITE_CREATE_INDEX...SQLITE_CREATE_VIEW, SQLITE_CREATE_VTABLE: "CREATE"
        case SQLITE_DROP_INDEX...SQLITE_DROP_VIEW, SQLITE_DROP_VTABLE: "DROP"
        default: "action \(action) of SQLite"
        }
    }

    /// The temporary views read the tables from within; a person's own `main.` would show what came later. Without a
    /// column (as in `count(*)`) SQLite does not say who reads.
    private func readProblem(table: String, column: String, schema: String?, view: String?) -> String? {
        if Self.refusedTables.contains(table.lowercased()) { return "the table \(table)" }
        if readsPast, schema == "main", view == nil, !column.isEmpty, !Self.isTimeless(table) {
            return "main.\(table) at a sequence (it holds what came later; leave \"main.\" away)"
        }
        return nil
    }

    /// What tells of the schema and changes nothing.
    static let allowedPragmas: Set = [
        "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo",
    ]
    private static let refusedFunctions: Set = ["load_extension", "fts3_tokenizer"]
    /// The file's raw pages.
    private static let refusedTables: Set = ["sqlite_dbpage"]
    private static func isTimeless(_ table: String) -> Bool {
        ["actors", "event_types", "json_each", "json_tree"].contains(table) || table.hasPrefix("sqlite_")
            || table.hasPrefix("pragma_")
    }
}

/// Set by who asked, seen by the query.
final class QueryCancellation: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .relaxed) }

    func cancel() { flag.store(true, ordering: .relaxed) }
}
