/// Where the global log says that a pack is, and since when: a restored log takes facts back, both that a region has it
/// and that it has it no more.
package struct Confirmations: Hashable, Sendable, Codable {
    /// More turns of one region are forgotten, the oldest first: going back further finds it as it was after them.
    static let maximumTurns = 8

    /// By region, the global sequences at which it got the pack, lost it, got it again.
    private var turns: [RegionName: [LogSequence]] = [:]

    package init() {}

    package func contains(_ region: RegionName) -> Bool { !(turns[region]?.count ?? 0).isMultiple(of: 2) }

    /// Ascending.
    package var regions: [RegionName] { turns.keys.filter { contains($0) }.sorted() }

    package mutating func insert(_ region: RegionName, at sequence: LogSequence) {
        if !contains(region) { turn(region, at: sequence) }
    }

    package mutating func remove(_ region: RegionName, at sequence: LogSequence) {
        if contains(region) { turn(region, at: sequence) }
    }

    /// Forgets what was said behind a sequence.
    mutating func goBack(to sequence: LogSequence) {
        turns = turns.mapValues { $0.filter { $0 <= sequence } }.filter { !$0.value.isEmpty }
    }

    private mutating func turn(_ region: RegionName, at sequence: LogSequence) {
        turns[region, default: []].append(sequence)
        // Two at once: what is left still begins with a region that gets the pack.
        if turns[region]?.count ?? 0 > Self.maximumTurns { turns[region]?.removeFirst(2) }
    }
}
