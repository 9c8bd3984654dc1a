import Domain
import Foundation
import GRDBSQLite

/// A read-only connection for people's SQL. Used on one queue only; that is what `@unchecked` promises.
///
/// It is not one of GRDB's: SQLite has one authorizer a connection, and GRDB keeps that for itself.
///
/// The past is read through temporary views: each table is hidden by one that shows its rows as they were at a sequence,
/// and each view is made again over those, so that the same SQL works.
@safe final class QueryConnection: @unchecked Sendable {
    private let handle: SQLiteHandle
    private let watch: QueryGuard
    private let functions: QueryFunctions
    private let position: PreparedStatement

    /// - Parameter readsPast: whether queries give the sequence they want.
    init(path: String, readsPast: Bool, settings: ViewSettings) throws(ViewsFailure) {
        var pointer: OpaquePointer?
        let code = unsafe sqlite3_open_v2(path, &pointer, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nil)
        guard let pointer = unsafe pointer else { throw ViewsFailure(.io, "SQLite is out of memory") }
        let handle = unsafe SQLiteHandle(pointer)
        let (watch, functions) = (QueryGuard(readsPast: readsPast), QueryFunctions())
        do throws(ViewsFailure) {
            guard code == SQLITE_OK else { throw handle.failure(code) }
            functions.register(on: handle)
            Self.limit(handle, settings)
            try handle.execute("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192")
            unsafe _disableDoubleQuotedStringLiterals(pointer)
            try Self.meetTableFunctions(handle)
            if readsPast { try Self.createPast(handle) }
            try handle.execute("PRAGMA query_only = ON")
            position = try PreparedStatement("SELECT end_sequence FROM main.view_state", on: handle)
        } catch {
            unsafe sqlite3_close_v2(pointer)
            throw error
        }
        (self.handle, self.watch, self.functions) = (handle, watch, functions)
        watch.register(on: handle)
    }

    deinit { unsafe sqlite3_close_v2(handle.pointer) }

    private static func limit(_ handle: SQLiteHandle, _ settings: ViewSettings) {
        unsafe sqlite3_busy_timeout(handle.pointer, 10_000)
        let limits: [(Int32, Int)] = [
            (SQLITE_LIMIT_LENGTH, settings.maximumValueBytes), (SQLITE_LIMIT_SQL_LENGTH, settings.maximumSQLBytes),
            (SQLITE_LIMIT_COLUMN, 500), (SQLITE_LIMIT_EXPR_DEPTH, 200), (SQLITE_LIMIT_COMPOUND_SELECT, 50),
            (SQLITE_LIMIT_ATTACHED, 0), (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200), (SQLITE_LIMIT_VARIABLE_NUMBER, 1000),
        ]
        for (limit, value) in limits { unsafe sqlite3_limit(handle.pointer, limit, Int32(clamping: value)) }
    }

    /// SQLite declares a table function's columns by a CREATE TABLE when it is first used, which the guard would refuse.
    private static func meetTableFunctions(_ handle: SQLiteHandle) throws(ViewsFailure) {
        for name in ["json_each", "json_tree"] + QueryGuard.allowedPragmas.sorted().map({ "pragma_\($0)" }) {
            try handle.execute("SELECT 1 FROM \(name) LIMIT 0")
        }
    }

    /// Hides every table by its rows of then, and makes the views again over those, as the file has them: it may be
    /// another version's.
    private static func createPast(_ handle: SQLiteHandle) throws(ViewsFailure) {
        for name in try texts("SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY rowid", handle) {
            if let view = try pastView(of: name, handle) { try handle.execute(view) }
        }
        for view in try texts("SELECT sql FROM main.sqlite_schema WHERE type = 'view' ORDER BY rowid", handle) {
            try handle.execute("CREATE TEMP" + view.dropFirst("CREATE".count))
        }
    }

    private static func texts(_ sql: String, _ handle: SQLiteHandle) throws(ViewsFailure) -> [String] {
        let read = try PreparedStatement(sql, on: handle)
        defer { read.finish() }
        var texts: [String] = []
        while try read.step() {
            if case .text(let text) = read.value(0) { texts.append(text) }
        }
        return texts
    }

