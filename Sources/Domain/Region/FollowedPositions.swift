/// A global position that a region took over, and the newest job it knew there.
package struct FollowedPosition: Hashable, Sendable, Codable {
    package var position: LogPosition
    package var newestJob: JobID

    package init(_ position: LogPosition, newestJob: JobID) { (self.position, self.newestJob) = (position, newestJob) }
}

/// Some of the positions that were followed, the newest last: many of the latest, few of the oldest, so that the last
/// position in common with a restored global log is found with few questions.
package struct FollowedPositions: Hashable, Sendable, Codable {
    package static let maximumCount = 64

    /// Of one log, with ascending sequences.
    package private(set) var positions: [FollowedPosition] = []

    init() {}

    mutating func followed(_ next: FollowedPosition) {
        goBack(before: next.position)
        positions.append(next)
        if positions.count > Self.maximumCount { thin() }
    }

    /// Forgets what is not before this position on its log.
    mutating func goBack(before position: LogPosition) {
        positions.removeAll { $0.position.log != position.log || $0.position.sequence >= position.sequence }
    }

    /// The newest job known at a position, as far as one before it is remembered.
    package func newestJob(upTo sequence: LogSequence) -> JobID {
        positions.last { $0.position.sequence <= sequence }?.newestJob ?? JobID(rawValue: 0)
    }

    /// Takes out the one that leaves the smallest gap for its age, so that gaps grow with age. The first and the last
    /// stay.
    private mutating func thin() {
        guard positions.count > 2, let last = positions.last?.position.sequence.rawValue else { return }
        func sequence(_ index: Int) -> UInt64 { positions[index].position.sequence.rawValue }
        func gap(_ index: Int) -> Double {
            Double(sequence(index + 1) - sequence(index - 1)) / Double(last - sequence(index - 1))
        }
        var (best, smallest) = (1, gap(1))
        for index in 2..<(positions.count - 1) where gap(index) < smallest { (best, smallest) = (index, gap(index)) }
        positions.remove(at: best)
    }
}
