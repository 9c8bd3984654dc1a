package import Glibc

/// An open file, closed with its last reference. Reads and writes name their offset, so any thread may use it.
package final class OpenFile: Sendable {
    package let descriptor: Int32
    package let path: String

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    package static func open(_ path: String, flags: Int32, mode: mode_t = 0o644) throws(PackFailure) -> OpenFile {
        var descriptor: Int32
        repeat { descriptor = unsafe Glibc.open(path, flags | O_CLOEXEC, mode) } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw failure("open", path) }
        return OpenFile(descriptor: descriptor, path: path)
    }

    package func status() throws(PackFailure) -> stat {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw Self.failure("stat", path) }
        return status
    }

    /// Fills the buffer from `offset`; returns fewer bytes only at the file's end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(PackFailure) -> Int {
        var done = 0
        while done < buffer.count {
            let count = unsafe pread(
                descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure("read", path) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Up to `count` bytes from `offset`; fewer only at the file's end.
    package func read(_ count: Int, at offset: UInt64) throws(PackFailure) -> [UInt8] {
        var failure: PackFailure?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(PackFailure) {
                initialized = try unsafe read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(PackFailure) {
        var done = 0
        while done < buffer.count {
            let count = unsafe pwrite(
                descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure("write", path) }
            done += count
        }
    }

    package func write(_ bytes: [UInt8], at offset: UInt64) throws(PackFailure) {
        let result = unsafe bytes.withUnsafeBytes { buffer in
            Result { () throws(PackFailure) in try unsafe write(buffer, at: offset) }
        }
        try result.get()
    }

    /// Returns when the file's bytes and length are on the disk.
    package func synchronize() throws(PackFailure) {
        guard fsync(descriptor) == 0 else { throw Self.failure("flush", path) }
    }

    package static func synchronizeDirectory(of path: String) throws(PackFailure) {
        let parent = directory(of: path)
        try open(parent, flags: O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// Has `body` write an executable file, which is at `path` whole and durable, or not at all.
    static func writeWhole(
        _ path: String, temporary: String, _ body: (OpenFile) throws(PackFailure) -> Void
    ) throws(PackFailure) {
        let file = try open(temporary, flags: O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        do throws(PackFailure) {
            try body(file)
            guard fchmod(file.descriptor, 0o755) == 0 else { throw failure("make executable", temporary) }
            try file.synchronize()
            try move(temporary, to: path)
        } catch {
            remove(temporary)
            throw error
        }
        try synchronizeDirectory(of: path)
    }

    package static func remove(_ path: String) { _ = unsafe unlink(path) }

    package static func move(_ source: String, to destination: String) throws(PackFailure) {
        guard unsafe rename(source, destination) == 0 else { throw failure("rename to", destination) }
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The failure that `errno` tells of.
    static func failure(_ verb: String, _ path: String) -> PackFailure {
        let number = errno
        let reason = unsafe String(cString: strerror(number))
        guard number == ENOSPC || number == EDQUOT else {
            return PackFailure(.io, "cannot \(verb) \(path): \(reason)")
        }
        return PackFailure(.full, "cannot \(verb) \(path): \(reason); free space there and try again")
    }
}

/// Memory for one thread's IO, freed with its last reference.
@safe
final class Scratch {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
        unsafe bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 64)
    }

    deinit { unsafe bytes.deallocate() }

    /// The first `count` bytes.
    func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
    }
}
