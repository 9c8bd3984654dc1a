package import Domain

/// Positions that a region followed between two others, as its own log says: all of them, or of very many some, evenly.
package struct RecalledPositions: Sendable {
    static let maximumCount = 128

    private let after: LogSequence
    private let before: LogSequence
    /// Ascending.
    package private(set) var positions: [LogPosition] = []
    private var seen = 0
    private var step = 1

    package init(after: LogSequence, before: LogSequence) { (self.after, self.before) = (after, before) }

    /// Takes the next event of the region's log, from its beginning on.
    package mutating func take(_ event: RegionEvent) {
        switch event {
        case .followed(let position): note(position)
        case .refollowed(let position):
            // What was followed behind it was of a branch that is left.
            positions.removeAll { $0.log != position.log || $0.sequence >= position.sequence }
            note(position)
        case .log, .taken, .packStored, .packLost, .packRemoved, .peerEnrolled, .peerChanged, .peerSilent,
            .peerReturned:
            break
        }
    }

    private mutating func note(_ position: LogPosition) {
        let sequence = position.sequence
        guard after < sequence, sequence < before else { return }
        seen += 1
        guard seen % step == 0 else { return }
        positions.append(position)
        guard positions.count > Self.maximumCount else { return }
        positions = stride(from: 1, to: positions.count, by: 2).map { positions[$0] }
        step *= 2
    }
}
