import GRDB
import GRDBSQLite

/// A connection's handle, lent by whoever opened it. Only ever used on that connection's own queue.
@safe package struct SQLiteHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

    /// The handle of one of GRDB's connections; valid inside the closure that lends the database.
    init(_ database: Database) throws(ViewsFailure) {
        guard let pointer = unsafe database.sqliteConnection else { throw .closed }
        unsafe self.pointer = unsafe pointer
    }

    var message: String { unsafe String(cString: sqlite3_errmsg(pointer)) }

    var changes: Int { Int(unsafe sqlite3_changes(pointer)) }

    /// Runs statements that have no arguments and whose rows nobody wants.
    func execute(_ sql: String) throws(ViewsFailure) {
        let code = unsafe sqlite3_exec(pointer, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code) }
    }

    /// What a result code of the views' own statements means.
    func failure(_ code: Int32) -> ViewsFailure {
        switch code & 0xff {
        case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_MISMATCH, SQLITE_CONSTRAINT, SQLITE_ERROR, SQLITE_SCHEMA:
            ViewsFailure(.damaged, "the views' file is damaged (\(message)): rebuild it from the log")
        default:
            ViewsFailure(.io, "the views' file cannot be read or written (\(message)): look at the disk, then restart")
        }
    }
}

extension ViewsFailure {
    /// What an error from GRDB or from a transaction's body means.
    init(_ error: any Error) {
        if let failure = error as? ViewsFailure {
            self = failure
        } else if let error = error as? DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_SCHEMA:
                self.init(.damaged, "the views' file is damaged (\(error)): rebuild it from the log")
            default:
                self.init(.io, "the views' file cannot be read or written (\(error)): look at the disk, then restart")
            }
        } else {
            self.init(.io, "the views' file cannot be read or written (\(error)): look at the disk, then restart")
        }
    }
}
