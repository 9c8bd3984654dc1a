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

    /// Ascending by sequence.
    private var changes: [Change] = []

    mutating func note(_ before: Before, at sequence: LogSequence) {
        changes.append(Change(sequence: sequence, before: before))
        if changes.count > Self.maximumCount { changes.removeFirst(changes.count - Self.maximumCount) }
    }

    /// What facts behind a sequence replaced, the oldest first.
    func replaced(behind sequence: LogSequence) -> [Before] {
        changes.drop { $0.sequence <= sequence }.map(\.before)
    }

    mutating func goBack(to sequence: LogSequence) { changes.removeAll { $0.sequence > sequence } }
}

extension RegionState {
    /// What makes neighbours and settings again what they were at a global sequence: in order, and no more than that. A
    /// neighbour that was not known then counts as removed.
    func restored(to sequence: LogSequence) -> [GlobalFact] {
        var (then, settings) = ([RegionName: RegionNeighbour?](), Settings?.none)
        // The oldest of what was replaced is what was so.
        for change in replaced.replaced(behind: sequence).reversed() {
            switch change {
            case .neighbour(let name, let known): then.updateValue(known, forKey: name)
            case .settings(let before): settings = before
            }
        }
        var facts: [GlobalFact] = []
        if let settings, settings != log.settings { facts.append(.settings(settings)) }
        for (name, known) in then.sorted(by: { $0.key < $1.key }) {
            let now = neighbours[name]
            let wanted = known ?? RegionNeighbour(endpoint: now?.endpoint ?? "", status: .removed)
            if wanted != now { facts.append(.region(name, endpoint: wanted.endpoint, wanted.status)) }
        }
        return facts
    }
}
