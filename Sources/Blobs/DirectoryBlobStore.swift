package import Domain
internal import Foundation
internal import Glibc
package import Ports
internal import Synchronization

/// A blob store in a directory of a local file system, owned by one process at a time.
///
/// A blob's file appears whole and durable under its name, or not at all: it is written in `temporary/`, flushed,
/// linked to its place, and the directories are flushed before the write is answered. Blobs never change, so readers
/// need no lock and servers may send the file itself (`localPath`).
package final class DirectoryBlobStore: BlobStore {
    package let directory: String
    package let settings: BlobStoreSettings
    let threads: FileThreads
    /// Held as long as the store is open for writing; nil for a reader and after `close`.
    private let lock: Mutex<FileHandle?>
    private let temporaryCount = Atomic<UInt64>(0)
    /// Guards directories: one that is empty may be removed while another thread needs it.
    private let tree = Mutex<Void>(())
    /// Uploads by name. Invariant: each has one object, which orders its writers.
    let uploads = Mutex<[String: ResumableUpload]>([:])

    private init(directory: String, settings: BlobStoreSettings, threads: FileThreads, lock: FileHandle?) {
        (self.directory, self.settings, self.threads) = (directory, settings, threads)
        self.lock = Mutex(lock)
    }

    deinit { releaseLock() }

    /// Lets another owner open the directory. For when no call is under way; later writes are refused.
    package func close() { releaseLock() }

    private func releaseLock() {
        lock.withLock { lock in
            try? lock?.close()
            lock = nil
        }
    }

    /// Opens a store, and makes it where there is none. What a dead writer left unfinished is removed; begun uploads
    /// stay. `readOnly` takes no lock and changes nothing: for tools beside the owner.
    package static func open(
        _ directory: String, settings: BlobStoreSettings = BlobStoreSettings(), readOnly: Bool = false
    ) async throws(BlobFailure) -> DirectoryBlobStore {
        let threads = FileThreads(count: settings.fileThreads)
        return try await threads.run { () throws(BlobFailure) in
            guard !readOnly else {
                return DirectoryBlobStore(directory: directory, settings: settings, threads: threads, lock: nil)
            }
            let lock = try prepare(directory)
            let store = DirectoryBlobStore(directory: directory, settings: settings, threads: threads, lock: lock)
            try store.sweep()
            try store.reopenUploads()
            return store
        }
    }

    private static func prepare(_ directory: String) throws(BlobFailure) -> FileHandle {
        for name in ["content", "named", "temporary", "uploads"] {
            try StoreFiles.makeDirectory("\(directory)/\(name)")
        }
        let path = "\(directory)/lock"
        if !StoreFiles.exists(path) {
            do throws(BlobFailure) { try StoreFiles.create(path) } catch  where error.code == .exists {}
        }
        try StoreFiles.synchronizeDirectory(directory)
        try StoreFiles.synchronizeDirectory(URL(fileURLWithPath: directory).deletingLastPathComponent().path)
        let lock = try StoreFiles.open(path, forWriting: true)
        guard flock(lock.fileDescriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw BlobFailure(.io, "another process has the store \(directory) open; stop it, or open read-only")
        }
        return lock
    }

    private func sweep() throws(BlobFailure) {
        for name in try StoreFiles.names(in: "\(directory)/temporary") {
            try StoreFiles.remove("\(directory)/temporary/\(name)")
        }
    }

    package func information(_ key: BlobKey) async throws(BlobFailure) -> BlobInformation? {
        let path = try path(key)
        return try await threads.run { () throws(BlobFailure) in
            try StoreFiles.size(path).map { BlobInformation(key: key, bytes: $0) }
        }
    }

    /// The file that holds the blob, which never changes; nil when there is none. It may be deleted at any time: an
    /// open file stays readable.
    package func localPath(_ key: BlobKey) async throws(BlobFailure) -> String? {
        try await information(key) == nil ? nil : path(key)
    }

    package func read(_ key: BlobKey, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        let path = try path(key)
        return try await read(path: path, name: key.text, offset: offset, count: count)
    }

    func read(path: String, name: String, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        guard count <= settings.maximumReadBytes else {
            throw BlobFailure(.tooLarge, "\(count) bytes at once are above the limit of \(settings.maximumReadBytes)")
        }
        return try await threads.run { () throws(BlobFailure) in
            do throws(BlobFailure) {
                return try StoreFiles.with(path) { try Self.read($0, offset: offset, count: count) }
            } catch {
                guard error.code == .notFound else { throw error }
                throw BlobFailure(.notFound, "there is no blob \(name)")
            }
        }
    }

    private static func read(_ handle: FileHandle, offset: UInt64, count: Int) throws -> [UInt8] {
        // Beyond the end there is nothing, however far: an offset of 2^63 must not reach lseek.
        guard count > 0, try offset < handle.seekToEnd() else { return [] }
        try handle.seek(toOffset: offset)
        var bytes: [UInt8] = []
        while bytes.count < count, let part = try handle.read(upToCount: count - bytes.count), !part.isEmpty {
            bytes += part
        }
        return bytes
    }

    /// Reads the whole blob and returns its digest; throws `mismatch` when a content key's bytes are not its own.
    package func verify(_ key: BlobKey) async throws(BlobFailure) -> Digest {
        let path = try path(key)
        return try await threads.run { () throws(BlobFailure) in
            guard try StoreFiles.size(path) != nil else {
                throw BlobFailure(.notFound, "there is no blob \(key.text)")
            }
            let digest = try StoreFiles.digest(path)
            if case .content(let expected) = key, expected != digest {
                throw BlobFailure(.mismatch, "the blob \(key.text) is damaged; delete it and copy it again")
            }
            return digest
        }
    }

    /// Bytes that may be written yet; retention decides by it.
    package func room() async throws(BlobFailure) -> UInt64 {
        let free = try await capacity().freeBytes
        return free > settings.minimumFreeBytes ? free - settings.minimumFreeBytes : 0
    }

    /// How full the file system is.
    package func capacity() async throws(BlobFailure) -> BlobCapacity {
        let directory = directory
        return try await threads.run { () throws(BlobFailure) in try StoreFiles.capacity(directory) }
    }

    package func delete(_ key: BlobKey) async throws(BlobFailure) {
        try checkWritable()
        let (directories, file) = try key.place()
        try await threads.run { () throws(BlobFailure) in
            let emptied = try self.inTree { () throws(BlobFailure) in
                try StoreFiles.remove(self.path(directories) + "/" + file)
                return try self.prune(directories)
            }
            try StoreFiles.synchronizeDirectory(self.path(emptied))
        }
    }

    /// Removes directories that are empty now, innermost first; returns what is left of the way.
    private func prune(_ directories: [String]) throws(BlobFailure) -> [String] {
        var rest = directories
        while rest.count > 1, try StoreFiles.names(in: path(rest)).isEmpty {
            try StoreFiles.remove(path(rest))
            rest.removeLast()
        }
        return rest
    }
}

