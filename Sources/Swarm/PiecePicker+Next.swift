package import Domain

extension PiecePicker {
    /// What to ask and what to give up now. Ask again after the next fact, or at the moment it names.
    package mutating func next(now: Timestamp) -> Plan<PickerEffect> {
        giveUpOverdue(now)
        var effects = cancelled.map(PickerEffect.cancel)
        cancelled = []
        noteStarvation(now)
        while hasRoom, let effect = nextRequest(now) ?? nextEndgameRequest(now) { effects.append(effect) }
        noteStarvation(now)
        return Plan(effects: effects, askAgainAt: isComplete ? nil : nextMoment(after: now))
    }

    /// Missing pieces that no neighbour has and no mirror offers, a few of them by chance, once that has lasted for
    /// `starvedMilliseconds`: what to ask a mirror's ledger for.
    package mutating func starvedPieces(now: Timestamp) -> [Int] {
        guard let since = starvedSince, since.adding(milliseconds: settings.starvedMilliseconds) <= now else {
            return []
        }
        var wanted = missing.subtracting(union(usablePeers(now)))
        var pieces: [Int] = []
        while pieces.count < settings.starvedPieces, let piece = wanted.piece(at: chance(wanted.count)) {
            wanted.remove(piece)
            pieces.append(piece)
        }
        return pieces.sorted()
    }

    private var hasRoom: Bool {
        requests.count < settings.requestsInFlight && checking.count < settings.piecesBeingChecked
    }

    /// Pieces that are neither here nor on their way.
    private var missing: PieceSet {
        var missing = verified.complement
        for request in requests { missing.remove(request.piece) }
        for request in checking.values { missing.remove(request.piece) }
        return missing
    }

    private mutating func chance(_ bound: Int) -> Int { bound > 1 ? generator.below(bound) : 0 }
}

// MARK: - Choosing

extension PiecePicker {
    /// The rarest piece that can be asked for, of the best source for it.
    private mutating func nextRequest(_ now: Timestamp) -> PickerEffect? {
        let (peers, everyPeer) = (peersWithRoom(now), usablePeers(now))
        let mirrors = mirrorsWithRoom(now, neighbours: everyPeer.count)
        let held = union(everyPeer)
        let given = mirrors.reduce(PieceSet(pieceCount: layout.pieceCount)) {
            $0.union(permitted($1, held: held, hasPeers: !everyPeer.isEmpty, now))
        }
        let candidates = missing.intersection(union(peers).union(given))
        guard !candidates.isEmpty else { return nil }
        var rarity = RarityCounter(pieceCount: layout.pieceCount)
        for id in everyPeer { rarity.add(have(id)) }
        let rarest = rarity.rarest(of: candidates)
        guard let piece = rarest.piece(at: chance(rarest.count)) else { return nil }
        let source =
            best(peers.filter { have($0).contains(piece) })
            ?? best(
                mirrors.filter {
                    permitted($0, held: held, hasPeers: !everyPeer.isEmpty, now).contains(piece)
                })
        return source.map { open(piece, at: $0, now) }
    }

    /// With every missing piece on its way, a piece that takes long is asked of a second neighbour.
    private mutating func nextEndgameRequest(_ now: Timestamp) -> PickerEffect? {
        guard missing.isEmpty else { return nil }
        for request in requests where isLate(request, now) {
            guard requests.filter({ $0.piece == request.piece }).count == 1 else { continue }
            let others = peersWithRoom(now).filter { $0 != request.source && have($0).contains(request.piece) }
            if let source = best(others) { return open(request.piece, at: source, now) }
        }
        return nil
    }

    /// The one with the least to do, then the fastest, then by chance.
    private mutating func best(_ ids: [SourceID]) -> SourceID? {
        func load(_ id: SourceID) -> (Int, Int64) {
            (sources[id]?.requests ?? 0, -(sources[id]?.rate ?? typicalRate ?? 0))
        }
        guard let least = ids.map(load).min(by: <) else { return nil }
        let equals = ids.filter { load($0) == least }
        return equals[chance(equals.count)]
    }

