/// What facts of the global log replaced, the newest last: a restored log takes facts back, and says nothing again of what
/// was so before them.
struct TakenChanges: Hashable, Sendable, Codable {
    /// More are forgotten, the oldest first: going back further leaves what was so at the oldest.
    static let maximumCount = 1000

    enum Before: Hashable, Sendable, Codable {
        case neighbour(RegionName, RegionNeighbour?)
        case settings(Settings)
    }

    private struct Change: Hashable, Sendable, Codable {
        /// Of the fact, in the global log.
        var sequence: LogSequence
        var before: Before
    }

    private var changes: [Change] = []

    mutating func note(_ before: Before, at sequence: LogSequence) {
        changes.append(Change(sequence: sequence, before: before))
        if changes.count > Self.maximumCount { changes.removeFirst(changes.count - Self.maximumCount) }
    }

    /// What to put back, in this order, for facts behind a sequence not to have been taken.
    mutating func goBack(to sequence: LogSequence) -> [Before] {
        let count = changes.reversed().prefix { $0.sequence > sequence }.count
        defer { changes.removeLast(count) }
        return changes.suffix(count).reversed().map(\.before)
    }
}
