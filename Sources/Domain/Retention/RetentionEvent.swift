/// Why a build is kept, the weightiest reason first.
package enum KeptReason: String, Hashable, Sendable, Codable, CaseIterable {
    /// A target names it, as its build or as the base beside it.
    case target
    /// The build to roll back to.
    case previous
    /// An open deployment names it.
    case deployment
    /// A person wants it kept.
    case pinned
    /// The newest of its app.
    case newest
    /// One of the last `keptBuilds` of its app.
    case recent
    /// Younger than `keptSeconds`.
    case young

    /// Whether a full store changes nothing about it.
    var holdsWithoutSpace: Bool {
        switch self {
        case .target, .previous, .deployment, .pinned, .newest: true
        case .recent, .young: false
        }
    }
}

/// Why a build was retired.
package enum RetirementCause: String, Hashable, Sendable, Codable, CaseIterable {
    /// Nothing keeps it any more.
    case unused
    /// A region's store is full: the oldest go first, and at once.
    case space
}

/// The numbers that retention decides by; facts of the log, like the others.
package struct RetentionSettings: Hashable, Sendable, Codable {
    /// The last builds of an app that are kept.
    package var keptBuilds: UInt32 = 10
    /// How long every build is kept.
    package var keptSeconds: UInt32 = 14 * 24 * 3600
    /// Between a build's retirement and the removal of its packs: whoever fetches one comes to an end.
    package var graceSeconds: UInt32 = 3600
    /// A store that is this full retires the oldest builds, in percent.
    package var fullPercent: UInt32 = 90

    package init() {}

    /// Nil when every number is in its bounds.
    package var problem: Refusal? {
        let year: UInt32 = 365 * 24 * 3600
        let bounds: [(String, UInt32, ClosedRange<UInt32>)] = [
            ("kept-builds", keptBuilds, 1...1000), ("kept-seconds", keptSeconds, 0...(10 * year)),
            ("retirement-grace-seconds", graceSeconds, 0...(30 * 24 * 3600)), ("full-percent", fullPercent, 1...100),
        ]
        for (name, value, range) in bounds where !range.contains(value) {
            return Refusal(.invalid, "\(name) is \(value): it must be \(range.lowerBound) to \(range.upperBound)")
        }
        return nil
    }
}

package enum RetentionEvent: Hashable, Sendable {
    case settingsChanged(RetentionSettings)
    case pinned(BuildID, reason: String)
    case unpinned(BuildID, reason: String)
    /// It can be no target any more; its packs are removed everywhere from then on. A second one, for space, only ends
    /// the grace.
    case retired(BuildID, RetirementCause, removeAfter: Timestamp)
    /// A store is full, and nothing can be retired: no job is given to a worker.
    case claimsStopped(RegionName)
    case claimsResumed
}

package enum RetentionCommand: Hashable, Sendable {
    case changeSettings(RetentionSettings)
    case pin(BuildID, reason: String)
    case unpin(BuildID, reason: String)
    /// The projector's.
    case retire(BuildID, RetirementCause)
    /// The projector's: look whether claims must stop, or may go on.
    case settleClaims
}
