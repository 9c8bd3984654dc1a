package import Domain

package struct MirrorLedgerSettings: Hashable, Sendable {
    /// Pieces on offer to one peer at once. Refilled when half of them are taken.
    package var offeredPieces = 8
    /// Pieces on offer to all peers together, or twice what was given in `paceMilliseconds`, if that is more; an eighth of
    /// it to one that took nothing yet, two or more to another. A mirror that sends very many at once has given nobody a
    /// whole one for long, and what nobody has does not spread.
    package var offeredInAll = 8
    package var paceMilliseconds: Int64 = 50
    /// A piece that was begun and not taken whole within this time is open to others again.
    package var offerMilliseconds: Int64 = 15_000
    /// And what a peer has not begun when for this long it began nothing, took nothing and was offered nothing.
    package var idleMilliseconds: Int64 = 2_000
    /// And one to a peer that has not asked for this long, which takes nothing any more: questions wait a second at most.
    package var unheardMilliseconds: Int64 = 3_000
    /// A piece that was given away is given again on demand only when this time has passed: it should have spread.
    package var repeatMilliseconds: Int64 = 4_000
    /// Peers with an offer or a recent question; more are answered with an empty offer.
    package var maximumPeers = 4096
    /// A peer that has not asked for this long is forgotten.
    package var silentMilliseconds: Int64 = 60_000

    package init() {}
}

/// What a mirror offers one peer now.
package struct MirrorOffer: Hashable, Sendable {
    /// Changes with every change of the offer; never the same for another one of this ledger.
    package var version: UInt64
    package var pieces: PieceSet

    package init(version: UInt64, pieces: PieceSet) {
        (self.version, self.pieces) = (version, pieces)
    }
}

