package import Domain

/// So many bytes a second over time: a bucket that fills at that rate, up to an eighth of a second's bytes. Whoever takes
/// more than is in it waits until that much has come in; those after it wait longer.
package struct RateLimit: Hashable, Sendable {
    package let bytesPerSecond: UInt64
    /// Negative while somebody waits.
    private var level: Int64
    private var filledAt: Timestamp?

    package init(bytesPerSecond: UInt64) {
        self.bytesPerSecond = min(max(1, bytesPerSecond), Self.maximumBytesPerSecond)
        level = 0
        level = burst
    }

    /// 1 TB/s: so that no product below overflows.
    private static let maximumBytesPerSecond: UInt64 = 1_000_000_000_000
    private static let maximumPauseMilliseconds: Int64 = 1_000_000

    private var rate: Int64 { Int64(bytesPerSecond) }
    private var burst: Int64 { max(1, rate / 8) }

    /// Takes a portion; returns the milliseconds to wait before it may go.
    package mutating func take(_ bytes: UInt64, now: Timestamp) -> Int64 {
        let elapsed = min(max(0, now.millisecondsSince(filledAt ?? now)), Self.maximumPauseMilliseconds)
        filledAt = max(filledAt ?? now, now)
        level = min(burst, level + elapsed * rate / 1000)
        let (left, overflow) = level.subtractingReportingOverflow(Int64(clamping: bytes))
        level = overflow ? .min / 4096 : left
        return level >= 0 ? 0 : -(level / rate) * 1000 + (-(level % rate) * 1000 + rate - 1) / rate
    }
}
