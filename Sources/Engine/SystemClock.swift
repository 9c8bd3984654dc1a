import Foundation
package import Ports

/// The machine's clocks.
package struct SystemClock: ClockSource {
    private static let start = ContinuousClock.now

    package init() {}

    package func read() -> ClockReading {
        let passed = Self.start.duration(to: .now).components
        return ClockReading(
            wallMilliseconds: Int64(Date().timeIntervalSince1970 * 1000),
            monotonicMilliseconds: passed.seconds * 1000 + passed.attoseconds / 1_000_000_000_000_000)
    }
}
