package import Domain

extension PiecePicker {
    /// What to ask and what to give up now. Ask again after the next fact, or at the moment it names.
    package mutating func next(now: Timestamp) -> Plan<PickerEffect> {
        giveUpOverdue(now)
        var effects = cancelled.map(PickerEffect.cancel)
        cancelled = []
        noteStarvation(now)
        if hasRoom(now) {
            let (before, peers) = (effects.count, usablePeers(now))
            while hasRoom(now), let effect = nextRequest(peers, now) ?? nextEndgameRequest(peers, now) {
                effects.append(effect)
            }
            if effects.count > before { noteStarvation(now) }
        }
        return Plan(effects: effects, askAgainAt: isComplete ? nil : nextMoment(after: now))
    }

    /// Missing pieces that no neighbour has and no mirror offers, a few of them by chance, once that has lasted for
    /// `starvedMilliseconds`: what to ask a mirror's ledger for.
    package mutating func starvedPieces(now: Timestamp) -> [Int] {
        guard isStarving(now) else { return [] }
        var wanted = missing
        for place in usablePeers(now) { wanted.subtract(sources[place].have) }
        var pieces: [Int] = []
        while pieces.count < settings.starvedPieces, let piece = wanted.piece(at: chance(wanted.count)) {
            wanted.remove(piece)
            pieces.append(piece)
        }
        return pieces.sorted()
    }

    /// Pieces that a mirror offers and that are here by now: whoever asks it again says so, so that others are offered
    /// more.
    package func heldOffers(of mirror: SourceID) -> [Int] {
        guard let place = place(of: mirror), case .pieces(let offer) = sources[place].offer else { return [] }
        return offer.intersection(verified).pieces
    }

    /// Whether anything more may be asked for: mostly not, and whoever asks looks at nothing else then.
    private func hasRoom(_ now: Timestamp) -> Bool {
        guard !isChecking else { return false }
        return requestsAtPeers < requestsInFlight
            || requestsAtMirrors < requestsInFlight && (0..<mirrorCount).contains { mayGive($0, now) }
    }

    private func mayGive(_ mirror: Int, _ now: Timestamp) -> Bool {
        switch sources[mirror].offer {
        case .unknown: false
        case .everything: true
        case .pieces(let pieces): !pieces.isEmpty || isStarving(now)
        }
    }

    /// Whether news of what a neighbour has can change anything before the next other fact.
    package var canUseNews: Bool { !isChecking && requestsAtPeers < requestsInFlight && !isComplete }

    /// Whether so much is being checked that nothing more should come.
    private var isChecking: Bool { checking.count >= min(settings.piecesBeingChecked, max(1, windowPieces / 2)) }

    /// Pieces of `windowBytes`.
    private var windowPieces: Int { Int(clamping: max(2, settings.windowBytes / layout.pieceBytes)) }

    private var requestsInFlight: Int { min(settings.requestsInFlight, windowPieces) }

    /// Requests under way at neighbours. What mirrors owe is counted apart: it comes slowly, and others wait for it.
    private var requestsAtPeers: Int { requests.count - requestsAtMirrors }

    private mutating func chance(_ bound: Int) -> Int { bound > 1 ? generator.below(bound) : 0 }
}

// MARK: - Choosing

/// Sources are named by their places here.
extension PiecePicker {
    /// A piece that a mirror offers, else the rarest piece of the neighbours that have the least to do for this peer.
    private mutating func nextRequest(_ everyPeer: [Int], _ now: Timestamp) -> PickerEffect? {
        guard !missing.isEmpty else { return nil }
        return nextRequestAtMirror(everyPeer, now) ?? nextRequestAtPeer(everyPeer, now)
    }

