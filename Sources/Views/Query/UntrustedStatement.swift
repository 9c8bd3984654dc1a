import Domain
import GRDBSQLite

/// A person's statement: compiled under the guard, exactly one, reading only.
@safe final class UntrustedStatement {
    private let statement: OpaquePointer
    private let handle: SQLiteHandle
    private let watch: QueryGuard

    init(_ request: QueryRequest, on handle: SQLiteHandle, _ watch: QueryGuard) throws(ViewsFailure) {
        guard !request.sql.utf8.contains(0) else { throw ViewsFailure(.badSQL, "the SQL has a zero byte") }
        let (first, end) = unsafe Self.prepare(request.sql[...], on: handle)
        guard let first = unsafe first else {
            let failure = Self.failure(handle, watch)
            // What is wrong with a change (of a view, say) SQLite may find out before it asks the guard.
            if failure?.code == .badSQL, Self.isChange(request.sql) { throw Self.readOnly }
            throw failure ?? ViewsFailure(.badSQL, "there is no statement in the SQL: write a SELECT")
        }
        unsafe statement = unsafe first
        (self.handle, self.watch) = (handle, watch)
        guard try Self.isEmpty(request.sql[end...], on: handle) else {
            throw ViewsFailure(.refused, "only one statement at a time is run: leave what follows the first away")
        }
        guard unsafe sqlite3_stmt_readonly(statement) != 0 else {
            throw Self.readOnly
        }
        try bind(request.arguments)
    }

    deinit { unsafe sqlite3_finalize(statement) }

    private static let readOnly = ViewsFailure(.refused, "the views are read only: only a SELECT is run")

    private static func isChange(_ sql: String) -> Bool {
        let word = sql.drop { $0.isWhitespace }.prefix { $0.isLetter }.lowercased()
        return ["insert", "replace", "update", "delete", "create", "drop", "alter"].contains(word)
    }

    /// Compiles the first statement of a text, and says where it ends; none for blanks, comments and errors.
    @unsafe private static func prepare(
        _ sql: Substring, on handle: SQLiteHandle
    ) -> (OpaquePointer?, end: String.Index) {
        var statement: OpaquePointer?
        var text = String(sql)
        let used = text.withUTF8 { bytes in
            unsafe bytes.withMemoryRebound(to: CChar.self) { bytes in
                var tail: UnsafePointer<CChar>?
                unsafe sqlite3_prepare_v3(
                    handle.pointer, bytes.baseAddress, Int32(clamping: bytes.count), 0, &statement, &tail)
                guard let tail = unsafe tail, let start = bytes.baseAddress else { return 0 }
                return unsafe tail - start
            }
        }
        return unsafe (statement, sql.utf8.index(sql.startIndex, offsetBy: used))
    }

    /// Whether there are only blanks and comments.
    private static func isEmpty(_ sql: Substring, on handle: SQLiteHandle) throws(ViewsFailure) -> Bool {
        var rest = sql
        while !rest.isEmpty {
            let (statement, end) = unsafe prepare(rest, on: handle)
            if unsafe statement != nil {
                unsafe sqlite3_finalize(statement)
                return false
            }
            if unsafe sqlite3_errcode(handle.pointer) != SQLITE_OK { return false }
            if end == rest.startIndex { return true }
            rest = rest[end...]
        }
        return true
    }

    private func bind(_ arguments: [SQLValue]) throws(ViewsFailure) {
        let wanted = Int(unsafe sqlite3_bind_parameter_count(statement))
        guard wanted == arguments.count else {
            throw ViewsFailure(.badSQL, "the SQL has \(wanted) parameters, but \(arguments.count) values were given")
        }
        for (index, argument) in arguments.enumerated() {
            guard unsafe bindValue(argument, to: statement, at: Int32(index + 1)) == SQLITE_OK else {
                throw ViewsFailure(.tooLarge, "argument \(index + 1) is too large")
            }
        }
    }

    /// All rows within the limits.
    func result(_ limits: QueryLimits, sequence: LogSequence) throws(ViewsFailure) -> QueryResult {
        let count = unsafe sqlite3_column_count(statement)
        let columns = (0..<count).map { column in
            unsafe sqlite3_column_name(statement, column).map { unsafe String(cString: $0) } ?? ""
        }
        var result = QueryResult(columns: columns, rows: [], sequence: sequence, isTruncated: false)
        var bytes = 0
        while try step() {
            guard result.rows.count < limits.maximumRows else {
                result.isTruncated = true
                break
            }
            let row = (0..<count).map { unsafe SQLValue(column: $0, of: statement) }
            bytes += row.reduce(0) { $0 + $1.byteCount }
            guard bytes <= limits.maximumBytes else {
                result.isTruncated = true
                break
            }
            result.rows.append(row)
        }
        return result
    }

    private func step() throws(ViewsFailure) -> Bool {
        // A query that gives row after row runs too few instructions in one step to be looked at by SQLite itself.
        if watch.shouldStop() { throw Self.failure(handle, watch) ?? .cancelled }
        switch unsafe sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw Self.failure(handle, watch) ?? ViewsFailure(.badSQL, handle.message)
        }
    }

    /// What went wrong last; nil when nothing did.
    private static func failure(_ handle: SQLiteHandle, _ watch: QueryGuard) -> ViewsFailure? {
        if let refusal = watch.refusal {
            return ViewsFailure(.refused, "\(refusal) is refused: the views are read only, through SELECT")
        }
        switch watch.stop {
        case .time: return ViewsFailure(.tooSlow, "the query took too long: narrow it, or raise its time limit")
        case .memory: return ViewsFailure(.tooLarge, "the query needs too much memory: narrow it")
        case .cancel: return .cancelled
        case nil: break
        }
        let code = unsafe sqlite3_errcode(handle.pointer)
        switch code & 0xff {
        case SQLITE_OK: return nil
        case SQLITE_TOOBIG, SQLITE_NOMEM, SQLITE_FULL:
            return ViewsFailure(.tooLarge, "the query makes a value or a text that is too large (\(handle.message))")
        case SQLITE_READONLY, SQLITE_AUTH:
            return ViewsFailure(.refused, "the views are read only: \(handle.message)")
        case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_IOERR, SQLITE_BUSY, SQLITE_CANTOPEN: return handle.failure(code)
        default:
            let offset = unsafe sqlite3_error_offset(handle.pointer)
            return ViewsFailure(
                .badSQL, handle.message + (offset < 0 ? "" : " (at byte \(offset))"),
                offset: offset < 0 ? nil : Int(offset))
        }
    }
}

@unsafe private func bindValue(_ value: SQLValue, to statement: OpaquePointer, at place: Int32) -> Int32 {
    let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    return switch value {
    case .null: unsafe sqlite3_bind_null(statement, place)
    case .integer(let number): unsafe sqlite3_bind_int64(statement, place, number)
    case .real(let number): unsafe sqlite3_bind_double(statement, place, number)
    case .text(let text): unsafe sqlite3_bind_text(statement, place, text, Int32(clamping: text.utf8.count), copied)
    case .blob(let bytes):
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe bytes.isEmpty
                ? sqlite3_bind_zeroblob(statement, place, 0)
                : sqlite3_bind_blob(statement, place, bytes.baseAddress, Int32(clamping: bytes.count), copied)
        }
    }
}
