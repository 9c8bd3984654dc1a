internal import Swarm

/// How one machine fared.
package struct MachineResult: Hashable, Sendable {
    /// Seconds from the start to the whole pack; nil: it never had it.
    package var seconds: Double?
    /// What no plan can do better: the pack over the slowest of its own link, its share of all uploads and the mirror's
    /// link.
    package var bound: Double
    package var isStraggler: Bool
    package var sentCopies: Double

    package var ratio: Double? { seconds.map { $0 / bound } }
}

/// What came of one region.
package struct RegionReport: Hashable, Sendable {
    package var machines: [MachineResult]
    package var mirrorCopies: Double
    /// Occurrences that were simulated.
    package var handled: UInt64
}

/// How far a region is.
package struct RegionSample: Hashable, Sendable {
    package var seconds: Double
    package var finished: Int
    /// Means over all peers, in pieces.
    package var verified: Double
    package var asked: Double
    package var mirrorPieces: UInt64
    /// The share of all peers' wires out that was used since the last sample.
    package var used: Double
    /// Senders who had something to send.
    package var sending: Double
}

extension RegionShape {
    /// Runs the region until everybody has the pack, or to a limit of so many bounds.
    package func run(
        limitBounds: Double = 100, sampleSeconds: Double = 0.25,
        sample: (RegionSample) -> Void = { _ in }
    ) -> RegionReport {
        var swarm = RegionSwarm(self)
        let bounds = swarm.bounds
        let limit = Int64(limitBounds * (bounds.max() ?? 0) * 1e9)
        var last = (bytes: UInt64(0), seconds: 0.0)
        swarm.run(until: limit, sampleEvery: Int64(sampleSeconds * 1e9)) { sample($0.sample(&last)) }
        let pieces = Double(layout.pieceCount)
        return RegionReport(
            machines: zip(swarm.peers, bounds).map { peer, bound in
                MachineResult(
                    seconds: peer.finishedAt.map { Double($0) / 1e9 }, bound: bound, isStraggler: peer.isStraggler,
                    sentCopies: Double(peer.sentPieces) / pieces)
            }, mirrorCopies: Double(swarm.mirrorPieces) / pieces, handled: swarm.handled)
    }
}

extension RegionSwarm {
    /// Each peer's bound in seconds. Uploads are shared so that nobody gets more than its link takes.
    var bounds: [Double] {
        let rates = peers.map { Double($0.linkBytesPerSecond) }.sorted()
        var supply = rates.reduce(Double(shape.mirrorBytesPerSecond), +)
        var share = Double.infinity
        for (index, rate) in rates.enumerated() {
            let equal = supply / Double(rates.count - index)
            guard equal >= rate else {
                share = equal
                break
            }
            supply -= rate
        }
        let mirror = Double(shape.packBytes) / Double(shape.mirrorBytesPerSecond)
        return peers.map { max(mirror, Double(shape.packBytes) / min(share, Double($0.linkBytesPerSecond))) }
    }
}

extension RegionSwarm {
    fileprivate func sample(_ last: inout (bytes: UInt64, seconds: Double)) -> RegionSample {
        let (count, seconds) = (Double(shape.peers), Double(now) / 1e9)
        let bytes = (0..<shape.peers).reduce(UInt64(0)) { $0 + links.up($1).bytes }
        let rate = peers.reduce(0.0) { $0 + Double($1.linkBytesPerSecond) }
        defer { last = (bytes, seconds) }
        return RegionSample(
            seconds: seconds, finished: finished,
            verified: Double(peers.reduce(0) { $0 + $1.picker.verified.count }) / count,
            asked: Double(peers.reduce(0) { $0 + $1.open.count }) / count, mirrorPieces: mirrorPieces,
            used: Double(bytes - last.bytes) / rate / max(1e-9, seconds - last.seconds),
            sending: Double(senders.dropLast().count { !$0.active.isEmpty }) / count)
    }
}
