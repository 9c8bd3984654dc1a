import CLMDB
import Glibc

/// The handle of open files and databases. It lives from `init` to `close`, between which no other may exist.
@safe final class OpenedEnvironment {
    struct State {
        var lastTransaction: UInt64
        var mapBytes: Int
    }

    let handle: OpaquePointer
    let databases: [MDB_dbi]
    let file: FileIdentity?
    private let directory: String
    /// Less free space than this counts as none: LMDB writes 256 KiB at most at once, so that a write which was cut
    /// short by a full disk leaves less.
    private static let fullBelowBytes: UInt64 = 1 << 20

    init(directory: String, options: Environment.Options) throws(LMDBFailure) {
        self.directory = directory
        let path = "\(directory)/\(EnvironmentFile.name)"
        let isNew = EnvironmentFile.identity(path) == nil
        guard !isNew || options.access == .create else {
            throw LMDBFailure(.missing, "there is no \(path): check the path", number: ENOENT)
        }
        try EnvironmentFile.checkSize(directory: directory)
        let handle = unsafe try Self.create(directory: directory, options: options)
        do throws(LMDBFailure) {
            let file = EnvironmentFile.identity(path)
            if let file { EnvironmentFile.closeOnExec(file) }
            // What is read here may be in the machine's memory alone, after a flush that failed, and the disk have a meta page
            // that names other pages: before any of those is written over, the disk has what is read.
            if options.access != .readOnly { unsafe try check(mdb_env_sync(handle, 1), "flushing what was there") }
            let databases = unsafe try Self.openDatabases(handle, options)
            if isNew { try EnvironmentFile.syncDirectory(directory) }
            unsafe (self.handle, self.databases, self.file) = (handle, databases, file)
        } catch {
            unsafe mdb_env_close(handle)
            throw error
        }
    }

    func close() { unsafe mdb_env_close(handle) }

    func state() throws(LMDBFailure) -> State {
        var information = unsafe MDB_envinfo()
        unsafe try check(mdb_env_info(handle, &information), "reading the environment's state")
        return unsafe State(
            lastTransaction: UInt64(information.me_last_txnid), mapBytes: Int(information.me_mapsize))
    }

    /// No transaction may be alive. 0 takes the size that the file's meta page names.
    func resize(to bytes: Int) throws(LMDBFailure) {
        unsafe try check(mdb_env_set_mapsize(handle, bytes), "growing the map")
    }

    func checkReaders() throws(LMDBFailure) -> Int {
        var dead: Int32 = 0
        unsafe try check(mdb_reader_check(handle, &dead), "checking the readers")
        return Int(dead)
    }

    func isDiskFull() -> Bool {
        var information = statvfs()
        guard unsafe statvfs(directory, &information) == 0 else { return false }
        return UInt64(information.f_bavail) * UInt64(information.f_frsize) < Self.fullBelowBytes
    }

    private static func create(
        directory: String, options: Environment.Options
    ) throws(LMDBFailure) -> OpaquePointer {
        var created: OpaquePointer?
        unsafe try check(mdb_env_create(&created), "creating a handle")
        guard let handle = unsafe created else { throw LMDBFailure(.other, "LMDB gave no handle") }
        do throws(LMDBFailure) {
            unsafe try check(mdb_env_set_mapsize(handle, options.initialMapBytes), "setting the map's size")
            unsafe try check(mdb_env_set_maxreaders(handle, options.maximumReaders), "setting the readers")
            unsafe try check(mdb_env_set_maxdbs(handle, UInt32(options.databases.count)), "setting the databases")
            let flags = UInt32(MDB_NOTLS) | (options.access == .readOnly ? UInt32(MDB_RDONLY) : 0)
            unsafe try check(mdb_env_open(handle, directory, flags, 0o600), "opening the environment in \(directory)")
            return unsafe handle
        } catch {
            unsafe mdb_env_close(handle)
            throw error
        }
    }

    private static func openDatabases(
        _ handle: OpaquePointer, _ options: Environment.Options
    ) throws(LMDBFailure) -> [MDB_dbi] {
        var databases: [MDB_dbi] = []
        var transaction: OpaquePointer?
        let mode = options.access == .readOnly ? UInt32(MDB_RDONLY) : 0
        var code = unsafe mdb_txn_begin(handle, nil, mode, &transaction)
        if code == MDB_MAP_RESIZED {
            unsafe try check(mdb_env_set_mapsize(handle, 0), "following the map's size")
            code = unsafe mdb_txn_begin(handle, nil, mode, &transaction)
        }
        try check(code, "beginning a transaction")
        for name in options.databases {
            var database: MDB_dbi = 0
            let code = unsafe mdb_dbi_open(
                transaction, name, options.access == .create ? UInt32(MDB_CREATE) : 0, &database)
            guard code == MDB_SUCCESS else {
                unsafe mdb_txn_abort(transaction)
                throw LMDBFailure(number: code, call: "opening the database \(name)")
            }
            databases.append(database)
        }
        unsafe try check(mdb_txn_commit(transaction), "opening the databases")
        return databases
    }
}
