import Domain
import Ports
import Synchronization

/// Log time as the region last told it, carried on by the monotonic clock; the wall clock's before that.
final class RegionTime: Sendable {
    private let clock: any ClockSource
    private let offset: Mutex<Int64>

    init(clock: any ClockSource) {
        self.clock = clock
        let reading = clock.read()
        offset = Mutex(reading.wallMilliseconds - reading.monotonicMilliseconds)
    }

    var now: Timestamp {
        let monotonic = clock.read().monotonicMilliseconds
        return Timestamp(milliseconds: monotonic + offset.withLock { $0 })
    }

    func adjust(to now: Timestamp) {
        let monotonic = clock.read().monotonicMilliseconds
        offset.withLock { $0 = now.milliseconds - monotonic }
    }
}
