package import Domain
package import Ports
package import Swarm
internal import Synchronization

/// Who fetches or has which pack. In memory only; peers announce themselves again.
package final class SwarmDirectory: Sendable {
    private let tracker: Mutex<Tracker>
    private let clock: any ClockSource

    package init(seed: UInt64, clock: any ClockSource) {
        tracker = Mutex(Tracker(seed: seed))
        self.clock = clock
    }

    /// Nil when there are too many swarms.
    package func announced(
        _ pack: PackName, peer: PeerName, endpoint: String, labels: [String: String]
    ) -> TrackerAnswer? {
        let now = Timestamp(milliseconds: clock.read().monotonicMilliseconds)
        return tracker.withLock {
            $0.expire(now: now)
            return $0.announced(pack, peer: peer, endpoint: endpoint, labels: labels, now: now)
        }
    }

    package func left(_ pack: PackName, peer: PeerName) { tracker.withLock { $0.left(pack, peer: peer) } }
}