    private mutating func nextRequestAtMirror(_ everyPeer: [Int], _ now: Timestamp) -> PickerEffect? {
        guard requestsAtMirrors < requestsInFlight else { return nil }
        let limit = everyPeer.isEmpty ? requestsInFlight : settings.requestsPerMirror
        var given: [(mirror: Int, pieces: PieceSet)] = []
        for mirror in 0..<mirrorCount where hasRoom(mirror, limit, now) {
            guard isUsable(mirror, now), var pieces = permitted(mirror, everyPeer, now) else { continue }
            pieces.formIntersection(missing)
            if !pieces.isEmpty { given.append((mirror, pieces)) }
        }
        guard var candidates = given.first?.pieces else { return nil }
        for (_, pieces) in given.dropFirst() { candidates.formUnion(pieces) }
        guard let piece = candidates.piece(at: chance(candidates.count)) else { return nil }
        let source = best(given.filter { $0.pieces.contains(piece) }.map(\.mirror))
        return source.map { open(piece, at: $0, now) }
    }

    private mutating func nextRequestAtPeer(_ everyPeer: [Int], _ now: Timestamp) -> PickerEffect? {
        guard requestsAtPeers < requestsInFlight else { return nil }
        var left = withRoom(everyPeer, now)
        while let least = left.map({ sources[$0].requests }).min() {
            let idlest = left.filter { sources[$0].requests == least }
            let rarest = RarestPieces(of: missing, at: idlest, countedAt: everyPeer, sources)
            guard rarest.count > 0 else {
                left.removeAll { sources[$0].requests == least }
                continue
            }
            let piece = rarest.piece(at: chance(rarest.count))
            guard let source = best(idlest.filter { sources[$0].have.contains(piece) }) else { return nil }
            return open(piece, at: source, now)
        }
        return nil
    }

    /// With every missing piece on its way, a piece that takes long is asked of a second neighbour.
    private mutating func nextEndgameRequest(_ everyPeer: [Int], _ now: Timestamp) -> PickerEffect? {
        guard missing.isEmpty, requestsAtPeers < requestsInFlight else { return nil }
        for request in requests where isLate(request, now) {
            guard requests.count(where: { $0.piece == request.piece }) == 1 else { continue }
            let others = withRoom(everyPeer, now).filter {
                sources[$0].id != request.source && sources[$0].have.contains(request.piece)
            }
            if let source = best(others) { return open(request.piece, at: source, now) }
        }
        return nil
    }

    /// The one with the least to do, then the fastest, then by chance.
    private mutating func best(_ places: [Int]) -> Int? {
        guard places.count > 1 else { return places.first }
        func load(_ place: Int) -> (Int, Int64) {
            (sources[place].requests, -(sources[place].rate ?? typicalRate ?? 0))
        }
        guard let least = places.map(load).min(by: <) else { return nil }
        let equals = places.filter { load($0) == least }
        return equals[chance(equals.count)]
    }

    /// What may be asked of a mirror; nil: nothing.
    private func permitted(_ mirror: Int, _ everyPeer: [Int], _ now: Timestamp) -> PieceSet? {
        switch sources[mirror].offer {
        case .unknown: return nil
        case .everything:
            var pieces = sources[mirror].have
            for peer in everyPeer { pieces.subtract(sources[peer].have) }
            return pieces
        case .pieces(let pieces):
            if everyPeer.isEmpty, isStarving(now) { return sources[mirror].have }
            return pieces.isEmpty ? nil : sources[mirror].have.intersection(pieces)
        }
    }

    private func isUsable(_ place: Int, _ now: Timestamp) -> Bool {
        sources[place].isUsable(now) && (bans.isEmpty || !isBanned(sources[place].id, now: now))
    }

    private func usablePeers(_ now: Timestamp) -> [Int] {
        (mirrorCount..<sources.count).filter { isUsable($0, now) }
    }

    private func withRoom(_ peers: [Int], _ now: Timestamp) -> [Int] {
        let share = (requestsInFlight + max(1, peers.count) - 1) / max(1, peers.count)
        return peers.filter { hasRoom($0, max(share, settings.requestsPerNeighbour), now) }
    }