extension DirectoryBlobStore {
    func path(_ directories: [String]) -> String { ([directory] + directories).joined(separator: "/") }

    func path(_ key: BlobKey) throws(BlobFailure) -> String {
        let (directories, file) = try key.place()
        return path(directories) + "/" + file
    }

    func checkWritable() throws(BlobFailure) {
        guard lock.withLock({ $0 == nil }) else { return }
        throw BlobFailure(.io, "the store \(directory) is not open for writing here; ask its owner to write")
    }

    /// Runs `body` while no other thread adds or removes directories.
    func inTree<Value: Sendable>(_ body: () throws(BlobFailure) -> Value) throws(BlobFailure) -> Value {
        let result = tree.withLock { _ in Result { () throws(BlobFailure) in try body() } }
        return try result.get()
    }

    /// Throws unless a blob of so many bytes may be written now.
    func checkRoom(_ key: String, bytes: UInt64) throws(BlobFailure) {
        guard bytes <= settings.maximumBlobBytes else {
            throw BlobFailure(
                .tooLarge, "\(key) has \(bytes) bytes, above the store's limit of \(settings.maximumBlobBytes)")
        }
        let free = try StoreFiles.capacity(directory).freeBytes
        let (needed, overflow) = bytes.addingReportingOverflow(settings.minimumFreeBytes)
        guard !overflow, needed <= free else { throw full(key, bytes: bytes) }
    }

    func full(_ key: String, bytes: UInt64) -> BlobFailure {
        let free = (try? StoreFiles.capacity(directory).freeBytes).map(String.init) ?? "unknown"
        return BlobFailure(
            .full,
            """
            \(key) needs \(bytes) bytes, \(free) are free at \(directory), of which \(settings.minimumFreeBytes) stay \
            free; retire builds or enlarge the disk
            """)
    }

    func temporaryPath() -> String {
        let number = temporaryCount.wrappingAdd(1, ordering: .relaxed).newValue
        return "\(directory)/temporary/\(getpid())-\(number)"
    }

    /// Gives a flushed file its place, durably. Takes nothing away: the caller removes `file`.
    func publish(_ file: String, as key: BlobKey) throws(BlobFailure) {
        let (directories, name) = try key.place()
        let place = path(directories) + "/" + name
        let isNew = try inTree { () throws(BlobFailure) in
            try self.makeDirectories(directories)
            return try StoreFiles.link(file, as: place)
        }
        if !isNew, try !StoreFiles.isEqual(file, place) {
            switch key {
            case .content: throw BlobFailure(.mismatch, "the blob \(key.text) is damaged; delete it and put it again")
            case .named: throw BlobFailure(.exists, "there is another blob \(key.text); names are given once")
            }
        }
        // Also when another writer was first: it may not have flushed yet.
        try StoreFiles.synchronizeDirectory(path(directories))
    }

    /// Makes what is missing, each durable before anything is put into it.
    private func makeDirectories(_ directories: [String]) throws(BlobFailure) {
        for count in 1...directories.count {
            let path = path(Array(directories.prefix(count)))
            if StoreFiles.exists(path) { continue }
            try StoreFiles.makeDirectory(path)
            try StoreFiles.synchronizeDirectory(self.path(Array(directories.prefix(count - 1))))
        }
    }
}
