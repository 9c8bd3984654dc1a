import Foundation
import Glibc

/// What the file system says about an environment's files, before LMDB maps them.
enum EnvironmentFile {
    static let name = "data.mdb"

    /// Offsets in the meta page of LMDB 0.9 on a 64-bit little-endian machine (mdb.c, `MDB_page` and `MDB_meta`).
    private enum Meta {
        static let bytes = 152
        static let magic = 16
        static let version = 20
        static let pageSize = 40
        static let lastPage = 136
        static let transaction = 144
        static let expectedMagic: UInt64 = 0xBEEF_C0DE
        static let expectedVersion: UInt64 = 1
    }

    /// Refuses a file that LMDB would map beyond its end. A missing or empty file passes: LMDB creates it.
    ///
    /// Every transaction of this wrapper appends or replaces, so the last page the meta page counts is always written
    /// and the file must reach its end. The meta pages are read before the size, so a writer at work only makes the
    /// file longer than they ask for.
    static func checkSize(directory: String) throws(LMDBFailure) { try checkSize("\(directory)/\(name)") }

    private static func checkSize(_ path: String) throws(LMDBFailure) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw LMDBFailure(number: errno, call: "opening \(path)")
        }
        defer { close(descriptor) }
        let first = metaPage(descriptor, at: 0)
        let pageSize = first.map { word($0, Meta.pageSize, bytes: 4) } ?? 0
        let size = try fileSize(descriptor, path)
        if size == 0 { return }
        guard let first, isMeta(first), (512...65_536).contains(pageSize), pageSize & (pageSize - 1) == 0 else {
            throw LMDBFailure(
                .notAnEnvironment, "\(path) does not begin with a meta page of LMDB 0.9: name an environment")
        }
        guard let second = metaPage(descriptor, at: Int(pageSize)), isMeta(second) else {
            throw LMDBFailure(.truncated, "\(path) ends inside its meta pages: restore it from a backup")
        }
        try checkTransactions(descriptor, path, first, second, pageSize: pageSize)
        let newest = word(first, Meta.transaction) > word(second, Meta.transaction) ? first : second
        let (needed, overflow) = (word(newest, Meta.lastPage) &+ 1).multipliedReportingOverflow(by: pageSize)
        // Read again: the file may have grown since, never shrunk.
        let available = UInt64(try fileSize(descriptor, path))
        guard !overflow, available >= needed else {
            throw LMDBFailure(
                .truncated,
                "\(path) has \(available) bytes where its meta page counts \(needed): it was cut; restore a backup")
        }
    }

    /// LMDB writes its two meta pages in turn, the even transactions to the first, and reads the newer one without looking
    /// at the other. One that is damaged could so turn the log back to an older commit: both must be of one line.
    private static func checkTransactions(
        _ descriptor: Int32, _ path: String, _ first: [UInt8], _ second: [UInt8], pageSize: UInt64
    ) throws(LMDBFailure) {
        let (even, odd) = (word(first, Meta.transaction), word(second, Meta.transaction))
        let isNew = even == 0 && odd == 0
        let isOneLine = even % 2 == 0 && odd % 2 == 1 && (even &+ 1 == odd || odd &+ 1 == even)
        guard !isNew, !isOneLine else { return }
        // A writer at work may have gone on between the two reads, but then they have changed.
        guard metaPage(descriptor, at: 0) == first, metaPage(descriptor, at: Int(pageSize)) == second else {
            return try checkSize(path)
        }
        throw LMDBFailure(
            .corrupted,
            "\(path) has meta pages of the transactions \(even) and \(odd): one is damaged; restore a backup")
    }

    /// The device and inode of a path; nil when there is nothing.
    static func identity(_ path: String) -> FileIdentity? {
        var information = stat()
        guard unsafe stat(path, &information) == 0 else { return nil }
        return FileIdentity(device: UInt64(information.st_dev), inode: UInt64(information.st_ino))
    }

    /// Makes the directory's entries durable: LMDB never does.
    static func syncDirectory(_ path: String) throws(LMDBFailure) {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LMDBFailure(number: errno, call: "opening \(path)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw LMDBFailure(number: errno, call: "syncing \(path)") }
    }

    /// Marks this process's descriptors on a file so that no program it starts inherits them. LMDB 0.9.24 does that for
    /// its lock file only, and tells just one of the two descriptors it has on the data.
    static func closeOnExec(_ file: FileIdentity) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in names.compactMap({ Int32($0) }) {
            var information = stat()
            guard unsafe fstat(descriptor, &information) == 0, UInt64(information.st_ino) == file.inode,
                UInt64(information.st_dev) == file.device
            else { continue }
            _ = fcntl(descriptor, F_SETFD, fcntl(descriptor, F_GETFD) | FD_CLOEXEC)
        }
    }

    private static func fileSize(_ descriptor: Int32, _ path: String) throws(LMDBFailure) -> Int {
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else {
            throw LMDBFailure(number: errno, call: "reading the size of \(path)")
        }
        return Int(information.st_size)
    }

    private static func metaPage(_ descriptor: Int32, at offset: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Meta.bytes)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
        }
        return count == Meta.bytes ? bytes : nil
    }

    private static func isMeta(_ page: [UInt8]) -> Bool {
        word(page, Meta.magic, bytes: 4) == Meta.expectedMagic
            && word(page, Meta.version, bytes: 4) == Meta.expectedVersion
    }

    private static func word(_ page: [UInt8], _ offset: Int, bytes: Int = 8) -> UInt64 {
        page[offset..<offset + bytes].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
}
