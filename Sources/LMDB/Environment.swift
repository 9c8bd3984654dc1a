/// One LMDB environment, at most one a process and directory (`open` hands out the same one again).
///
/// Durable by default and only so: none of LMDB's flags that trade durability for speed is ever set. Values that a
/// transaction lends live as long as the closure they are lent to. Transaction closures are synchronous and never
/// nested: a write transaction belongs to its thread.
package final class Environment: @unchecked Sendable {
    package struct Options: Hashable, Sendable {
        /// Address space taken at first; it doubles when full. The file only grows with its content.
        package var initialMapBytes = 1 << 30
        /// Where doubling ends, and writes fail with `map-full`.
        package var maximumMapBytes = 1 << 42
        /// Read transactions alive at once, in all processes.
        package var maximumReaders: UInt32 = 512
        /// Databases by name; `Database(index)` follows this order.
        package var databases: [String] = []
        package var access: Access

        package init(databases: [String], access: Access) {
            (self.databases, self.access) = (databases, access)
        }
    }

    package enum Access: Hashable, Sendable {
        case readOnly
        /// Reads and writes what is there: the file and every database must exist.
        case write
        /// Makes the file and the databases that are missing.
        case create
    }

    /// A database by its place in `Options.databases`.
    package struct Database: Hashable, Sendable {
        let index: Int
        package init(_ index: Int) { self.index = index }
    }

    package let directory: String
    let identity: FileIdentity
    private let gate = TransactionGate()
    /// Changed only while alone in the gate; used only inside it.
    private var opened: OpenedEnvironment?
    private var currentOptions: Options
    /// How many `open` calls were not closed yet; guarded by the registry.
    var holders = 1

    init(directory: String, identity: FileIdentity, options: Options) throws(LMDBFailure) {
        (self.directory, self.identity, self.currentOptions) = (directory, identity, options)
        self.opened = try OpenedEnvironment(directory: directory, options: options)
    }

    /// Opens the environment in an existing directory. Each `open` needs its `close`. Opening for writing what this process has open for reading makes it writable for all holders.
    package static func open(directory: String, options: Options) throws(LMDBFailure) -> Environment {
        try EnvironmentRegistry.shared.open(directory: directory, options: options)
    }

    /// Gives one `open` back; the last one ends all use.
    package func close() { EnvironmentRegistry.shared.close(self) }

    package var isReadOnly: Bool { inside { currentOptions.access == .readOnly } }

    /// Runs a closure in a read transaction. Keep it short: pages it can see are not reused while it lives.
    package func read<Result>(_ body: (borrowing Transaction) throws -> Result) throws -> Result {
        try retrying { try transact(isReadOnly: true, body) }
    }

    /// Runs a closure in the write transaction and commits, durably. When the closure throws nothing is written. It
    /// may run more than once: when the map is full it grows and everything is tried again.
    package func write<Result>(_ body: (borrowing Transaction) throws -> Result) throws -> Result {
        try retrying { try transact(isReadOnly: false, body) }
    }

    /// Closes and opens the files again, as needed after a failed commit. Waits for transactions in other threads.
    package func reopen() throws(LMDBFailure) { try reopen(options: currentOptions) }

    func reopen(options: Options) throws(LMDBFailure) {
        try gate.alone { () throws(LMDBFailure) in
            guard opened != nil || holders > 0 else { throw Self.closed(directory) }
            opened?.close()
            opened = nil
            currentOptions = options
            opened = try OpenedEnvironment(directory: directory, options: options)
        }
    }

    /// Only for the registry: no transaction is possible after it.
    func closeFiles() {
        try? gate.alone { () throws(LMDBFailure) in
            opened?.close()
            opened = nil
        }
    }

    /// The id of the last committed transaction, by any process; grows with every commit.
    package func lastTransaction() throws(LMDBFailure) -> UInt64 { try state().lastTransaction }

    /// Frees the places of readers that died; returns how many.
    @discardableResult
    package func checkReaders() throws(LMDBFailure) -> Int {
        gate.enter()
        defer { gate.leave() }
        guard let opened else { throw Self.closed(directory) }
        return try opened.checkReaders()
    }

    /// The size of the map: address space, not disk.
    package func mapBytes() throws(LMDBFailure) -> Int { try state().mapBytes }

    private func state() throws(LMDBFailure) -> OpenedEnvironment.State {
        gate.enter()
        defer { gate.leave() }
        guard let opened else { throw Self.closed(directory) }
        return try opened.state()
    }

    /// Makes a directory's entries durable, as after a rename: LMDB never does.
    package static func syncDirectory(_ path: String) throws(LMDBFailure) { try EnvironmentFile.syncDirectory(path) }

    /// Whether the path still names the file that is open; not so after a restore in its place.
    package func isCurrent() -> Bool {
        inside {
            guard let opened else { return false }
            return EnvironmentFile.identity("\(directory)/\(EnvironmentFile.name)") == opened.file
        }
    }

    private func inside<Result>(_ body: () -> Result) -> Result {
        gate.enter()
        defer { gate.leave() }
        return body()
    }

    // The transaction must end before the gate is left, so it lives in a function of its own.
    private func transact<Result>(
        isReadOnly: Bool, _ body: (borrowing Transaction) throws -> Result
    ) throws -> Result {
        gate.enter()
        defer { gate.leave() }
        guard let opened else { throw Self.closed(directory) }
        return try Self.transact(opened, isReadOnly: isReadOnly, body)
    }

    private static func transact<Result>(
        _ opened: OpenedEnvironment, isReadOnly: Bool, _ body: (borrowing Transaction) throws -> Result
    ) throws -> Result {
        let transaction = try Transaction.begin(opened, isReadOnly: isReadOnly)
        let result = try body(transaction)
        if !isReadOnly { try transaction.commit() }
        return result
    }

    /// Follows a map that another process grew, doubles one that is full, frees dead readers' places once.
    private func retrying<Result>(_ attempt: () throws -> Result) throws -> Result {
        var hasCheckedReaders = false
        while true {
            do {
                return try attempt()
            } catch let failure as LMDBFailure where failure.code == .mapResized {
                try resize(to: 0)
            } catch let failure as LMDBFailure where failure.code == .mapFull {
                let size = try mapBytes()
                guard size < currentOptions.maximumMapBytes else { throw failure }
                try checkReaders()
                try resize(to: min(size * 2, currentOptions.maximumMapBytes))
            } catch let failure as LMDBFailure where failure.code == .readersFull && !hasCheckedReaders {
                hasCheckedReaders = true
                try checkReaders()
            }
        }
    }

    /// 0 takes the size that the file's meta page names.
    private func resize(to bytes: Int) throws(LMDBFailure) {
        try gate.alone { () throws(LMDBFailure) in
            guard let opened else { throw Self.closed(directory) }
            try opened.resize(to: bytes)
        }
    }

    private static func closed(_ directory: String) -> LMDBFailure {
        LMDBFailure(.closed, "the environment in \(directory) is closed: open it again")
    }
}
