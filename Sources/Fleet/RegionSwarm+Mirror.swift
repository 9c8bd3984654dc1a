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
        peers[index].offerQuestion &+= 1
        let question = peers[index].offerQuestion
        let (known, held) = (peers[index].offerVersion, peers[index].picker.heldOffers(of: Self.mirrorID))
        if !held.isEmpty { offersChangeSoon() }
        if ledger.asked(by: Self.name(peer), wanted: [], held: held, now: moment).version != known {
            return offerAnswered(peer, question)
        }
        offerWaiters.append((peer, question))
        forgetOldWaiters()
        let end = now + Self.offerWaitMilliseconds * Self.millisecond
        calendar.add(.offerEnds, at: end, peer, question)
    }

    private func waits(_ peer: UInt32, _ question: UInt32) -> Bool {
        let peer = peers[Int(peer)]
        return peer.isUp && peer.isWaitingForOffer && peer.offerQuestion == question && peer.finishedAt == nil
    }

    private mutating func forgetOldWaiters() {
        guard offerWaiters.count > 2 * shape.peers else { return }
        offerWaiters = Deque(offerWaiters.filter { waits($0.peer, $0.question) })
    }

    mutating func offerAnswered(_ peer: UInt32, _ question: UInt32) {
        let index = Int(peer)
        guard waits(peer, question) else { return }
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
        offersChangeSoon()
    }

    private mutating func offersChangeSoon() {
        guard !areOffersChanging else { return }
        areOffersChanging = true
        calendar.add(.offersChange, at: now + Self.offerGatherMilliseconds * Self.millisecond, mirror)
    }

    /// Those who wait hear of it one after another while there is something to offer. A mirror asks its ledger for all of
    /// them; those for whom nothing is left wait on.
    mutating func offersChanged() {
        areOffersChanging = false
        var left = offerWaiters.count
        while left > 0, ledger.hasMore, let (peer, question) = offerWaiters.popFirst() {
            left -= 1
            guard waits(peer, question) else { continue }
            let offer = ledger.asked(by: Self.name(peer), wanted: [], now: moment)
            if offer.version == peers[Int(peer)].offerVersion {
                offerWaiters.append((peer, question))
            } else {
                offerAnswered(peer, question)
            }
        }
    }
}
