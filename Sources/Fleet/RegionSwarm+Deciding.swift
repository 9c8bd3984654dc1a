internal import Domain
internal import Swarm

// MARK: - What a peer does

extension RegionSwarm {
    mutating func begin(_ peer: UInt32) {
        let index = Int(peer)
        peers[index].isUp = true
        if peers[index].finishedAt == nil {
            peers[index].picker.sourceAdded(Self.mirrorID, .mirror)
            peers[index].picker.haveChanged(Self.mirrorID, all)
            calendar.add(.offer, at: now + delay * 2, peer, peers[index].life)
        }
        announce(peer)
    }

    /// Once for all facts of one moment.
    mutating func decideSoon(_ peer: UInt32) {
        let index = Int(peer)
        guard !peers[index].isDeciding, peers[index].isUp, peers[index].finishedAt == nil else { return }
        peers[index].isDeciding = true
        calendar.add(.decide, at: now, peer)
    }

    mutating func decide(_ peer: UInt32) {
        let index = Int(peer)
        peers[index].isDeciding = false
        guard peers[index].isUp, peers[index].finishedAt == nil else { return }
        let plan = peers[index].picker.next(now: moment)
        for effect in plan.effects {
            switch effect {
            case .request(let request): open(request, by: peer)
            case .cancel(let id): cancel(id, of: peer)
            }
        }
        if peers[index].picker.verified.count == layout.pieceCount { return finish(peer) }
        guard let again = plan.askAgainAt else { return }
        wake(peer, notBefore: again.milliseconds.multipliedReportingOverflow(by: Self.millisecond).partialValue)
    }

    /// One wake a peer is in the calendar, the earliest that was wanted.
    private mutating func wake(_ peer: UInt32, notBefore time: Int64) {
        let time = min(max(time, now + Self.millisecond), now + Calendar.horizon)
        guard time < peers[Int(peer)].wakesAt || peers[Int(peer)].wakesAt <= now else { return }
        peers[Int(peer)].wakesAt = time
        calendar.add(.wake, at: time, peer)
    }

    mutating func wake(_ peer: UInt32, _ time: Int64) {
        guard peers[Int(peer)].wakesAt == time else { return }
        peers[Int(peer)].wakesAt = .max
        decideSoon(peer)
    }

    private mutating func finish(_ peer: UInt32) {
        let index = Int(peer)
        peers[index].finishedAt = now
        finished += 1
        for neighbour in peers[index].neighbours { peers[Int(neighbour)].followers.removeAll { $0 == peer } }
        peers[index].neighbours = []
    }

    // MARK: Whom to ask

    mutating func announce(_ peer: UInt32) {
        let index = Int(peer)
        guard peers[index].isUp else { return }
        let rack = shape.rackPeers > 0 ? index / shape.rackPeers : 0
        let answer = tracker.announced(
            Self.pack, peer: Self.name(peer), endpoint: "", labels: labels[rack], now: moment)
        guard let answer else { return }
        if peers[index].finishedAt == nil { setNeighbours(answer.neighbours.compactMap { number($0.name) }, of: peer) }
        let pause = min(peers[index].announcePause, answer.announceMilliseconds)
        peers[index].announcePause = pause * 2
        calendar.add(.announce, at: now + pause * Self.millisecond, peer, peers[index].life)
    }

    private func number(_ name: PeerName) -> UInt32? { UInt32(name.rawValue.dropFirst()) }

    private mutating func setNeighbours(_ wanted: [UInt32], of peer: UInt32) {
        let (index, known) = (Int(peer), peers[Int(peer)].neighbours)
        for neighbour in known where !wanted.contains(neighbour) {
            peers[Int(neighbour)].followers.removeAll { $0 == peer }
            peers[index].picker.sourceRemoved(Self.id(neighbour))
        }
        for neighbour in wanted where !known.contains(neighbour) {
            peers[Int(neighbour)].followers.append(peer)
            peers[index].picker.sourceAdded(Self.id(neighbour), .peer)
            if peers[Int(neighbour)].isUp {
                peers[index].picker.haveChanged(Self.id(neighbour), peers[Int(neighbour)].picker.verified)
            } else {
                peers[index].picker.sourceFellSilent(Self.id(neighbour))
            }
        }
        peers[index].neighbours = wanted
        decideSoon(peer)
    }

    // MARK: News

    /// A piece is here: those who follow hear of it at once, or when the news is gathered.
    mutating func newsSoon(_ peer: UInt32) {
        let index = Int(peer)
        guard !peers[index].isTelling else { return }
        peers[index].isTelling = true
        let pause = HaveNews.gatherMilliseconds(peers[index].told, pieceBytes: layout.pieceBytes)
        calendar.add(.tell, at: max(now, peers[index].toldAt + pause * Self.millisecond), peer)
    }

    mutating func tell(_ peer: UInt32) {
        let index = Int(peer)
        peers[index].isTelling = false
        guard peers[index].isUp else { return }
        peers[index].told = peers[index].picker.verified
        peers[index].toldAt = now
        calendar.add(.told, at: now + readDelay(), peer)
    }

    mutating func heard(_ peer: UInt32) {
        let (told, id) = (peers[Int(peer)].told, Self.id(peer))
        guard peers[Int(peer)].isUp else { return }
        for place in peers[Int(peer)].followers.indices {
            let follower = peers[Int(peer)].followers[place]
            peers[Int(follower)].picker.haveChanged(id, told)
            if peers[Int(follower)].picker.canUseNews { decideSoon(follower) }
        }
    }

    // MARK: Coming and going

    mutating func vanish(_ peer: UInt32) {
        let index = Int(peer)
        guard peers[index].isUp, peers[index].finishedAt == nil else { return }
        peers[index].isUp = false
        peers[index].life += 1
        for transfer in peers[index].open { stopSending(transfer) }
        peers[index].open = []
        for transfer in senders[index].active + senders[index].waiting { refuse(transfer, .unreachable) }
        for follower in peers[index].followers {
            peers[Int(follower)].picker.sourceFellSilent(Self.id(peer))
            decideSoon(follower)
        }
        calendar.add(.comeBack, at: now + shape.awayMilliseconds * Self.millisecond, peer)
    }

    /// With what it had verified, and nobody it knows.
    mutating func comeBack(_ peer: UInt32) {
        let index = Int(peer)
        for neighbour in peers[index].neighbours { peers[Int(neighbour)].followers.removeAll { $0 == peer } }
        peers[index].neighbours = []
        peers[index].picker = PiecePicker(
            layout: layout, verified: peers[index].picker.verified, settings: shape.picker, seed: generator.next())
        (peers[index].offerVersion, peers[index].isWaitingForOffer) = (nil, false)
        peers[index].announcePause = shape.firstAnnounceMilliseconds
        begin(peer)
        newsSoon(peer)
    }
}
