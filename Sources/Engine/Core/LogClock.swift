package import Domain
package import Ports

/// Log time: the wall clock's at the start, then the monotonic clock's pace. It never goes back, and it follows the wall
/// clock forwards only by a recorded jump.
package struct LogClock: Hashable, Sendable {
    /// A wall clock that strays further than this from log time is a recorded jump.
    package static let jumpMilliseconds: Int64 = 2000

    package private(set) var now: Timestamp
    private var last: ClockReading
    /// How far the wall clock was behind log time when last recorded (zero or negative).
    private var recordedOffset: Int64 = 0

    /// - Parameter last: the newest frame's time; the log continues at or after it.
    package init(after last: Timestamp, reading: ClockReading) {
        now = max(last, Timestamp(milliseconds: reading.wallMilliseconds))
        self.last = reading
        recordedOffset = min(0, reading.wallMilliseconds - now.milliseconds)
    }

    /// Moves on, and says what the log must know: a stall, a jump.
    package mutating func tick(_ reading: ClockReading, leaseSeconds: UInt32) -> [LogEvent] {
        let passed = max(0, reading.monotonicMilliseconds - last.monotonicMilliseconds)
        last = reading
        now = now.adding(milliseconds: passed)
        var facts: [LogEvent] = []
        if passed > Int64(leaseSeconds) * 1000 / 4 { facts.append(.engineStalled(milliseconds: passed)) }
        let offset = reading.wallMilliseconds - now.milliseconds
        if abs(offset - recordedOffset) > Self.jumpMilliseconds {
            facts.append(.clockJumped(milliseconds: offset - recordedOffset))
            if offset > 0 { now = Timestamp(milliseconds: reading.wallMilliseconds) }
            recordedOffset = min(0, offset)
        }
        return facts
    }
}
