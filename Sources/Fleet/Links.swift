/// One direction of one wire. It carries one portion after another, so never more than its rate.
struct Link: Sendable {
    let picosecondsPerByte: Int64
    /// When all that was given to it has passed, in nanoseconds.
    private(set) var freeAt: Int64 = 0
    private(set) var bytes: UInt64 = 0

    /// `bytesPerSecond`: at least 1.
    init(bytesPerSecond: UInt64) {
        let rate = Int64(max(1, bytesPerSecond))
        picosecondsPerByte = (1_000_000_000_000 + rate - 1) / rate
    }

    func nanoseconds(_ bytes: Int64) -> Int64 { bytes * picosecondsPerByte / 1000 + 1 }

    /// When these bytes have passed.
    mutating func carry(_ bytes: Int64, from now: Int64) -> Int64 {
        freeAt = max(now, freeAt) + nanoseconds(bytes)
        self.bytes += UInt64(bytes)
        return freeAt
    }

    /// Whether one more portion may queue: no more than one such waits, as a receiver's window would have it.
    func opensAt(_ bytes: Int64) -> Int64 { freeAt - nanoseconds(bytes) }
}

/// The wires of a region: each peer's two, the mirror's, each rack's two.
struct Links: Sendable {
    private(set) var links: [Link] = []
    private let peers: Int
    private let rackPeers: Int
    private let racksFrom: Int

    init(_ shape: RegionShape, rates: [UInt64]) {
        (peers, rackPeers) = (shape.peers, shape.rackPeers)
        func wire(_ rate: UInt64) -> Link { Link(bytesPerSecond: UInt64(Double(rate) / (1 + shape.framing))) }
        for rate in rates { links += [wire(rate), wire(rate)] }
        links.append(wire(shape.mirrorBytesPerSecond))
        racksFrom = links.count
        guard rackPeers > 0 else { return }
        for _ in 0..<((peers + rackPeers - 1) / rackPeers) {
            let rack = wire(shape.rackBytesPerSecond)
            links += [rack, rack]
        }
    }

    /// The sender's own wire; the mirror is the sender after the last peer.
    func up(_ sender: Int) -> Link { links[sender * 2] }

    func down(_ peer: Int) -> Link { links[peer * 2 + 1] }

    private func rack(_ peer: Int) -> Int? { rackPeers > 0 && peer < peers ? peer / rackPeers : nil }

    /// Between the sender's own wire and the receiver's: out of one rack and into another; the mirror stands outside.
    private func between(_ sender: Int, _ receiver: Int) -> (out: Int?, into: Int?) {
        let (from, to) = (rack(sender), rack(receiver))
        guard from != to else { return (nil, nil) }
        return (from.map { racksFrom + $0 * 2 }, to.map { racksFrom + $0 * 2 + 1 })
    }

    /// When so many bytes may be sent this way.
    func opensAt(_ bytes: Int64, from sender: Int, to receiver: Int) -> Int64 {
        let way = between(sender, receiver)
        var moment = links[receiver * 2 + 1].opensAt(bytes)
        // A shared wire has a queue for all who share it.
        if let out = way.out { moment = max(moment, links[out].opensAt(bytes * 4)) }
        if let into = way.into { moment = max(moment, links[into].opensAt(bytes * 4)) }
        return moment
    }

    /// Sends a portion; when its last byte is there. The wires work at the same time.
    mutating func carry(_ bytes: Int64, from sender: Int, to receiver: Int, now: Int64) -> Int64 {
        let way = between(sender, receiver)
        var end = links[sender * 2].carry(bytes, from: now)
        if let out = way.out { end = max(end, links[out].carry(bytes, from: now)) }
        if let into = way.into { end = max(end, links[into].carry(bytes, from: now)) }
        return max(end, links[receiver * 2 + 1].carry(bytes, from: now))
    }
}