    /// Nil for a table whose rows have no time.
    private static func pastView(of table: String, _ handle: SQLiteHandle) throws(ViewsFailure) -> String? {
        let read = try PreparedStatement("SELECT name FROM pragma_table_info(?1, 'main')", on: handle)
        read.add(table)
        var columns: [String] = []
        while try read.step() {
            if case .text(let column) = read.value(0) { columns.append(column) }
        }
        read.finish()
        let isVersioned = columns.contains("to_sequence")
        guard isVersioned || columns.contains("sequence") else { return nil }
        let shown = columns.map { column in
            column == "to_sequence" ? "CASE WHEN to_sequence <= as_of() THEN to_sequence END AS to_sequence" : column
        }
        return "CREATE TEMP VIEW \(table) AS SELECT \(shown.joined(separator: ", ")) FROM main.\(table) "
            + "WHERE \(isVersioned ? "from_sequence" : "sequence") <= as_of()"
    }

    /// Runs one query in a transaction of its own.
    func run(_ request: QueryRequest, _ cancellation: QueryCancellation) throws(ViewsFailure) -> QueryResult {
        try handle.execute("BEGIN")
        defer { unsafe _ = sqlite3_exec(handle.pointer, "ROLLBACK", nil, nil, nil) }
        guard case .integer(let stored)? = try position.first() else {
            throw ViewsFailure(.damaged, "the views' file has no state: rebuild it from the log")
        }
        let head = LogSequence(rawValue: UInt64(clamping: stored))
        let sequence = request.sequence ?? head
        guard sequence <= head else { throw .behind(sequence, at: head) }
        functions.sequence = Int64(clamping: sequence.rawValue)
        watch.begin(request.limits, cancellation)
        defer { watch.end() }
        let statement = try UntrustedStatement(request, on: handle, watch)
        return try statement.result(request.limits, sequence: sequence)
    }
}

/// What the views call.
@safe final class QueryFunctions: @unchecked Sendable {
    /// What `as_of()` answers; constant while a query runs.
    var sequence: Int64 = 0

    /// The functions live as long as the connection, whose owner keeps them.
    func register(on handle: SQLiteHandle) {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS
        unsafe sqlite3_create_function_v2(
            handle.pointer, "as_of", 0, flags, context,
            { call, _, _ in unsafe sqlite3_result_int64(call, QueryFunctions.from(call).sequence) }, nil, nil, nil)
        unsafe sqlite3_create_function_v2(
            handle.pointer, "event_data", 3, flags, context,
            { call, _, values in
                guard let values = unsafe values else { return }
                let type = UInt16(truncatingIfNeeded: unsafe sqlite3_value_int64(values[0]))
                let revision = UInt16(truncatingIfNeeded: unsafe sqlite3_value_int64(values[1]))
                let count = Int(unsafe sqlite3_value_bytes(values[2]))
                let bytes = unsafe UnsafeRawBufferPointer(start: sqlite3_value_blob(values[2]), count: count)
                guard let text = eventData(type, revision, unsafe Array(bytes)) else {
                    return unsafe sqlite3_result_null(call)
                }
                unsafe sqlite3_result_text(
                    call, text, Int32(text.utf8.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
            }, nil, nil, nil)
    }

    @unsafe private static func from(_ call: OpaquePointer?) -> QueryFunctions {
        unsafe Unmanaged<QueryFunctions>.fromOpaque(sqlite3_user_data(call)).takeUnretainedValue()
    }
}

extension QueryGuard {
    /// SQLite asks while a statement is compiled, and now and then while it runs. Its owner keeps the guard as long as
    /// the connection.
    func register(on handle: SQLiteHandle) {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe sqlite3_set_authorizer(
            handle.pointer,
            { context, action, first, second, schema, view in
                let watch = unsafe Unmanaged<QueryGuard>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
                func text(_ pointer: UnsafePointer<CChar>?) -> String? {
                    unsafe pointer.map { unsafe String(cString: $0) }
                }
                let isAllowed = unsafe watch.authorizes(
                    action, text(first), text(second), schema: text(schema), view: text(view))
                return isAllowed ? SQLITE_OK : SQLITE_DENY
            }, context)
        unsafe sqlite3_progress_handler(
            handle.pointer, Self.instructionsBetweenLooks,
            { context in
                let watch = unsafe Unmanaged<QueryGuard>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
                return watch.shouldStop() ? 1 : 0
            }, context)
    }

    private static var instructionsBetweenLooks: Int32 { 1000 }
}