    private func hasRoom(_ place: Int, _ limit: Int, _ now: Timestamp) -> Bool {
        sources[place].requests < limit && sources[place].busyUntil <= now
    }
}

// MARK: - Time

extension PiecePicker {
    private mutating func giveUpOverdue(_ now: Timestamp) {
        for request in requests where deadline(request) <= now {
            _ = close(request.id)
            cancelled.append(request.id)
            if let place = place(of: request.source) { failed(place, now) }
            if request.lastByteAt > request.startedAt { typicalRate = typicalRate.map { max(1, $0 / 2) } }
        }
    }

    /// When a request has failed: silent for too long, or far slower than requests are here.
    private func deadline(_ request: OpenRequest) -> Timestamp {
        let stall = request.lastByteAt.adding(milliseconds: settings.stallMilliseconds)
        guard let typical = typicalMilliseconds(request.piece) else { return stall }
        let slow = max(settings.slowMinimumMilliseconds, typical.multipliedSaturating(settings.slowFactor))
        return min(stall, request.startedAt.adding(milliseconds: slow))
    }

    /// How long a request for a piece takes here; nil before the first has ended.
    private func typicalMilliseconds(_ piece: Int) -> Int64? {
        guard let typicalRate else { return nil }
        return Int64(clamping: layout.bytes(of: piece)).multipliedSaturating(1000) / max(1, typicalRate)
    }

    private func lateMoment(_ request: OpenRequest) -> Timestamp {
        let typical = typicalMilliseconds(request.piece) ?? settings.slowMinimumMilliseconds
        return request.startedAt.adding(milliseconds: typical.multipliedSaturating(settings.endgameFactor))
    }

    private func isLate(_ request: OpenRequest, _ now: Timestamp) -> Bool { lateMoment(request) <= now }

    private func isStarving(_ now: Timestamp) -> Bool {
        guard let starvedSince else { return false }
        return starvedSince.adding(milliseconds: settings.starvedMilliseconds) <= now
    }

    /// Keeps the moment since which nobody can be asked for what is missing. Whoever waits for as many pieces as it may
    /// does not starve.
    private mutating func noteStarvation(_ now: Timestamp) {
        starvedSince =
            !isChecking && requestsAtPeers < requestsInFlight && isUnsupplied(now) ? starvedSince ?? now : nil
    }

    /// Whether pieces are missing, and nobody has or offers one of them.
    private func isUnsupplied(_ now: Timestamp) -> Bool {
        guard !missing.isEmpty else { return false }
        for place in sources.indices where isUsable(place, now) && supplies(place) { return false }
        return true
    }

    private func supplies(_ place: Int) -> Bool {
        guard sources[place].kind == .mirror else { return sources[place].have.meets(missing) }
        switch sources[place].offer {
        case .unknown: return false
        case .everything: return sources[place].have.meets(missing)
        case .pieces(let pieces):
            return !pieces.isEmpty && sources[place].have.intersection(pieces).meets(missing)
        }
    }

    /// The next moment at which time alone changes a decision.
    private func nextMoment(after now: Timestamp) -> Timestamp? {
        var next: Timestamp?
        func note(_ moment: Timestamp) { if moment > now, moment < next ?? .distantFuture { next = moment } }
        for request in requests {
            note(deadline(request))
            note(lateMoment(request))
        }
        if restsUntil > now {
            for source in sources.indices {
                note(sources[source].restsUntil)
                note(sources[source].busyUntil)
            }
        }
        if !bans.isEmpty { for source in sources.indices { note(bans[sources[source].id]?.until ?? .zero) } }
        if let starvedSince { note(starvedSince.adding(milliseconds: settings.starvedMilliseconds)) }
        return next
    }
}

extension Int64 {
    /// The product, or the greatest value when it does not fit. For values from 0 on.
    fileprivate func multipliedSaturating(_ factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
