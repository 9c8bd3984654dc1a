package import Domain

/// What a region does next to tell its numbers; each is answered by the fact named with it.
package enum LevelEffect: Equatable, Sendable {
    /// Which epoch is followed? Answered by `follows`.
    case lookAtEpoch
    /// The levels that may have changed after this count of the journal. Answered by `looked`.
    case lookAtLevels(after: UInt64?)
    /// Answered by `told` or `notTold`.
    case report([RegionLevel])
    /// Answered by `rested`.
    case rest(milliseconds: Int64)
    /// Until the log moves, or so long. Answered by `rested`.
    case awaitChange(milliseconds: Int64)
}

/// When a region tells the global process its numbers, as a pure machine: the latest of each app that changed, at most one
/// call a second; and that it lives, every ten.
package struct LevelMachine: Sendable {
    package static let leastPauseMilliseconds: Int64 = 1000
    package static let aliveMilliseconds: Int64 = 10_000

    private enum State {
        case looking, reporting([RegionLevel]), resting, waiting
    }

    private var state = State.looking
    private var levels = ToldLevels()
    private var lastCall: Int64?

    package init() {}

    package func started() -> LevelEffect { .lookAtEpoch }

    package mutating func follows(_ epoch: Epoch?) -> LevelEffect {
        levels.follows(epoch)
        return .lookAtLevels(after: levels.seen)
    }

    /// - Parameter now: a monotonic clock's milliseconds.
    package mutating func looked(at found: [RegionLevel], count: UInt64, now: Int64) -> LevelEffect {
        levels.looked(at: found, count: count)
        let isAlive = lastCall.map { now - $0 < Self.aliveMilliseconds } ?? false
        guard !levels.isUpToDate || !isAlive else { return rest() }
        let news = levels.report
        state = .reporting(news)
        lastCall = now
        return .report(news)
    }

    package mutating func told() -> LevelEffect {
        if case .reporting(let news) = state { levels.told(news) }
        return rest()
    }

    package mutating func notTold() -> LevelEffect { rest() }

    package mutating func rested() -> LevelEffect {
        if case .resting = state, levels.isUpToDate {
            state = .waiting
            return .awaitChange(milliseconds: Self.aliveMilliseconds)
        }
        state = .looking
        return .lookAtEpoch
    }

    private mutating func rest() -> LevelEffect {
        state = .resting
        return .rest(milliseconds: Self.leastPauseMilliseconds)
    }
}
