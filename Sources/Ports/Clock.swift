/// Two clocks read at one moment. The wall clock may jump; the monotonic one only measures.
package struct ClockReading: Hashable, Sendable {
    /// Milliseconds since 1970.
    package var wallMilliseconds: Int64
    /// Milliseconds since some start of this machine; it never decreases.
    package var monotonicMilliseconds: Int64

    package init(wallMilliseconds: Int64, monotonicMilliseconds: Int64) {
        self.wallMilliseconds = wallMilliseconds
        self.monotonicMilliseconds = monotonicMilliseconds
    }
}

/// The only door to time.
package protocol ClockSource: Sendable {
    func read() -> ClockReading
}
