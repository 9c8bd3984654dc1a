package import Domain
import Swarm

/// What a region that follows the global log does next, one at a time; each is answered by the fact named with it.
package enum FeedEffect: Equatable, Sendable {
    /// Say that the region is there, and learn the release key. Answered by `joined`.
    case join
    /// Answered by `looked`.
    case look
    /// Ask for the next part, waiting so long for news. Answered by `answered` or `forked`.
    case ask(after: LogPosition?, waitMilliseconds: Int64)
    /// Take the part into the log, then drop what it makes superfluous. Answered by `taken`.
    case take(from: LogSequence, [TakenFact], LogPosition)
    /// Ask whether a position is on the leader's chain, without waiting. Answered by `answered` or `forked`.
    case probe(LogPosition)
    /// Look in the region's own log for positions that were followed between these two. Answered by `recalled`.
    case recall(after: LogSequence, before: LogSequence)
    /// Ask for a snapshot instead of the feed's next part, and take what it says that is not known. Answered by `taken`.
    case adopt
    /// Drop what only the other branch knew, and go back. Answered by `taken`.
    case goBack(to: LogPosition)
    /// Answered by `rested`.
    case rest(milliseconds: Int64)
}

/// How a region follows the global log, as a pure machine: join, then part after part; from another branch of the log
/// back to the newest position in common. Every effect may fail instead (`failed`): then it rests, ever longer, and joins
/// again.
package struct FeedMachine: Sendable {
    package static let waitMilliseconds: Int64 = 10_000
    private static let backoff = Backoff(minimumMilliseconds: 500, maximumMilliseconds: 10_000)

    private enum State {
        case joining, looking, taking, resting
        case asking(after: LogPosition?)
        /// One of `candidates`, ascending; `common` is in common, nothing from `end` on is.
        case probing(LogPosition, [LogPosition], common: LogPosition, end: LogSequence)
        case recalling(common: LogPosition, end: LogSequence)
    }

    private var state = State.joining
    private var cursor = FeedCursor()
    /// What this region's log has taken over, and what it remembers of before, oldest first.
    private var taken: LogPosition?
    private var remembered: [LogPosition] = []
    /// In a row.
    private var failures = 0
    private var generator: SeededGenerator

    package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    package func started() -> FeedEffect { .join }

    package mutating func joined() -> FeedEffect { look() }

    package mutating func looked(taken: LogPosition?, remembered: [LogPosition]) -> FeedEffect {
        (self.taken, self.remembered) = (taken, remembered)
        let asked = cursor.next(after: taken)
        state = .asking(after: asked)
        return .ask(after: asked, waitMilliseconds: Self.waitMilliseconds)
    }

    package mutating func answered(_ facts: [TakenFact], _ position: LogPosition) -> FeedEffect {
        if case .probing(let common, let candidates, _, let end) = state {
            return probe(candidates.filter { $0.sequence > common.sequence }, common: common, end: end)
        }
        guard cursor.answered(facts, position, taken: taken) else { return look() }
        state = .taking
        return .take(from: taken?.sequence ?? .zero, facts, position)
    }

    /// The leader's log has gone another way since the position asked after. Without an origin it does not know yet how to
    /// go on: the region waits. One of another log is another leader's.
    package mutating func forked(origin: LogPosition?) -> FeedEffect {
        switch state {
        case .asking(let asked):
            cursor.forget()
            guard asked == taken else { return look() }
            guard let origin, let taken, origin.log == taken.log else { return failed() }
            let candidates = remembered.filter { $0 != taken && $0.sequence > origin.sequence }
            return probe(candidates, common: origin, end: taken.sequence)
        case .probing(let asked, let candidates, let common, _):
            guard origin != nil else { return failed() }
            let left = candidates.filter { $0.sequence < asked.sequence }
            return probe(left, common: common, end: asked.sequence)
        case .joining, .looking, .taking, .resting, .recalling: return failed()
        }
    }

    /// What the region's own log says that it followed there: it remembers few of the oldest, and each event that it goes
    /// back too far is a pack that may be dropped without need.
    package mutating func recalled(_ positions: [LogPosition]) -> FeedEffect {
        guard case .recalling(let common, let end) = state else { return failed() }
        let candidates = positions.filter { $0.log == common.log && $0.sequence > common.sequence && $0.sequence < end }
        return candidates.isEmpty ? goBack(to: common) : probe(candidates, common: common, end: end)
    }

    /// The leader has not kept what follows: it begins behind this anchor. What was taken in an older epoch may be of
    /// another branch.
    package mutating func archived(anchor: LogPosition?) -> FeedEffect {
        cursor.forget()
        guard case .asking = state, let anchor, taken == nil || taken?.log == anchor.log else { return failed() }
        if let taken, taken.sequence > .zero, taken.epoch < anchor.epoch { return goBack(to: .start(of: taken.log)) }
        state = .taking
        return .adopt
    }

    package mutating func took() -> FeedEffect { look() }

    /// Cut off: what is known is served meanwhile.
    package mutating func failed() -> FeedEffect {
        failures += 1
        state = .resting
        return .rest(milliseconds: Self.backoff.rest(failures: failures, &generator))
    }

    package mutating func rested() -> FeedEffect {
        state = .joining
        return .join
    }

    private mutating func look() -> FeedEffect {
        if case .joining = state {} else { failures = 0 }
        state = .looking
        return .look
    }

    /// Finds the newest position on the leader's chain, asking the one in the middle: first of those that are remembered,
    /// then of those in the region's own log.
    private mutating func probe(_ candidates: [LogPosition], common: LogPosition, end: LogSequence) -> FeedEffect {
        guard !candidates.isEmpty else {
            state = .recalling(common: common, end: end)
            return .recall(after: common.sequence, before: end)
        }
        let next = candidates[candidates.count / 2]
        state = .probing(next, candidates, common: common, end: end)
        return .probe(next)
    }

    private mutating func goBack(to common: LogPosition) -> FeedEffect {
        state = .taking
        return .goBack(to: common)
    }
}
