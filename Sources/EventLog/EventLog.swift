import Dispatch
package import Domain
import Foundation
import LMDB
package import Ports
import Synchronization

/// The log in an LMDB environment of its own: `events`, `batches` and `meta` (`Schemas/formats.md`).
///
/// One process writes, holding the data lock; any number read without one. Appends belong to one thread; everything
/// else may be called from any. All calls block, on the disk at worst: keep them off event loops.
package final class EventLog: LogStore {
    package struct Settings: Hashable, Sendable {
        /// Address space taken at first; it doubles when full.
        package var initialMapBytes = 1 << 30
        /// Where doubling ends, and appends fail with `map-full`.
        package var maximumMapBytes = 1 << 42
        /// Read transactions alive at once, in all processes.
        package var maximumReaders: UInt32 = 512
        /// How long a writer waits for a dying predecessor's lock.
        package var lockWaitSeconds = 5.0
        /// How often a reader in another process looks for new batches.
        package var pollMilliseconds = 50
        /// A writer frees the places of readers that died after every so many appends.
        package var readerCheckAppends = 1000
        /// Frames a check reads in one transaction, so that it does not hold old pages for long.
        package var verifyFramesPerTransaction = 20_000

        package init() {}
    }

    package enum Mode: Hashable, Sendable {
        /// Needs no lock; the writer may be at work.
        case readOnly
        /// Needs a log that is there.
        case write
        /// As `write`, making the log first when there is none. Nil takes an identity from the system's random source.
        case create(identity: LogIdentity?)
    }

    static let events = Environment.Database(0)
    static let batches = Environment.Database(1)
    static let meta = Environment.Database(2)
    static let databaseNames = ["events", "batches", "meta"]

    package let identity: LogIdentity
    package let created: Timestamp
    package let directory: String
    package let settings: Settings
    package let isReadOnly: Bool

    let environment: Environment
    let signal = AppendSignal()
    /// Blocking reads of asynchronous callers run here.
    let readQueue: DispatchQueue
    /// Set by a commit whose outcome is unknown: only `reopen` goes on from there.
    let needsReopen = Mutex(false)
    /// Where batches before the anchor are read from; nil where that is not at hand.
    let archive = Mutex<LogArchive?>(nil)
    /// Since the readers were looked at.
    let appends = Mutex(0)
    /// Nil in a reader.
    private let lock: DataLock?

    /// Opens the log in a directory.
    ///
    /// Fails with `locked` (another writer, after `lockWaitSeconds`), `not-a-log`, `wrong-version` (written by a newer
    /// Drover), `damaged`, `disk-full` or `io`.
    package static func open(
        directory: String, mode: Mode, settings: Settings = Settings()
    ) throws(StoreFailure) -> EventLog {
        var lock: DataLock?
        switch mode {
        case .readOnly: break
        case .write:
            lock = try DataLock(directory: directory, waitSeconds: settings.lockWaitSeconds)
        case .create(let identity):
            try LogCreation.makeDirectory(directory)
            lock = try DataLock(directory: directory, waitSeconds: settings.lockWaitSeconds)
            try LogCreation.createIfMissing(directory: directory, identity: identity, settings: settings)
        }
        let log = try EventLog(directory: directory, lock: lock, settings: settings)
        if case .create(let identity?) = mode, identity != log.identity {
            throw StoreFailure(
                code: "not-a-log", message: "\(directory) holds the log \(log.identity), not \(identity): name another",
                outcome: .unchanged)
        }
        return log
    }

    private init(directory: String, lock: DataLock?, settings: Settings) throws(StoreFailure) {
        let environment: Environment
        do throws(LMDBFailure) {
            environment = try Environment.open(
                directory: directory,
                options: LogCreation.options(settings, access: lock == nil ? .readOnly : .write))
        } catch {
            throw StoreFailure(error, directory: directory)
        }
        do {
            let rows = try environment.read { transaction in try Self.metaRows(transaction) }
            let head = try environment.read { transaction in
                try Self.head(transaction, log: rows.identity)
            }
            (identity, created) = (rows.identity, rows.created)
            (self.directory, self.settings, self.environment) = (directory, settings, environment)
            (self.lock, isReadOnly) = (lock, lock == nil)
            readQueue = DispatchQueue(label: "drover.event-log.read")
            signal.announce(head.sequence.rawValue)
        } catch {
            environment.close()
            throw StoreFailure(error, directory: directory)
        }
        if lock != nil { try checkReaders() }
    }

    deinit { environment.close() }

    /// Frees the places of readers that died without a word. The writer calls it at times.
    package func checkReaders() throws(StoreFailure) {
        do throws(LMDBFailure) {
            try environment.checkReaders()
        } catch {
            throw StoreFailure(error, directory: directory)
        }
    }

    package func reopen() throws(StoreFailure) {
        try attempt {
            try environment.reopen()
            let (rows, head) = try environment.read { transaction in
                (try Self.metaRows(transaction), try Self.head(transaction, log: identity))
            }
            guard rows.identity == identity else {
                throw StoreFailure(
                    code: "not-a-log", message: "\(directory) now holds the log \(rows.identity), not \(identity)",
                    outcome: .unchanged)
            }
            needsReopen.withLock { $0 = false }
            signal.announce(head.sequence.rawValue)
        }
    }

    /// Waits until something after the sequence is durable, and says whether it is; false when the time is over.
    /// It hears this object's own appends; a reader of another process's log follows it with `tail`.
    package func waitForAppend(after sequence: LogSequence, timeoutMilliseconds: Int) async -> Bool {
        if signal.isBeyond(sequence.rawValue) { return true }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.signal.wait(after: sequence.rawValue) }
            group.addTask { try? await Task.sleep(for: .milliseconds(timeoutMilliseconds)) }
            await group.next()
            group.cancelAll()
            return signal.isBeyond(sequence.rawValue)
        }
    }

    /// Runs a piece of work and turns whatever it throws into this room's failure.
    func attempt<Result>(_ body: () throws -> Result) throws(StoreFailure) -> Result {
        do {
            return try body()
        } catch {
            throw StoreFailure(error, directory: directory)
        }
    }

    static func metaRows(_ transaction: borrowing Transaction) throws -> MetaRows {
        let format = try copy(transaction, .format)
        let identity = try copy(transaction, .identity)
        let created = try copy(transaction, .created)
        let (anchor, archive) = (try copy(transaction, .anchor), try copy(transaction, .archive))
        return try MetaRows { key in
            switch key {
            case .anchor: anchor
            case .archive: archive
            case .format: format
            case .identity: identity
            case .created: created
            }
        }
    }

    static func copy(_ transaction: borrowing Transaction, _ key: MetaRows.Key) throws -> [UInt8]? {
        try transaction.value(Self.meta, key: Array(key.rawValue.utf8).span) { value in
            value.indices.map { value[$0] }
        }
    }
}
