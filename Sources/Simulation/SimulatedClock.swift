import Domain
import Ports
import Synchronization

/// The world's own time, in microseconds since it began: what every machine's clocks are made of.
final class WorldTime: Sendable {
    private let microseconds = Atomic<Int64>(0)

    var now: Int64 { microseconds.load(ordering: .relaxed) }

    func advance(to moment: Int64) { microseconds.store(moment, ordering: .relaxed) }
}

/// One machine's clocks: a wall clock that jumps when told to, and a monotonic one.
final class SimulatedClock: ClockSource {
    private let time: WorldTime
    /// What the wall clock shows at the world's beginning, in milliseconds since 1970.
    private let wall: Atomic<Int64>
    private let monotonic: Int64

    init(_ time: WorldTime, wallMilliseconds: Int64, monotonicMilliseconds: Int64) {
        (self.time, monotonic) = (time, monotonicMilliseconds)
        wall = Atomic(wallMilliseconds)
    }

    func read() -> ClockReading {
        let passed = time.now / 1000
        return ClockReading(
            wallMilliseconds: wall.load(ordering: .relaxed) + passed, monotonicMilliseconds: monotonic + passed)
    }

    func jump(milliseconds: Int64) { wall.add(milliseconds, ordering: .relaxed) }
}