/// Which pieces a mirror offers to whom, so that it gives each piece away once before it repeats itself: a piece that
/// nobody was given yet is on offer to one peer at a time, a piece that was given only to a peer that asks for it
/// because no neighbour of its has it, and to one at a time again.
package struct MirrorLedger: Sendable {
    package let settings: MirrorLedgerSettings
    private struct PeerOffer: Hashable, Sendable {
        var pieces: PieceSet
        /// Those of them that are being sent to it.
        var begun: PieceSet
        /// Whether it took anything yet: who comes first does not get all that is on offer.
        var hasTaken = false
        var version: UInt64
        /// When what was begun is taken back, and what was not; `distantFuture` where there is nothing to take back.
        var expires = Timestamp.distantFuture
        var idles = Timestamp.distantFuture
        var lastSeen: Timestamp

        init(pieceCount: Int, version: UInt64, now: Timestamp) {
            (pieces, begun) = (PieceSet(pieceCount: pieceCount), PieceSet(pieceCount: pieceCount))
            (self.version, lastSeen) = (version, now)
        }

        /// No longer on offer to it.
        mutating func remove(_ gone: PieceSet) {
            pieces.subtract(gone)
            begun.subtract(gone)
            if begun.isEmpty { expires = .distantFuture }
            if pieces.count == begun.count { idles = .distantFuture }
        }
    }

    private let pieceCount: Int
    /// What the mirror itself has.
    package private(set) var available: PieceSet
    /// Available, never given, on offer to nobody.
    private var fresh: PieceSet
    /// On offer to somebody. Invariant: the disjoint union of the peers' offers.
    private var offered: PieceSet
    private var peers: [PeerName: PeerOffer] = [:]
    /// How often each piece was given away whole to a named peer, and when last.
    private var given: [UInt32]
    private var lastGiven: [Timestamp]
    /// Pieces given since `paceFrom`, and in the time before it that was as long.
    private var paced: (now: Int, before: Int) = (0, 0)
    private var paceFrom = Timestamp.zero
    private var version: UInt64
    /// Of the empty offer to those who are too many: it does not change, so they wait for another as long as they may.
    private let emptyVersion: UInt64
    /// Before it nothing is taken back, and nobody is forgotten.
    private(set) var nextExpiry = Timestamp.distantFuture
    private var generator: SeededGenerator

    /// `firstVersion` should be greater than any version of an earlier ledger of the same pack: a clock's milliseconds.
    package init(
        available: PieceSet, settings: MirrorLedgerSettings = MirrorLedgerSettings(), seed: UInt64,
        firstVersion: UInt64 = 0
    ) {
        (self.settings, self.available, pieceCount) = (settings, available, available.pieceCount)
        (fresh, offered) = (available, PieceSet(pieceCount: available.pieceCount))
        given = [UInt32](repeating: 0, count: available.pieceCount)
        lastGiven = [Timestamp](repeating: .zero, count: available.pieceCount)
        (version, emptyVersion) = (firstVersion, firstVersion)
        generator = SeededGenerator(seed: seed)
    }

    /// The mirror itself got a piece.
    package mutating func pieceAvailable(_ piece: Int) {
        guard available.insert(piece) else { return }
        fresh.insert(piece)
    }

    /// Whether a peer that asks could be offered a piece that nobody was given.
    package var hasMore: Bool { !fresh.isEmpty && offered.count < maximumOffered }

    /// How often the mirror gave this piece away.
    package func copies(of piece: Int) -> UInt32 { given.indices.contains(piece) ? given[piece] : 0 }

    /// A named peer got a whole piece.
    package mutating func pieceGiven(_ piece: Int, to peer: PeerName, now: Timestamp) {
        guard given.indices.contains(piece) else { return }
        notePace(now)
        given[piece] = given[piece] == .max ? .max : given[piece] + 1
        lastGiven[piece] = now
        fresh.remove(piece)
        peers[peer]?.lastSeen = now
        peers[peer]?.hasTaken = true
        noteWork(of: peer, now)
        withdraw([piece], from: peer)
    }

    /// A piece on offer to this peer is being sent to it.
    package mutating func pieceBegun(_ piece: Int, to peer: PeerName, now: Timestamp) {
        guard peers[peer]?.pieces.contains(piece) == true, peers[peer]?.begun.insert(piece) == true else { return }
        let expires = now.adding(milliseconds: settings.offerMilliseconds)
        peers[peer]?.lastSeen = now
        peers[peer]?.expires = expires
        nextExpiry = min(nextExpiry, expires)
        noteWork(of: peer, now)
    }

    /// A peer asks what it may take. `wanted`: pieces that it lacks and that no neighbour of its has; they come first.
    /// `held`: pieces on offer to it that it has by now. Who has them passes them on, so they are fresh no more.
    package mutating func asked(
        by peer: PeerName, wanted: [Int], held: [Int] = [], now: Timestamp
    ) -> MirrorOffer {
        expire(now)
        guard enrol(peer, now) else {
            return MirrorOffer(version: emptyVersion, pieces: PieceSet(pieceCount: pieceCount))
        }
        withdraw(held, from: peer)
        for piece in wanted where mayRepeat(piece, now) { offer(piece, to: peer, now) }
        refill(peer, now)
        return MirrorOffer(
            version: peers[peer]?.version ?? version, pieces: peers[peer]?.pieces ?? PieceSet(pieceCount: pieceCount))
    }

    /// What this peer was offered when it asked last; nil when it is not known.
    package func offer(to peer: PeerName) -> MirrorOffer? {
        peers[peer].map { MirrorOffer(version: $0.version, pieces: $0.pieces) }
    }
}

extension MirrorLedger {
    private mutating func changed(_ peer: PeerName) {
        version += 1
        peers[peer]?.version = version
    }

    /// False when there are too many.
    private mutating func enrol(_ peer: PeerName, _ now: Timestamp) -> Bool {
        if peers[peer] == nil {
            guard peers.count < settings.maximumPeers else { return false }
            version += 1
            peers[peer] = PeerOffer(pieceCount: pieceCount, version: version, now: now)
        }
        peers[peer]?.lastSeen = now
        nextExpiry = min(nextExpiry, now.adding(milliseconds: settings.unheardMilliseconds))
        return true
    }

    private var maximumOffered: Int { max(settings.offeredInAll, 2 * max(paced.now, paced.before)) }

