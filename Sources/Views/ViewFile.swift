import Codec
import Domain
import Foundation
import GRDB
import Ports
import Synchronization

/// One SQLite file of views, open for writing. Its rows and its position change in one transaction.
final class ViewFile<Mapping: ViewMapping>: Sendable {
    enum Mode: Hashable {
        /// Written behind the engine while others read: write-ahead log.
        case live
        /// Made anew, read by nobody, thrown away if `finish` does not come: no journal, one transaction, the indexes
        /// last, and versions written when they end.
        case bulk
    }

    let path: String
    private let mode: Mode
    private let database: any DatabaseWriter
    /// Nil once closed. Its statements must end before the connection does.
    private let rows: Mutex<RowWriter<Mapping>?>
    private let stored: Mutex<LogPosition?>

    /// The end of what the rows hold; nil before the first batch.
    var position: LogPosition? { stored.withLock { $0 } }

    /// Opens a file, or makes it. Fails with `views-damaged` when it is not one of this version's.
    init(path: String, mode: Mode, codec: any EventCodec<Mapping.Event>, settings: ViewSettings) throws(ViewsFailure) {
        (self.path, self.mode) = (path, mode)
        do {
            let database = try Self.open(path, mode, settings)
            let (rows, position) = try database.writeWithoutTransaction { database in
                let position = try Self.prepare(database, mode)
                let connection = try SQLiteHandle(database)
                let rows = try RowWriter<Mapping>(
                    connection: connection, codec: codec, isNew: position == nil, maximumRows: settings.rowsInMemory)
                if mode == .bulk { try connection.execute("BEGIN") }
                return (rows, position)
            }
            self.database = database
            self.rows = Mutex(rows)
            stored = Mutex(position)
        } catch {
            throw ViewsFailure(error)
        }
    }

