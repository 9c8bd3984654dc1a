package import Domain

/// What a peer does next to follow its region, one at a time; each is answered by the fact named with it.
package enum FollowEffect: Equatable, Sendable {
    /// Say that the peer is there. Answered by `enrolled`.
    case enrol
    /// What should run, as soon as it is newer than this. Answered by `answered`.
    case ask(after: Revision)
    /// Answered by `rested`.
    case rest(milliseconds: Int64)
}

/// How a peer follows its region, as a pure machine: enrol, then one word after another. Every effect may fail instead
/// (`failed`): then it rests, ever longer, and enrols again, as the region may know nothing of it any more.
package struct FollowMachine: Sendable {
    private var backoff: Backoff
    /// Whether the region has taken this peer in, as far as is known.
    package private(set) var isEnrolled = false

    package init(seed: UInt64) { backoff = Backoff(seed: seed) }

    package func started() -> FollowEffect { .enrol }

    package mutating func enrolled() -> FollowEffect {
        isEnrolled = true
        return .ask(after: .zero)
    }

    package mutating func answered(_ revision: Revision) -> FollowEffect {
        backoff.succeeded()
        return .ask(after: revision)
    }

    package mutating func failed() -> FollowEffect {
        isEnrolled = false
        return .rest(milliseconds: backoff.nextMilliseconds())
    }

    package func rested() -> FollowEffect { .enrol }
}
