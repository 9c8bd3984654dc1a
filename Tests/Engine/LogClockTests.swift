import Domain
import Engine
import Ports
import Testing

@Suite struct LogClockTests {
    private func reading(_ wall: Int64, _ monotonic: Int64) -> ClockReading {
        ClockReading(wallMilliseconds: wall, monotonicMilliseconds: monotonic)
    }

    @Test func startsAtTheLaterOfLogAndWall() {
        #expect(LogClock(after: Timestamp(milliseconds: 50), reading: reading(100, 0)).now.milliseconds == 100)
        #expect(LogClock(after: Timestamp(milliseconds: 500), reading: reading(100, 0)).now.milliseconds == 500)
    }

    @Test func movesAtTheMonotonicPace() {
        var clock = LogClock(after: .zero, reading: reading(1_000_000, 0))
        #expect(clock.tick(reading(1_001_000, 1000), leaseSeconds: 60).isEmpty)
        #expect(clock.now.milliseconds == 1_001_000)
    }

    @Test func anHourForwardIsAJumpThatItFollows() {
        var clock = LogClock(after: .zero, reading: reading(0, 0))
        #expect(clock.tick(reading(3_601_000, 1000), leaseSeconds: 60) == [.clockJumped(milliseconds: 3_600_000)])
        #expect(clock.now.milliseconds == 3_601_000)
        #expect(clock.tick(reading(3_602_000, 2000), leaseSeconds: 60).isEmpty)
    }

    @Test func anHourBackIsAJumpThatItDoesNotFollow() {
        var clock = LogClock(after: .zero, reading: reading(10_000_000, 0))
        #expect(clock.tick(reading(6_401_000, 1000), leaseSeconds: 60) == [.clockJumped(milliseconds: -3_600_000)])
        #expect(clock.now.milliseconds == 10_001_000)
        #expect(clock.tick(reading(6_402_000, 2000), leaseSeconds: 60).isEmpty)
        #expect(clock.now.milliseconds == 10_002_000)
        #expect(clock.tick(reading(10_003_000, 3000), leaseSeconds: 60) == [.clockJumped(milliseconds: 3_600_000)])
        #expect(clock.now.milliseconds == 10_003_000)
    }

    @Test func aStallIsMoreThanAQuarterLease() {
        var clock = LogClock(after: .zero, reading: reading(0, 0))
        #expect(clock.tick(reading(15_000, 15_000), leaseSeconds: 60).isEmpty)
        #expect(clock.tick(reading(30_001, 30_001), leaseSeconds: 60) == [.engineStalled(milliseconds: 15_001)])
    }

    /// A monotonic clock that goes back (it never should) does not move log time back.
    @Test func neverDecreases() {
        var clock = LogClock(after: .zero, reading: reading(100_000, 100))
        _ = clock.tick(reading(99_000, 50), leaseSeconds: 60)
        #expect(clock.now.milliseconds == 100_000)
    }
}