    private static func open(_ path: String, _ mode: Mode, _ settings: ViewSettings) throws -> any DatabaseWriter {
        var configuration = Configuration()
        configuration.label = "drover.views"
        configuration.foreignKeysEnabled = false
        configuration.maximumReaderCount = 1
        configuration.allowsUnsafeTransactions = mode == .bulk
        let cacheBytes = mode == .live ? settings.writerCacheBytes : settings.rebuildCacheBytes
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY")
            try database.execute(sql: "PRAGMA cache_size = -\(cacheBytes / 1024)")
            if mode == .bulk {
                try database.execute(
                    sql: "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")
            }
        }
        switch mode {
        case .live: return try DatabasePool(path: path, configuration: configuration)
        case .bulk: return try DatabaseQueue(path: path, configuration: configuration)
        }
    }

    /// Makes the schema in an empty file; otherwise checks whose file it is, and that its end is its position.
    private static func prepare(_ database: Database, _ mode: Mode) throws -> LogPosition? {
        let schema = Mapping.schema
        if try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") == 0 {
            try database.inTransaction(.immediate) {
                let tables = mode == .live ? schema.tables : schema.tablesWithoutIndexes
                for statement in tables + schema.views { try database.execute(sql: statement) }
                try database.execute(
                    sql: "INSERT INTO view_state VALUES (1, ?, ?, NULL, 1, 0, ?)",
                    arguments: [schema.kind.rawValue, schema.fingerprint, Digest.zero.hex])
                return .commit
            }
        }
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM view_state"),
            let kind: String = row["kind"], let made: String = row["schema"], let sequence: Int64 = row["end_sequence"],
            let epoch: Int64 = row["epoch"]
        else { throw damaged("it has no state") }
        guard kind == schema.kind.rawValue else { throw damaged("it is of a \(kind) log") }
        guard made == schema.fingerprint else {
            throw ViewsFailure(.outdated, "another version of Drover made the views' file")
        }
        guard try Int64.fetchOne(database, sql: "SELECT coalesce(max(sequence), 0) FROM event_rows") == sequence else {
            throw damaged("its events do not end at its position \(sequence)")
        }
        guard let log: String = row["log"] else { return nil }
        guard let log = LogIdentity(hex: log), let chain = Digest(hex: row["chain"] as String? ?? "") else {
            throw damaged("its position is not one")
        }
        return LogPosition(
            log: log, epoch: Epoch(rawValue: UInt64(clamping: epoch)),
            sequence: LogSequence(rawValue: UInt64(clamping: sequence)), chain: chain)
    }

    private static func damaged(_ what: String) -> ViewsFailure {
        ViewsFailure(.damaged, "the views' file cannot be used: \(what); rebuild it from the log")
    }

    /// Writes whole batches and their position in one transaction: all of it or nothing.
    ///
    /// Fails with `views-forked` when they do not continue the position. `provingChain` also hashes every frame.
    func apply(_ batches: [FrameBatch], provingChain: Bool) throws(ViewsFailure) {
        guard let end = batches.last?.end else { return }
        var position = position ?? .start(of: end.log)
        for batch in batches {
            try Self.check(batch, continues: position, provingChain: provingChain)
            position = batch.end
        }
        try writing { rows throws(ViewsFailure) in
            for batch in batches {
                for frame in batch.frames {
                    try Mapping.take(
                        frame.header, type: frame.type, schemaRevision: frame.schemaRevision, frame.payload.span,
                        with: rows)
                }
            }
            return end
        }
    }

    /// Writes the store's next batches out of its own bytes, up to a position that is a batch's end; false when there
    /// are none.
    func apply(
        from store: any LogStore, maximumFrames: Int, upTo last: LogSequence?
    ) throws(ViewsFailure) -> Bool {
        let start = position ?? .start(of: store.identity)
        return try writing { rows throws(ViewsFailure) in
            var (reached, expected, problem) = (start, start.sequence, ViewsFailure?.none)
            do throws(StoreFailure) {
                try store.lend(after: start.sequence, maximumFrames: maximumFrames) {
                    header, type, schemaRevision, payload, end in
                    if let last, header.sequence > last { return }
                    guard problem == nil else { return }
                    expected = expected.next
                    do throws(ViewsFailure) {
                        guard header.sequence == expected else {
                            throw Self.forked("event \(header.sequence) comes where \(expected) should")
                        }
                        try Mapping.take(header, type: type, schemaRevision: schemaRevision, payload, with: rows)
                        if let end { reached = end }
                    } catch {
                        problem = error
                    }
                }
            } catch {
                problem = problem ?? ViewsFailure(.log, "the log cannot be read: \(error.message)")
            }
            if let problem { throw problem }
            return reached == start ? nil : reached
        }
    }

    /// Runs a body that writes rows up to a position, which becomes the file's; nil changes nothing.
    @discardableResult
    private func writing(
        _ body: (RowWriter<Mapping>) throws(ViewsFailure) -> LogPosition?
    ) throws(ViewsFailure) -> Bool {
        let end = try rows.withLock { rows throws(ViewsFailure) -> LogPosition? in
            guard let rows else { throw .closed }
            do {
                switch mode {
                case .live:
                    return try database.write { _ in
                        guard let end = try body(rows) else { return nil }
                        try rows.tables.flush()
                        try rows.write(end)
                        return end
                    }
                case .bulk:
                    return try database.writeWithoutTransaction { _ in
                        let end = try body(rows)
                        try rows.tables.makeRoom()
                        return end
                    }
                }
            } catch {
                rows.forget()
                throw ViewsFailure(error)
            }
        }
        guard let end else { return false }
        stored.withLock { $0 = end }
        return true
    }

    /// Ends what `bulk` began: everything is in the file then, but not yet durable.
    func finish() throws(ViewsFailure) {
        precondition(mode == .bulk, "only a file that is made anew is finished")
        let end = position
        try rows.withLock { rows throws(ViewsFailure) in
            guard let rows else { throw .closed }
            do {
                try database.writeWithoutTransaction { database in
                    try rows.tables.flush()
                    if let end { try rows.write(end) }
                    for statement in Mapping.schema.indexes { try database.execute(sql: statement) }
                    try database.execute(sql: "COMMIT")
                }
            } catch {
                throw ViewsFailure(error)
            }
        }
    }

    private static func check(
        _ batch: FrameBatch, continues position: LogPosition, provingChain: Bool
    ) throws(ViewsFailure) {
        guard batch.end.log == position.log else {
            throw forked("the batch is of log \(batch.end.log), they are of \(position.log)")
        }
        var expected = position.sequence
        for frame in batch.frames {
            expected = expected.next
            guard frame.header.sequence == expected else {
                throw forked("event \(frame.header.sequence) comes where \(expected) should")
            }
        }
        guard batch.end.sequence == expected, expected > position.sequence, batch.end.epoch >= position.epoch else {
            throw forked("a batch ends at \(batch.end.epoch)/\(batch.end.sequence) instead of \(expected)")
        }
        guard provingChain else { return }
        let chain: Digest?
        do throws(FrameFailure) { chain = try FrameCodec.chain(after: position.chain, batch.frames) } catch {
            chain = nil
        }
        guard chain == batch.end.chain else {
            throw forked("the batch up to \(expected) is not on the chain of \(position.sequence)")
        }
    }

    private static func forked(_ what: String) -> ViewsFailure {
        ViewsFailure(.forked, "the events do not continue the views: \(what); rebuild them from the log")
    }

    /// Ends all statements and connections.
    func close() throws(ViewsFailure) {
        rows.withLock { $0 = nil }
        do { try database.close() } catch { throw ViewsFailure(error) }
    }

    /// Removes a file with what SQLite keeps beside it.
    static func remove(_ path: String) throws(ViewsFailure) {
        for suffix in ["", "-wal", "-shm", "-journal"] where FileManager.default.fileExists(atPath: path + suffix) {
            do { try FileManager.default.removeItem(atPath: path + suffix) } catch { throw ViewsFailure(error) }
        }
    }
}
