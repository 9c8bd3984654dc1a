import CLMDB
import Glibc

/// One transaction, alive inside the closure of `Environment.read` or `write` only. What it lends must not leave the
/// closure it is lent to.
@safe package struct Transaction: ~Copyable {
    private let opened: OpenedEnvironment
    /// Nil once committed, so that the end of its life does not abort it.
    private var handle: OpaquePointer?

    private init(_ opened: OpenedEnvironment, _ handle: OpaquePointer?) {
        unsafe (self.opened, self.handle) = (opened, handle)
    }

    deinit {
        if let handle = unsafe handle { unsafe mdb_txn_abort(handle) }
    }

    static func begin(_ opened: OpenedEnvironment, isReadOnly: Bool) throws(LMDBFailure) -> Transaction {
        var handle: OpaquePointer?
        let mode = isReadOnly ? UInt32(MDB_RDONLY) : 0
        unsafe try check(mdb_txn_begin(opened.handle, nil, mode, &handle), "beginning a transaction")
        return unsafe Transaction(opened, handle)
    }

    consuming func commit() throws(LMDBFailure) {
        let ending = unsafe handle
        unsafe handle = nil
        let code = unsafe mdb_txn_commit(ending)
        guard code != MDB_SUCCESS else { return }
        throw Self.failure(opened, code)
    }

    /// What a failed commit leaves behind. A failed write of the meta page always ends in panic; an IO error before it
    /// changes nothing that can be read, but says too little about the disk to promise that.
    private static func failure(_ opened: OpenedEnvironment, _ code: Int32) -> LMDBFailure {
        var failure = LMDBFailure(number: code, call: "committing")
        // LMDB reports a write that was cut short as EIO; on a full disk that is what it was.
        if failure.code == .io && opened.isDiskFull() { failure = LMDBFailure(number: ENOSPC, call: "committing") }
        switch failure.code {
        case .mapFull: break
        case .diskFull: failure.mayHaveCommitted = isInPanic(opened)
        default: failure.mayHaveCommitted = true
        }
        return failure
    }

    /// Whether the failed write was that of the meta page, after which the commit's outcome is unknown.
    private static func isInPanic(_ opened: OpenedEnvironment) -> Bool {
        var probe: OpaquePointer?
        let code = unsafe mdb_txn_begin(opened.handle, nil, 0, &probe)
        if code == MDB_SUCCESS { unsafe mdb_txn_abort(probe) }
        return code == MDB_PANIC
    }
}

extension Transaction {
    /// How many entries a database has, by its own count.
    package borrowing func count(_ database: Environment.Database) throws(LMDBFailure) -> UInt64 {
        var statistics = MDB_stat()
        unsafe try check(mdb_stat(handle, opened.databases[database.index], &statistics), "counting")
        return UInt64(statistics.ms_entries)
    }

    /// How many named databases the environment has.
    package borrowing func countDatabases() throws(LMDBFailure) -> UInt64 {
        var main: MDB_dbi = 0
        unsafe try check(mdb_dbi_open(handle, nil, 0, &main), "opening the main database")
        var statistics = MDB_stat()
        unsafe try check(mdb_stat(handle, main, &statistics), "counting")
        return UInt64(statistics.ms_entries)
    }

    /// Lends the value of a key; nil when there is none.
    package borrowing func value<Result>(
        _ database: Environment.Database, key: borrowing Span<UInt8>, _ body: (Span<UInt8>) throws -> Result
    ) throws -> Result? {
        try unsafe key.withUnsafeBufferPointer { bytes in
            var key = unsafe MDB_val(bytes)
            var value = unsafe MDB_val()
            let code = unsafe mdb_get(handle, opened.databases[database.index], &key, &value)
            if code == MDB_NOTFOUND { return nil }
            try check(code, "reading")
            return try unsafe value.lend(body)
        }
    }

    /// Stores a value. `appending` wants keys in growing order (`key-exists` otherwise) and fills pages to the end.
    package borrowing func put(
        _ database: Environment.Database, key: borrowing Span<UInt8>, value: borrowing Span<UInt8>, appending: Bool
    ) throws {
        try unsafe key.withUnsafeBufferPointer { key in
            try unsafe value.withUnsafeBufferPointer { value in
                var key = unsafe MDB_val(key)
                var value = unsafe MDB_val(value)
                let flags = appending ? UInt32(MDB_APPEND) : 0
                unsafe try check(
                    mdb_put(handle, opened.databases[database.index], &key, &value, flags), "writing")
            }
        }
    }

    /// Takes an entry away; `missing` when there is none.
    package borrowing func delete(_ database: Environment.Database, key: borrowing Span<UInt8>) throws {
        try unsafe key.withUnsafeBufferPointer { key in
            var key = unsafe MDB_val(key)
            unsafe try check(mdb_del(handle, opened.databases[database.index], &key, nil), "deleting")
        }
    }

    /// Lends the last entry; nil when the database is empty.
    package borrowing func last<Result>(
        _ database: Environment.Database, _ body: (_ key: Span<UInt8>, _ value: Span<UInt8>) throws -> Result
    ) throws -> Result? {
        var result: Result?
        try unsafe withCursor(database, from: nil, first: MDB_LAST) { key, value in
            result = try body(key, value)
            return false
        }
        return result
    }

    /// Lends entries in the order of their keys, from the first key that is not below `from` (nil: from the very
    /// first), until the closure answers false.
    package borrowing func scan(
        _ database: Environment.Database, from: borrowing Span<UInt8>,
        _ body: (_ key: Span<UInt8>, _ value: Span<UInt8>) throws -> Bool
    ) throws {
        try unsafe from.withUnsafeBufferPointer { from in
            unsafe try withCursor(
                database, from: from, first: from.isEmpty ? MDB_FIRST : MDB_SET_RANGE, body)
        }
    }

    private borrowing func withCursor(
        _ database: Environment.Database, from: UnsafeBufferPointer<UInt8>?, first: MDB_cursor_op,
        _ body: (Span<UInt8>, Span<UInt8>) throws -> Bool
    ) throws {
        var cursor: OpaquePointer?
        unsafe try check(mdb_cursor_open(handle, opened.databases[database.index], &cursor), "opening a cursor")
        defer { unsafe mdb_cursor_close(cursor) }
        var key = unsafe from.map { unsafe MDB_val($0) } ?? MDB_val()
        var value = unsafe MDB_val()
        var code = unsafe mdb_cursor_get(cursor, &key, &value, first)
        while code == MDB_SUCCESS {
            let goesOn = unsafe try key.lend { key in unsafe try value.lend { value in try body(key, value) } }
            guard goesOn else { return }
            code = unsafe mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
        }
        if code != MDB_NOTFOUND { try check(code, "reading") }
    }
}

extension MDB_val {
    /// Borrows the buffer for one call.
    fileprivate init(_ bytes: UnsafeBufferPointer<UInt8>) {
        unsafe self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    fileprivate func lend<Result>(_ body: (Span<UInt8>) throws -> Result) throws -> Result {
        let bytes = unsafe UnsafeBufferPointer(
            start: mv_data?.assumingMemoryBound(to: UInt8.self), count: mv_data == nil ? 0 : mv_size)
        return try body(unsafe Span(_unsafeElements: bytes))
    }
}
