import Glibc
import Ports

/// The right to write a log: an exclusive `flock` on its LOCK file, which the kernel gives back when the process ends,
/// however it ends. The file holds the holder's pid, for messages only.
final class DataLock: Sendable {
    static let fileName = "LOCK"
    private static let retryMicroseconds: UInt32 = 20_000

    private let descriptor: Int32

    /// Waits up to `waitSeconds` for a predecessor that is about to end.
    init(directory: String, waitSeconds: Double) throws(StoreFailure) {
        let path = "\(directory)/\(Self.fileName)"
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StoreFailure(
                code: "io", message: "cannot open \(path): \(Self.reason()); check who may write there",
                outcome: .unchanged)
        }
        var remaining = Int(waitSeconds * 1_000_000)
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR, remaining > 0 else {
                let failure = Self.refusal(errno, descriptor, directory, waitSeconds)
                Glibc.close(descriptor)
                throw failure
            }
            usleep(Self.retryMicroseconds)
            remaining -= Int(Self.retryMicroseconds)
        }
        writeHolder()
    }

    deinit { Glibc.close(descriptor) }

    private func writeHolder() {
        let text = Array("\(getpid())\n".utf8)
        // Only a message would miss it, so failures do not matter.
        _ = ftruncate(descriptor, 0)
        _ = unsafe text.withUnsafeBytes { bytes in unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, 0) }
    }

    private static func refusal(
        _ number: Int32, _ descriptor: Int32, _ directory: String, _ waitSeconds: Double
    ) -> StoreFailure {
        guard number == EWOULDBLOCK else {
            return StoreFailure(code: "io", message: "cannot lock \(directory): \(reason())", outcome: .unchanged)
        }
        return StoreFailure(
            code: "locked",
            message: "the log in \(directory) is being written by process \(holder(descriptor)): stop it first "
                + "(waited \(waitSeconds) s)",
            outcome: .unchanged)
    }

    private static func holder(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0)
        }
        let digits = bytes.prefix(max(0, count)).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? "(unknown)" : String(decoding: digits, as: UTF8.self)
    }

    private static func reason() -> String { unsafe String(cString: strerror(errno)) }
}
