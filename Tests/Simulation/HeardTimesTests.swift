import Testing

@testable import Simulation

struct HeardTimesTests {
    private static let second: Int64 = 1_000_000

    private func wasSilent(_ seconds: Int64, heardAt moments: [Int64], now: Int64, startedAt: Int64 = 0) -> Bool {
        var heard = HeardTimes()
        for moment in [startedAt] + moments { heard.note(moment * Self.second) }
        return heard.wasSilent(forMicroseconds: seconds * Self.second, now: now * Self.second)
    }

    @Test func silenceIsCountedFromTheLastWordOrTheStart() {
        #expect(wasSilent(10, heardAt: [], now: 10))
        #expect(!wasSilent(10, heardAt: [], now: 10, startedAt: 1))
        #expect(!wasSilent(10, heardAt: [5], now: 14))
        #expect(wasSilent(10, heardAt: [5], now: 15))
    }

    /// It was called silent, then it was heard, then that became durable.
    @Test func aWordDuringTheFlushChangesNothing() {
        #expect(wasSilent(10, heardAt: [5, 16], now: 18))
        #expect(!wasSilent(10, heardAt: [5, 16], now: 23))
        #expect(!wasSilent(10, heardAt: [5, 14], now: 15))
        #expect(wasSilent(10, heardAt: [5] + Array(16...20), now: 21))
        #expect(!wasSilent(10, heardAt: [5] + Array(16...30), now: 31))
    }
}
