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

    func wait(for bytes: UInt64) async {
        guard bytesPerSecond != nil else { return }
        let now = Timestamp(milliseconds: Int64(start.duration(to: .now) / .milliseconds(1)))
        let pause = limit.withLock { $0?.take(bytes, now: now) ?? 0 }
        if pause > 0 { try? await Task.sleep(for: .milliseconds(pause)) }
    }
}
