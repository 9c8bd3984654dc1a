import Domain
import GRDBSQLite

/// One compiled statement, bound and run again and again without allocating.
///
/// Its connection must outlive it. Values are added in the order of the parameters `?1`, `?2`, ...
@safe final class PreparedStatement {
    private let handle: OpaquePointer
    private let connection: SQLiteHandle
    private var bound: Int32 = 0
    /// This run's texts and blobs, which SQLite reads where they are; those that do not fit it copies.
    private let scratch: UnsafeMutableRawBufferPointer
    private var scratchBytes = 0
    private static let maximumScratchBytes = 4096
    /// What the values of this run were, as far as binding went.
    private var bindingCode = SQLITE_OK

    init(_ sql: String, on connection: SQLiteHandle) throws(ViewsFailure) {
        var statement: OpaquePointer?
        let code = unsafe sqlite3_prepare_v3(
            connection.pointer, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement = unsafe statement else { throw connection.failure(code) }
        unsafe handle = unsafe statement
        self.connection = connection
        unsafe scratch = .allocate(byteCount: Self.maximumScratchBytes, alignment: 1)
    }

    deinit {
        unsafe sqlite3_finalize(handle)
        unsafe scratch.deallocate()
    }

    @discardableResult
    func add(_ value: Int64) -> PreparedStatement {
        bound += 1
        bindingCode |= unsafe sqlite3_bind_int64(handle, bound, value)
        return self
    }

    /// SQLite's integers end at 2^63 - 1; no log of ours gets there.
    @discardableResult
    func add(_ value: UInt64) -> PreparedStatement { add(Int64(clamping: value)) }

    @discardableResult
    func add(_ value: Bool) -> PreparedStatement { add(value ? 1 as Int64 : 0) }

    @discardableResult
    func add(_ value: UInt64?) -> PreparedStatement {
        if let value { add(value) } else { addNull() }
    }

    @discardableResult
    func add(_ value: String) -> PreparedStatement {
        bound += 1
        var value = value
        bindingCode |= value.withUTF8 { bytes in
            let (text, destructor) = unsafe lasting(UnsafeRawBufferPointer(bytes))
            return unsafe sqlite3_bind_text(
                handle, bound, text.assumingMemoryBound(to: CChar.self), Int32(bytes.count), destructor)
        }
        return self
    }

    @discardableResult
    func add(_ value: String?) -> PreparedStatement {
        if let value { add(value) } else { addNull() }
    }

    @discardableResult
    func add(_ value: borrowing Span<UInt8>) -> PreparedStatement {
        bound += 1
        bindingCode |= unsafe value.withUnsafeBytes { bytes in
            let (blob, destructor) = unsafe lasting(bytes)
            return unsafe sqlite3_bind_blob(handle, bound, blob, Int32(bytes.count), destructor)
        }
        return self
    }

    /// A value's bytes at a place that lasts until the run ends, if there is room. Never nil, which would be NULL.
    @unsafe private func lasting(
        _ bytes: UnsafeRawBufferPointer
    ) -> (UnsafeRawPointer, sqlite3_destructor_type?) {
        guard let start = unsafe scratch.baseAddress else { preconditionFailure("an allocation has an address") }
        guard let source = bytes.baseAddress else { return (UnsafeRawPointer(start), nil) }
        guard bytes.count <= Self.maximumScratchBytes - scratchBytes else { return unsafe (source, transient) }
        let place = unsafe start + scratchBytes
        unsafe place.copyMemory(from: source, byteCount: bytes.count)
        scratchBytes += bytes.count
        return (UnsafeRawPointer(place), nil)
    }

    @discardableResult
    func add(_ value: [UInt8]) -> PreparedStatement { add(value.span) }

    @discardableResult
    func add(_ value: Digest) -> PreparedStatement { add(value.bytes) }

    @discardableResult
    func addNull() -> PreparedStatement {
        bound += 1
        bindingCode |= unsafe sqlite3_bind_null(handle, bound)
        return self
    }

    @discardableResult
    func add(_ value: Double) -> PreparedStatement {
        bound += 1
        bindingCode |= unsafe sqlite3_bind_double(handle, bound, value)
        return self
    }

    @discardableResult
    func add(_ value: SQLValue) -> PreparedStatement {
        switch value {
        case .null: addNull()
        case .integer(let value): add(value)
        case .real(let value): add(value)
        case .text(let value): add(value)
        case .blob(let value): add(value)
        }
    }

    /// Runs a statement without rows; the number of rows it changed.
    @discardableResult
    func run() throws(ViewsFailure) -> Int {
        try step() ? finish() : finish()
        return connection.changes
    }

    /// Moves to the next row; false at the end. `finish` must follow.
    func step() throws(ViewsFailure) -> Bool {
        guard bindingCode == SQLITE_OK else {
            finish()
            throw ViewsFailure(.io, "a value of an event does not fit into the views: SQLite is out of memory")
        }
        switch unsafe sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let failure = connection.failure(code)
            finish()
            throw failure
        }
    }

    /// Ready for the next run.
    func finish() {
        unsafe sqlite3_reset(handle)
        bound = 0
        scratchBytes = 0
        bindingCode = SQLITE_OK
    }

    var columnCount: Int { Int(unsafe sqlite3_column_count(handle)) }

    func columnName(_ column: Int) -> String {
        unsafe sqlite3_column_name(handle, Int32(column)).map { unsafe String(cString: $0) } ?? ""
    }

    func value(_ column: Int) -> SQLValue { unsafe SQLValue(column: Int32(column), of: handle) }

    /// The first column of the first row, if there is one.
    func first() throws(ViewsFailure) -> SQLValue? {
        let value = try step() ? value(0) : nil
        finish()
        return value
    }
}

/// Tells SQLite to copy a value before the call returns.
private let transient = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)

/// A value of SQLite's, as stored.
package enum SQLValue: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    /// The current row's value.
    @unsafe init(column: Int32, of statement: OpaquePointer) {
        switch unsafe sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: self = unsafe .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: self = unsafe .real(sqlite3_column_double(statement, column))
        case SQLITE_NULL: self = .null
        case SQLITE_TEXT:
            guard let start = unsafe sqlite3_column_text(statement, column) else {
                self = .text("")
                return
            }
            let count = Int(unsafe sqlite3_column_bytes(statement, column))
            self = .text(unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self))
        default:
            let count = Int(unsafe sqlite3_column_bytes(statement, column))
            self = .blob(
                unsafe Array(UnsafeRawBufferPointer(start: sqlite3_column_blob(statement, column), count: count)))
        }
    }

    /// What it counts against a query's limit of bytes.
    var byteCount: Int {
        switch self {
        case .null, .integer, .real: 8
        case .text(let text): text.utf8.count
        case .blob(let bytes): bytes.count
        }
    }
}

extension SQLValue: CustomStringConvertible {
    /// As SQL writes it.
    package var description: String {
        switch self {
        case .null: "NULL"
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let text): "'\(text)'"
        case .blob(let bytes): "x'\(hexadecimal(bytes))'"
        }
    }
}
