package import Swarm

/// How a new pack comes to all regions before a deployment of it is allowed: the first region has it, each other one copies
/// it from there, piece by piece in order, four asked for at once, over the first one's wire to the others.
package struct WideCopy: Hashable, Sendable {
    static let piecesAhead = 4

    package var regions: Int
    /// Out of one region, and into one.
    package var bytesPerSecond: UInt64
    package var delayMilliseconds: Int64

    package init(regions: Int, bytesPerSecond: UInt64, delayMilliseconds: Int64) {
        (self.regions, self.bytesPerSecond) = (regions, bytesPerSecond)
        self.delayMilliseconds = delayMilliseconds
    }

    /// Seconds until the last region has it, and the copies that the first sent.
    package func run(_ layout: PieceLayout) -> (seconds: Double, copies: Double) {
        guard regions > 1 else { return (0, 0) }
        var out = Link(bytesPerSecond: bytesPerSecond)
        var into = Array(repeating: Link(bytesPerSecond: bytesPerSecond), count: regions - 1)
        var next = Array(repeating: 0, count: regions - 1)
        var ready = Array(repeating: Int64(0), count: regions - 1)
        let delay = delayMilliseconds * RegionSwarm.millisecond
        var end: Int64 = 0
        while let region = next.indices.filter({ next[$0] < layout.pieceCount }).min(by: { ready[$0] < ready[$1] }) {
            let group = next[region]..<min(next[region] + Self.piecesAhead, layout.pieceCount)
            let bytes = group.reduce(Int64(0)) { $0 + Int64(layout.bytes(of: $1)) }
            let asked = ready[region] + delay
            let sent = out.carry(bytes, from: asked)
            ready[region] = max(sent, into[region].carry(bytes, from: asked)) + delay
            next[region] = group.upperBound
            end = max(end, ready[region])
        }
        return (Double(end) / 1e9, Double(out.bytes) / Double(layout.totalBytes))
    }
}
