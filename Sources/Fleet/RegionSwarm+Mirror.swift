internal import DequeModule
internal import Domain
internal import Swarm

// MARK: - The mirror

extension RegionSwarm {
    private static let offerPauseMilliseconds: Int64 = 20
    private static let offerWaitMilliseconds: Int64 = 1_000
    private static let offerGatherMilliseconds: Int64 = 10

    /// A peer asks what it may take; the answer waits while it would be the same.
    mutating func askOffer(_ peer: UInt32) {
        let index = Int(peer)
        guard peers[index].finishedAt == nil, peers[index].isUp else { return }
        peers[index].isWaitingForOffer = true
        let known = peers[index].offerVersion
        if known == nil || ledger.asked(by: Self.name(peer), wanted: [], now: moment).version != known {
            return offerAnswered(peer)
        }
        offerWaiters.append(peer)
        let end = now + Self.offerWaitMilliseconds * Self.millisecond
        calendar.add(.offerEnds, at: end, peer, peers[index].life)
    }

    mutating func offerAnswered(_ peer: UInt32) {
        let index = Int(peer)
        guard peers[index].isWaitingForOffer, peers[index].finishedAt == nil else { return }
        peers[index].isWaitingForOffer = false
        let wanted = peers[index].picker.starvedPieces(now: moment)
        let offer = ledger.asked(by: Self.name(peer), wanted: wanted, now: moment)
        if offer.version != peers[index].offerVersion {
            peers[index].offerVersion = offer.version
            peers[index].picker.offerChanged(Self.mirrorID, .pieces(offer.pieces))
            decideSoon(peer)
        }
        let pause = Self.offerPauseMilliseconds * Self.millisecond + delay * 2
        calendar.add(.offer, at: now + pause, peer, peers[index].life)
    }

    /// The mirror sent a whole piece; who waits for an offer hears of the change.
    mutating func given(_ piece: Int, to peer: UInt32) {
        mirrorPieces += 1
        ledger.pieceGiven(piece, to: Self.name(peer), now: moment)
        guard !areOffersChanging else { return }
        areOffersChanging = true
        calendar.add(.offersChange, at: now + Self.offerGatherMilliseconds * Self.millisecond, mirror)
    }

    /// Those who wait hear of it one after another while there is something to offer. A mirror asks its ledger for all of
    /// them; those for whom nothing is left wait on.
    mutating func offersChanged() {
        areOffersChanging = false
        var left = offerWaiters.count
        while left > 0, ledger.hasMore, let peer = offerWaiters.popFirst() {
            left -= 1
            guard peers[Int(peer)].isWaitingForOffer, peers[Int(peer)].isUp else { continue }
            let offer = ledger.asked(by: Self.name(peer), wanted: [], now: moment)
            if offer.version == peers[Int(peer)].offerVersion {
                offerWaiters.append(peer)
            } else {
                offerAnswered(peer)
            }
        }
    }
}