    private mutating func notePace(_ now: Timestamp) {
        let since = now.millisecondsSince(paceFrom)
        if since >= settings.paceMilliseconds {
            paced = (0, since < 2 * settings.paceMilliseconds ? paced.now : 0)
            paceFrom = now
        }
        paced.now += 1
    }

    /// Up to a full offer of pieces that nobody was given, when half of the last is taken; never more than the peer's
    /// share of what is left.
    private mutating func refill(_ peer: PeerName, _ now: Timestamp) {
        let share = (fresh.count + peers.count - 1) / max(1, peers.count)
        let most = max(peers[peer]?.hasTaken == true ? 2 : 1, maximumOffered / 8)
        let full = min(settings.offeredPieces, max(1, share), most)
        guard let held = peers[peer]?.pieces.count, held <= full / 2 else { return }
        for _ in held..<full where offered.count < maximumOffered {
            guard let piece = fresh.piece(at: fresh.count > 1 ? generator.below(fresh.count) : 0) else { return }
            offer(piece, to: peer, now)
        }
    }

    private func mayRepeat(_ piece: Int, _ now: Timestamp) -> Bool {
        guard available.contains(piece), !offered.contains(piece) else { return false }
        return given[piece] == 0 || now.millisecondsSince(lastGiven[piece]) >= settings.repeatMilliseconds
    }

    private mutating func offer(_ piece: Int, to peer: PeerName, _ now: Timestamp) {
        guard let held = peers[peer]?.pieces.count, held < settings.offeredPieces, offered.count < maximumOffered
        else { return }
        fresh.remove(piece)
        offered.insert(piece)
        peers[peer]?.pieces.insert(piece)
        noteWork(of: peer, now)
        changed(peer)
    }

    /// It began something, took something or was offered something: what is left of its offer stays a while.
    private mutating func noteWork(of peer: PeerName, _ now: Timestamp) {
        guard let entry = peers[peer], entry.begun.count < entry.pieces.count else { return }
        let idles = now.adding(milliseconds: settings.idleMilliseconds)
        peers[peer]?.idles = idles
        nextExpiry = min(nextExpiry, idles)
    }

    /// On offer to it no more, and to nobody else before it is wanted. What was not is passed over.
    private mutating func withdraw(_ pieces: [Int], from peer: PeerName) {
        guard let entry = peers[peer] else { return }
        var gone = PieceSet(pieceCount: pieceCount)
        for piece in pieces where entry.pieces.contains(piece) { gone.insert(piece) }
        guard !gone.isEmpty else { return }
        offered.subtract(gone)
        peers[peer]?.remove(gone)
        changed(peer)
    }

    /// Takes back what was not taken, forgets who does not ask. Costs the peers, once in `unheardMilliseconds` and once for
    /// every offer that ends.
    private mutating func expire(_ now: Timestamp) {
        guard nextExpiry <= now else { return }
        nextExpiry = .distantFuture
        for peer in peers.keys.sorted() {
            guard let entry = peers[peer] else { continue }
            let unheard = entry.lastSeen.adding(milliseconds: settings.unheardMilliseconds)
            let silent = entry.lastSeen.adding(milliseconds: settings.silentMilliseconds)
            if entry.expires <= now || unheard <= now { takeBack(peer, entry.pieces) }
            if entry.idles <= now { takeBack(peer, entry.pieces.subtracting(entry.begun)) }
            if silent <= now {
                peers[peer] = nil
            } else {
                let ends = peers[peer].map { min($0.expires, $0.idles) } ?? .distantFuture
                nextExpiry = min(nextExpiry, unheard > now ? unheard : silent, ends)
            }
        }
    }

    private mutating func takeBack(_ peer: PeerName, _ pieces: PieceSet) {
        let back = pieces.intersection(peers[peer]?.pieces ?? pieces)
        guard !back.isEmpty else { return }
        for piece in back.pieces {
            offered.remove(piece)
            if given[piece] == 0 { fresh.insert(piece) }
        }
        peers[peer]?.remove(back)
        changed(peer)
    }
}
