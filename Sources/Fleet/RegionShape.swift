package import Swarm

/// One kind of machine: so many of each hundred.
package struct LinkShare: Hashable, Sendable {
    package var bytesPerSecond: UInt64
    package var percent: Double

    package init(bytesPerSecond: UInt64, percent: Double) {
        (self.bytesPerSecond, self.percent) = (bytesPerSecond, percent)
    }
}

/// One region: its machines, its wires and what goes wrong there. Shares are of one.
package struct RegionShape: Hashable, Sendable {
    package var peers: Int
    package var packBytes: UInt64
    /// Percentages that add up to 100.
    package var links: [LinkShare]
    package var mirrorBytesPerSecond: UInt64
    package var mirrorSlots = 64
    package var mirrorWaiting = 256
    /// 0: no racks, one network as wide as needed.
    package var rackPeers = 0
    package var rackBytesPerSecond: UInt64 = 0
    /// Machines whose links have a tenth of their rate.
    package var stragglers = 0.0
    /// Machines whose disks write `slowDiskBytesPerSecond`.
    package var slowDisks = 0.0
    package var slowDiskBytesPerSecond: UInt64 = 400_000_000
    package var diskBytesPerSecond: UInt64 = 3_000_000_000
    /// Machines that vanish once while they fetch, and come back with what they had verified.
    package var churn = 0.0
    package var awayMilliseconds: Int64 = 2_000
    /// A core hashes so much; a peer uses two.
    package var hashBytesPerSecond: UInt64 = 1_200_000_000
    /// What frames and headers add to what a wire carries: 0.046 over Ethernet with 1,500-byte packets.
    package var framing = 0.0
    /// One way, between two machines of the region.
    package var delayMicroseconds: Int64 = 250
    /// A client reads what came every so often.
    package var readMilliseconds: Int64 = 12
    /// The peers hear of the pack within this time.
    package var startMilliseconds: Int64 = 50
    package var uploadSlots = 8
    package var uploadWaitMilliseconds: Int64 = 2_000
    package var firstAnnounceMilliseconds: Int64 = 100
    package var picker = PickerSettings()
    package var ledger = MirrorLedgerSettings()
    package var tracker = TrackerSettings()
    package var seed: UInt64

    package init(
        peers: Int, packBytes: UInt64, links: [LinkShare], mirrorBytesPerSecond: UInt64, seed: UInt64
    ) {
        (self.peers, self.packBytes, self.links, self.seed) = (peers, packBytes, links, seed)
        self.mirrorBytesPerSecond = mirrorBytesPerSecond
    }

    /// One copy over the mirror's wire.
    package var copyNanoseconds: Int64 {
        Int64(Double(packBytes) / Double(mirrorBytesPerSecond) * 1e9)
    }

    /// As `Packs` cuts it: the smallest power of two from 64 KiB to 16 MiB that gives at most 1,024 pieces.
    package var layout: PieceLayout {
        var pieceBytes: UInt64 = 64 << 10
        while pieceBytes < 16 << 20, packBytes > pieceBytes * 1024 { pieceBytes *= 2 }
        guard let layout = PieceLayout(pieceBytes: pieceBytes, totalBytes: packBytes) else {
            preconditionFailure("a pack of \(packBytes) bytes has too many pieces")
        }
        return layout
    }
}
