package import Domain

/// What the leader makes of a position that a follower has reached.
package enum FeedVerdict: Hashable, Sendable {
    case follow
    /// It is of another log: the follower is led to the wrong leader.
    case otherLog
    /// It is of an older epoch and not here: derive again from this position, or from a later one in common.
    case goBack(LogPosition)
    /// What a position of this very epoch names was lost here: no further command is accepted until a new epoch.
    case freeze(String)

    /// One position alone proves nothing about those before it: a follower that remembers earlier ones tries them first.
    ///
    /// - Parameter here: the position at that sequence on this log, nil where no batch ends there or it is behind `head`.
    /// - Parameter holder: who says that this log has been there.
    package init(
        of start: LogPosition, head: LogPosition, here: LogPosition?, holder: String = "a region follows this log"
    ) {
        if start.log != head.log {
            self = .otherLog
        } else if start.sequence == .zero || here == start {
            self = .follow
        } else if start.epoch < head.epoch {
            self = .goBack(.start(of: head.log))
        } else {
            let seen = "\(holder) at \(Self.place(start)), which is not here: "
            self = .freeze(seen + "look at what was lost, then restart with --new-epoch")
        }
    }

    package static func place(_ position: LogPosition) -> String {
        "epoch \(position.epoch), sequence \(position.sequence)"
    }
}

/// Where the feed's parts end: behind so many facts, or so many frames looked at.
package struct FeedLimits: Hashable, Sendable {
    package var facts: Int
    package var frames: Int

    package init(facts: Int = 1000, frames: Int = 200_000) { (self.facts, self.frames) = (facts, frames) }
}

/// The next part of one region's feed: the facts that concern it, behind the position it has taken over.
package struct FeedPart: Sendable {
    package private(set) var facts: [TakenFact] = []
    /// Always the end of a batch.
    package private(set) var position: LogPosition
    private var frames = 0
    private let limits: FeedLimits

    package init(after position: LogPosition, limits: FeedLimits) { (self.position, self.limits) = (position, limits) }

    package var isFull: Bool { facts.count >= limits.facts || frames >= limits.frames }

    /// Takes whole batches, as many as there is room for.
    ///
    /// - Parameter state: holds at least these events: it gives facts their meaning.
    package mutating func take(
        _ batches: [(end: LogPosition, events: [Envelope<GlobalEvent>])], for region: RegionName, state: GlobalState
    ) {
        for (end, events) in batches { take(events, upTo: end, for: region, state: state) }
    }

    /// Takes the next batch, if there is room for it.
    package mutating func take(
        _ events: [Envelope<GlobalEvent>], upTo end: LogPosition, for region: RegionName, state: GlobalState
    ) {
        guard facts.count < limits.facts else { return }
        for envelope in events {
            guard let fact = GlobalFact.from(envelope.event, for: region, state: state) else { continue }
            facts.append(TakenFact(fact, at: envelope.sequence))
        }
        frames += Int(end.sequence.rawValue - position.sequence.rawValue)
        position = end
    }
}
