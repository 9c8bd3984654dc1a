import Domain
import Ports
import Projectors
import Synchronization
import Testing

/// A monotonic clock that moves when told to.
final class HandClock: ClockSource {
    private let now = Mutex<Int64>(1_000_000)

    func read() -> ClockReading {
        now.withLock { ClockReading(wallMilliseconds: $0, monotonicMilliseconds: $0) }
    }

    func advance(_ milliseconds: Int64) { now.withLock { $0 += milliseconds } }
}

@Suite struct PresenceTests {
    private let clock = HandClock()
    private let names = ["a", "b"].map { RegionName(unchecked: $0) }

    /// Looks twice a second for a while, as the projector does; who was silent at the end.
    private func look(_ presence: Presence<RegionName>, for milliseconds: Int64, limit: Int64) -> [RegionName] {
        var silent: [RegionName] = []
        for _ in 0..<(milliseconds / 500) {
            clock.advance(500)
            silent = presence.silent(among: names, forMilliseconds: limit)
        }
        return silent
    }

    @Test func whoIsNotHeardIsSilent() {
        let presence = Presence<RegionName>(clock: clock)
        #expect(look(presence, for: 29_500, limit: 30_000) == [])
        presence.note(names[1])
        #expect(look(presence, for: 1000, limit: 30_000) == [names[0]])
        #expect(presence.silentMilliseconds(names[1]) == 1000)
    }

    /// This process was stopped for longer than anybody may be silent: nobody could be heard.
    @Test func ourOwnStopIsNobodysSilence() {
        let presence = Presence<RegionName>(clock: clock)
        presence.note(names[0])
        #expect(look(presence, for: 10_000, limit: 30_000) == [])
        clock.advance(400_000)
        #expect(presence.silent(among: names, forMilliseconds: 30_000) == [])
        #expect(look(presence, for: 29_500, limit: 30_000) == [])
        #expect(look(presence, for: 500, limit: 30_000) == names, "a whole silence after it")
    }

    /// Slow looks are none: only more than `stopMilliseconds` is a stop.
    @Test func aSlowLookIsNoStop() {
        let presence = Presence<RegionName>(clock: clock)
        for _ in 0..<6 {
            _ = presence.silent(among: names, forMilliseconds: 30_000)
            clock.advance(Presence<RegionName>.stopMilliseconds)
        }
        #expect(presence.silent(among: names, forMilliseconds: 30_000) == names)
    }
}
