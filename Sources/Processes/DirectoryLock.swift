internal import Foundation
internal import Glibc
package import Ports

/// One process a data directory. The lock goes with the process, however it ends, and is not inherited by what it starts.
package final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// Waits so long for a dying predecessor, then refuses with the holder's number.
    package init(_ directory: String, waitSeconds: Double = 10) throws(ProcessFailure) {
        let path = directory + "/lock"
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ProcessFailure(code: "io", message: "\(path) cannot be opened: is the directory ours?")
        }
        let deadline = ContinuousClock.now.advanced(by: .seconds(waitSeconds))
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < deadline else {
                close(descriptor)
                let holder = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                throw ProcessFailure(
                    code: "locked",
                    message: "another process\(holder.isEmpty ? "" : " (\(holder))") uses \(directory): stop it, "
                        + "or name another directory with --data")
            }
            usleep(100_000)
        }
        self.descriptor = descriptor
        ftruncate(descriptor, 0)
        try? FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
            .write(contentsOf: Data("pid \(getpid())".utf8))
    }

    deinit { close(descriptor) }
}

/// Gives a file another name, replacing what stands there, in one step.
package func renameReplacing(_ source: String, to target: String) throws(ProcessFailure) {
    guard unsafe rename(source, target) == 0 else {
        throw ProcessFailure(
            code: "io",
            message: "\(source) cannot be renamed to \(target): is the disk full, or the directory not ours?")
    }
}
