internal import Crypto
internal import Domain
internal import Foundation
internal import Glibc
internal import Ports

/// Blocking file calls with this room's failures. Every path comes from a validated key.
enum StoreFiles {
    /// Creates an empty file; fails when there is one.
    static func create(_ path: String) throws(BlobFailure) {
        try attempt("create", path) { try Data().write(to: URL(fileURLWithPath: path), options: .withoutOverwriting) }
    }

    static func open(_ path: String, forWriting: Bool = false) throws(BlobFailure) -> FileHandle {
        let handle = try attempt("open", path) {
            let url = URL(fileURLWithPath: path)
            return try forWriting ? FileHandle(forUpdating: url) : FileHandle(forReadingFrom: url)
        }
        // An app that outlives this process must not hold its files.
        _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC)
        return handle
    }

    /// Runs `body` with the file open, and closes it.
    static func with<Value>(
        _ path: String, forWriting: Bool = false, _ body: (FileHandle) throws -> Value
    ) throws(BlobFailure) -> Value {
        let handle = try open(path, forWriting: forWriting)
        defer { try? handle.close() }
        return try attempt(forWriting ? "write" : "read", path) { try body(handle) }
    }

    /// Returns when the file's bytes and length are on the disk.
    static func synchronize(_ path: String) throws(BlobFailure) {
        try with(path, forWriting: true) { try $0.synchronize() }
    }

    /// Returns when the directory's entries are on the disk; a directory that is gone has none.
    static func synchronizeDirectory(_ path: String) throws(BlobFailure) {
        do throws(BlobFailure) {
            try with(path) { try $0.synchronize() }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    /// Bytes of a regular file; nil when there is none.
    static func size(_ path: String) throws(BlobFailure) -> UInt64? {
        guard let attributes = try attributes(path) else { return nil }
        guard attributes[.type] as? FileAttributeType == .typeRegular else { return nil }
        return (attributes[.size] as? NSNumber)?.uint64Value
    }

    /// The file's number in its file system; nil when there is none.
    static func number(_ path: String) throws(BlobFailure) -> UInt64? {
        (try attributes(path)?[.systemFileNumber] as? NSNumber)?.uint64Value
    }

    private static func attributes(_ path: String) throws(BlobFailure) -> [FileAttributeKey: Any]? {
        do throws(BlobFailure) {
            return try attempt("read", path) { try FileManager.default.attributesOfItem(atPath: path) }
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// The names in a directory; none when there is no such directory.
    static func names(in path: String) throws(BlobFailure) -> [String] {
        do throws(BlobFailure) {
            return try attempt("list", path) { try FileManager.default.contentsOfDirectory(atPath: path) }
        } catch {
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Removes a file, or a directory with all in it; nothing when there is none.
    static func remove(_ path: String) throws(BlobFailure) {
        do throws(BlobFailure) {
            try attempt("remove", path) { try FileManager.default.removeItem(atPath: path) }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    static func makeDirectory(_ path: String) throws(BlobFailure) {
        try attempt("create", path) {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
    }

    /// Gives the file a second name; false when that name is taken.
    static func link(_ path: String, as other: String) throws(BlobFailure) -> Bool {
        do throws(BlobFailure) {
            try attempt("create", other) { try FileManager.default.linkItem(atPath: path, toPath: other) }
            return true
        } catch {
            guard error.code == .exists else { throw error }
            return false
        }
    }

    static func capacity(_ path: String) throws(BlobFailure) -> BlobCapacity {
        let attributes = try attempt("measure", path) { try FileManager.default.attributesOfFileSystem(forPath: path) }
        func bytes(_ key: FileAttributeKey) -> UInt64 { (attributes[key] as? NSNumber)?.uint64Value ?? 0 }
        return BlobCapacity(freeBytes: bytes(.systemFreeSize), totalBytes: bytes(.systemSize))
    }

    /// SHA-256 over the whole file, in steps.
    static func digest(_ path: String) throws(BlobFailure) -> Domain.Digest {
        try with(path) { handle in
            var hasher = SHA256()
            while let part = try handle.read(upToCount: readBytes), !part.isEmpty { hasher.update(data: part) }
            return storedDigest(hasher.finalize())
        }
    }

    static func isEqual(_ path: String, _ other: String) throws(BlobFailure) -> Bool {
        guard try size(path) == size(other) else { return false }
        if let number = try number(path), try number == self.number(other) { return true }
        return try with(path) { left in
            try with(other) { right in
                while true {
                    let (mine, yours) = (try left.read(upToCount: readBytes), try right.read(upToCount: readBytes))
                    guard mine == yours else { return false }
                    guard let mine, !mine.isEmpty else { return true }
                }
            }
        }
    }

    private static let readBytes = 1 << 20

    /// What the system refused, in this room's words.
    static func attempt<Value>(_ verb: String, _ path: String, _ body: () throws -> Value) throws(BlobFailure) -> Value
    {
        do { return try body() } catch let failure as BlobFailure { throw failure } catch {
            throw failure(verb, path, error)
        }
    }

    private static func failure(_ verb: String, _ path: String, _ error: any Error) -> BlobFailure {
        let system = error as NSError
        let number = (system.userInfo[NSUnderlyingErrorKey] as? NSError)?.code
        switch CocoaError.Code(rawValue: system.code) {
        case .fileWriteOutOfSpace: return BlobFailure(.full, "cannot \(verb) \(path): no space left; free space there")
        case .fileNoSuchFile, .fileReadNoSuchFile: return BlobFailure(.notFound, "there is no \(path)")
        case .fileWriteFileExists: return BlobFailure(.exists, "there is already a \(path)")
        default:
            guard number != Int(EDQUOT) else {
                return BlobFailure(.full, "cannot \(verb) \(path): its quota is used up")
            }
            return BlobFailure(.io, "cannot \(verb) \(path): \(system.localizedDescription)")
        }
    }
}

func storedDigest(_ digest: SHA256Digest) -> Domain.Digest { Domain.Digest(bytes: Array(digest)) ?? .zero }
