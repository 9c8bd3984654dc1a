internal import Domain
internal import Swarm
internal import Synchronization

/// The pace of one server's uploads together.
final class UploadRate: Sendable {
    private let limit: Mutex<RateLimit?>
    private let start = ContinuousClock.now
    private let bytesPerSecond: UInt64?

    init(bytesPerSecond: UInt64?) {
        self.bytesPerSecond = bytesPerSecond
        limit = Mutex(bytesPerSecond.map { RateLimit(bytesPerSecond: $0) })
    }

    /// How much to send at once: small enough that a slow pace is even.
    func chunkBytes(_ most: Int) -> UInt64 {
        bytesPerSecond.map { min(UInt64(most), max(16 << 10, $0 / 16)) } ?? UInt64(most)
    }

    /// Milliseconds to wait before so many bytes may go.
    func pause(for bytes: UInt64) -> Int64 {
        guard bytesPerSecond != nil else { return 0 }
        let now = Timestamp(milliseconds: Int64(start.duration(to: .now) / .milliseconds(1)))
        return limit.withLock { $0?.take(bytes, now: now) ?? 0 }
    }
}
