package import Codec
package import Domain
import Foundation
import GRDBSQLite
package import Ports

/// The first row in which views differ from a fresh fold of their log.
package struct ViewDifference: Hashable, Sendable, CustomStringConvertible {
    package var table: String
    /// The views' row as text; nil where they have none.
    package var stored: String?
    /// The fresh one's.
    package var fresh: String?

    package var description: String {
        "\(table): the views have \(stored ?? "no row"), the log says \(fresh ?? "none")"
    }
}

extension Views {
    /// Folds the log afresh up to the views' position and compares every row; nil when all are equal.
    ///
    /// Fails with `views-forked` when the position is not on the log's chain, with `views-damaged` when SQLite itself
    /// finds the file unsound. Costs a rebuild, and as much disk beside the file meanwhile.
    package func difference(from store: any LogStore) throws(ViewsFailure) -> ViewDifference? {
        try Self.difference(path, codec: codec, settings: settings, from: store, scratch: path + ".verify")
    }

    /// The same of a file that may be in use elsewhere, which is only read. The fresh fold goes into `scratch` meanwhile.
    package static func difference(
        _ path: String, codec: any EventCodec<Mapping.Event>, settings: ViewSettings = ViewSettings(),
        from store: any LogStore, scratch: String, progress: (LogSequence) -> Void = { _ in }
    ) throws(ViewsFailure) -> ViewDifference? {
        let stored = try ComparedFile(path, schema: Mapping.schema)
        guard let end = try stored.position else { return nil }
        let chained = try reading { () throws(StoreFailure) in try store.position(at: end.sequence) }
        guard chained == end else {
            throw ViewsFailure(
                .forked, "the views are at \(end.sequence), which is not on the log's chain: rebuild them")
        }
        try stored.check()
        defer { try? ViewFile<Mapping>.remove(scratch) }
        try make(scratch, codec: codec, settings: settings) { file throws(ViewsFailure) in
            while file.position?.sequence ?? .zero < end.sequence {
                guard try file.apply(from: store, maximumFrames: settings.eventsAtOnce, upTo: end.sequence) else {
                    return
                }
                progress(file.position?.sequence ?? .zero)
            }
        }
        return try stored.difference(from: try ComparedFile(scratch, schema: Mapping.schema))
    }

    /// Whether a file of views was made by this version: another's is made again at the next start, and not compared.
    package static func isComparable(_ path: String) throws(ViewsFailure) -> Bool {
        try ComparedFile(path, schema: Mapping.schema).isOfThisVersion
    }
}

/// A file of views seen at one moment, for comparison.
@safe final class ComparedFile {
    private let handle: SQLiteHandle
    private let schema: ViewSchema

    init(_ path: String, schema: ViewSchema) throws(ViewsFailure) {
        var pointer: OpaquePointer?
        let code = unsafe sqlite3_open_v2(path, &pointer, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nil)
        guard let pointer = unsafe pointer else { throw ViewsFailure(.io, "SQLite is out of memory") }
        handle = unsafe SQLiteHandle(pointer)
        self.schema = schema
        guard code == SQLITE_OK else { throw handle.failure(code) }
        unsafe sqlite3_busy_timeout(pointer, 10_000)
        try handle.execute("BEGIN")
    }

    deinit { unsafe sqlite3_close_v2(handle.pointer) }

    var position: LogPosition? {
        get throws(ViewsFailure) {
            let read = try PreparedStatement("SELECT log, epoch, end_sequence, chain FROM view_state", on: handle)
            defer { read.finish() }
            guard try read.step(), case .text(let log) = read.value(0), case .integer(let epoch) = read.value(1),
                case .integer(let sequence) = read.value(2), case .text(let chain) = read.value(3),
                let log = LogIdentity(hex: log), let chain = Digest(hex: chain)
            else { return nil }
            return LogPosition(
                log: log, epoch: Epoch(rawValue: UInt64(clamping: epoch)),
                sequence: LogSequence(rawValue: UInt64(clamping: sequence)), chain: chain)
        }
    }

    var isOfThisVersion: Bool {
        get throws(ViewsFailure) {
            let read = try PreparedStatement("SELECT schema FROM view_state", on: handle)
            return try read.first() == .text(schema.fingerprint)
        }
    }

    /// SQLite's own view of its file: pages, rows, and indexes against their tables.
    func check() throws(ViewsFailure) {
        let check = try PreparedStatement("PRAGMA integrity_check(1)", on: handle)
        if let answer = try check.first(), answer != .text("ok") {
            throw ViewsFailure(.damaged, "the views' file is damaged (\(answer)): rebuild it from the log")
        }
    }

    func difference(from fresh: ComparedFile) throws(ViewsFailure) -> ViewDifference? {
        for table in try tables() {
            if let difference = try difference(in: table, from: fresh) { return difference }
        }
        return nil
    }

    private func tables() throws(ViewsFailure) -> [String] {
        let read = try PreparedStatement(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", on: handle)
        var names: [String] = []
        while try read.step() {
            if case .text(let name) = read.value(0) { names.append(name) }
        }
        read.finish()
        return names
    }

    private func difference(in table: String, from fresh: ComparedFile) throws(ViewsFailure) -> ViewDifference? {
        let sql = "SELECT * FROM \(table) ORDER BY \(try order(of: table))"
        let (mine, other) = (try PreparedStatement(sql, on: handle), try PreparedStatement(sql, on: fresh.handle))
        while true {
            let (row, freshRow) = (try Self.next(mine), try Self.next(other))
            if row != freshRow {
                return ViewDifference(table: table, stored: row.map(Self.text), fresh: freshRow.map(Self.text))
            }
            if row == nil { return nil }
        }
    }

    private static func text(_ row: [SQLValue]) -> String { "(\(row.map(\.description).joined(separator: ", ")))" }

    private static func next(_ statement: PreparedStatement) throws(ViewsFailure) -> [SQLValue]? {
        guard try statement.step() else {
            statement.finish()
            return nil
        }
        return (0..<statement.columnCount).map { statement.value($0) }
    }

    /// A table's primary key.
    private func order(of table: String) throws(ViewsFailure) -> String {
        let read = try PreparedStatement(
            "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk)",
            on: handle)
        read.add(table)
        guard case .text(let columns)? = try read.first() else { return "1" }
        return columns
    }
}
