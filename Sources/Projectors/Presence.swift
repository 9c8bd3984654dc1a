package import Ports
import Synchronization

/// When each name was last heard, in memory only: empty after a start, so everyone gets one whole silence of grace.
///
/// Who looks must look often. When this process was itself stopped for a while, nobody could be heard: it is as after a
/// start.
package final class Presence<Name: Hashable & Comparable & Sendable>: Sendable {
    private struct Heard {
        var since: Int64
        var lookedAt: Int64?
        var names: [Name: Int64] = [:]

        func silentMilliseconds(_ name: Name, now: Int64) -> Int64 { now - (names[name] ?? since) }
    }

    /// More than this between two looks is a stop of this process's.
    package static var stopMilliseconds: Int64 { 5000 }

    private let heard: Mutex<Heard>
    private let clock: any ClockSource

    package init(clock: any ClockSource) {
        self.clock = clock
        heard = Mutex(Heard(since: clock.read().monotonicMilliseconds))
    }

    package func note(_ name: Name) {
        let now = clock.read().monotonicMilliseconds
        heard.withLock { $0.names[name] = now }
    }

    /// How long ago it was heard, or everybody began to be listened to.
    package func silentMilliseconds(_ name: Name) -> Int64 {
        let now = clock.read().monotonicMilliseconds
        return heard.withLock { $0.silentMilliseconds(name, now: now) }
    }

    /// The names of these that were silent for at least this long, ascending. None at the first look after a stop.
    package func silent(among names: [Name], forMilliseconds limit: Int64) -> [Name] {
        let now = clock.read().monotonicMilliseconds
        return heard.withLock { heard in
            if let last = heard.lookedAt, now - last > Self.stopMilliseconds { heard = Heard(since: now) }
            heard.lookedAt = now
            return names.filter { heard.silentMilliseconds($0, now: now) >= limit }.sorted()
        }
    }
}