    /// What may be asked of a mirror.
    private func permitted(_ id: SourceID, held: PieceSet, hasPeers: Bool, _ now: Timestamp) -> PieceSet {
        guard let source = sources[id] else { return PieceSet(pieceCount: layout.pieceCount) }
        switch source.offer {
        case .unknown: return PieceSet(pieceCount: layout.pieceCount)
        case .everything: return source.have.subtracting(held)
        case .pieces(let pieces): return !hasPeers && isStarving(now) ? source.have : source.have.intersection(pieces)
        }
    }

    private func have(_ id: SourceID) -> PieceSet { sources[id]?.have ?? PieceSet(pieceCount: layout.pieceCount) }

    private func union(_ ids: [SourceID]) -> PieceSet {
        ids.reduce(PieceSet(pieceCount: layout.pieceCount)) { $0.union(have($1)) }
    }

    private func isUsable(_ id: SourceID, _ now: Timestamp) -> Bool {
        sources[id]?.isUsable(now) == true && !isBanned(id, now: now)
    }

    private func usable(_ kind: SourceKind, _ now: Timestamp) -> [SourceID] {
        sources.keys.sorted().filter { sources[$0]?.kind == kind && isUsable($0, now) }
    }

    private func usablePeers(_ now: Timestamp) -> [SourceID] { usable(.peer, now) }

    private func peersWithRoom(_ now: Timestamp) -> [SourceID] {
        let peers = usablePeers(now)
        let share = (settings.requestsInFlight + max(1, peers.count) - 1) / max(1, peers.count)
        return peers.filter { hasRoom($0, max(share, settings.requestsPerNeighbour), now) }
    }

    private func mirrorsWithRoom(_ now: Timestamp, neighbours: Int) -> [SourceID] {
        let limit = neighbours == 0 ? settings.requestsInFlight : settings.requestsPerMirror
        return usable(.mirror, now).filter { hasRoom($0, limit, now) }
    }

    private func hasRoom(_ id: SourceID, _ limit: Int, _ now: Timestamp) -> Bool {
        guard let source = sources[id] else { return false }
        return source.requests < limit && source.busyUntil <= now
    }
}

// MARK: - Time

extension PiecePicker {
    private mutating func giveUpOverdue(_ now: Timestamp) {
        for request in requests where deadline(request) <= now {
            _ = close(request.id)
            cancelled.append(request.id)
            sources[request.source]?.failed(now, settings)
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

    /// Keeps the moment since which nobody can be asked for what is missing.
    private mutating func noteStarvation(_ now: Timestamp) {
        let missing = missing
        let peers = usablePeers(now)
        let held = union(peers)
        var known = held
        for id in usable(.mirror, now) {
            switch sources[id]?.offer {
            case .everything: known = known.union(have(id))
            case .pieces(let pieces): known = known.union(pieces.intersection(have(id)))
            case .unknown, nil: break
            }
        }
        let isStarved = !missing.isEmpty && missing.intersection(known).isEmpty
        starvedSince = isStarved ? starvedSince ?? now : nil
    }

    /// The next moment at which time alone changes a decision.
    private func nextMoment(after now: Timestamp) -> Timestamp? {
        var moments: [Timestamp] = []
        for request in requests { moments += [deadline(request), lateMoment(request)] }
        for (id, source) in sources {
            moments += [source.restsUntil, source.busyUntil, bans[id]?.until ?? .zero]
        }
        if let starvedSince { moments.append(starvedSince.adding(milliseconds: settings.starvedMilliseconds)) }
        return moments.filter { $0 > now }.min()
    }
}

extension Int64 {
    /// The product, or the greatest value when it does not fit. For values from 0 on.
    fileprivate func multipliedSaturating(_ factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
