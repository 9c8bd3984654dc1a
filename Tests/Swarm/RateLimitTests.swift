import Domain
import Testing

@testable import Swarm

@Suite struct RateLimitTests {
    /// Takes portions one after another, each when the one before may go; the time when the last may go.
    private func spend(_ portions: [UInt64], at rate: UInt64) -> Int64 {
        var limit = RateLimit(bytesPerSecond: rate)
        var now = Timestamp(milliseconds: 1_000_000)
        for portion in portions { now = now.adding(milliseconds: limit.take(portion, now: now)) }
        return now.milliseconds - 1_000_000
    }

    @Test(arguments: [UInt64(1), 1_000, 65_536, 10_000_000, 1_250_000_000])
    func overTimeItIsTheRate(rate: UInt64) {
        var generator = SeededGenerator(seed: rate)
        let seconds: UInt64 = 20
        var (portions, left) = ([UInt64](), rate * seconds)
        while left > 0 {
            let portion = min(left, UInt64(generator.below(Int(max(2, rate / 4)))) + 1)
            portions.append(portion)
            left -= portion
        }
        let taken = spend(portions, at: rate)
        // The first burst is free; each wait is rounded up to a millisecond.
        #expect(taken >= Int64(seconds) * 1000 - 1125)
        #expect(taken <= Int64(seconds) * 1000 + Int64(portions.count))
    }

    @Test func aRestIsNotSavedUp() {
        var limit = RateLimit(bytesPerSecond: 8_000)
        #expect(limit.take(1_000, now: Timestamp(milliseconds: 0)) == 0)
        #expect(limit.take(1_000, now: Timestamp(milliseconds: 3_600_000)) == 0)
        #expect(limit.take(8_000, now: Timestamp(milliseconds: 3_600_000)) == 1000)
    }

    @Test func absurdAmountsNeitherTrapNorWrap() {
        var limit = RateLimit(bytesPerSecond: .max)
        #expect(limit.take(.max, now: .distantFuture) > 0)
        #expect(limit.take(.max, now: .zero) > 0)
        var slow = RateLimit(bytesPerSecond: 0)
        #expect(slow.take(1_000_000, now: .zero) >= 999_000_000)
        #expect(slow.take(.max, now: Timestamp(milliseconds: -5)) > 0)
    }
}
