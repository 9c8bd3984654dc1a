package import Domain

extension PiecePicker {
    /// What to ask and what to give up now. Ask again after the next fact, or at the moment it names.
    package mutating func next(now: Timestamp) -> Plan<PickerEffect> {
        giveUpOverdue(now)
        var effects = cancelled.map(PickerEffect.cancel)
        cancelled = []
        noteStarvation(now)
        let before = effects.count
        while hasRoom, let effect = nextRequest(now) ?? nextEndgameRequest(now) { effects.append(effect) }
        if effects.count > before { noteStarvation(now) }
        return Plan(effects: effects, askAgainAt: isComplete ? nil : nextMoment(after: now))
    }

    /// Missing pieces that no neighbour has and no mirror offers, a few of them by chance, once that has lasted for
    /// `starvedMilliseconds`: what to ask a mirror's ledger for.
    package mutating func starvedPieces(now: Timestamp) -> [Int] {
        guard let since = starvedSince, since.adding(milliseconds: settings.starvedMilliseconds) <= now else {
            return []
        }
        var wanted = missing
        for id in usablePeers(now) { subtractHave(of: id, from: &wanted) }
        var pieces: [Int] = []
        while pieces.count < settings.starvedPieces, let piece = wanted.piece(at: chance(wanted.count)) {
            wanted.remove(piece)
            pieces.append(piece)
        }
        return pieces.sorted()
    }

    private var hasRoom: Bool { checking.count < min(settings.piecesBeingChecked, max(1, windowPieces / 2)) }

    /// Pieces of `windowBytes`.
    private var windowPieces: Int { Int(clamping: max(2, settings.windowBytes / layout.pieceBytes)) }

    private var requestsInFlight: Int { min(settings.requestsInFlight, windowPieces) }

    /// Requests under way at neighbours. What mirrors owe is counted apart: it comes slowly, and others wait for it.
    private func requests(at kind: SourceKind) -> Int { requests.count { sources[$0.source]?.kind == kind } }

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
    /// A piece that a mirror offers, else the rarest piece of the neighbours that have the least to do for this peer.
    private mutating func nextRequest(_ now: Timestamp) -> PickerEffect? {
        let (missing, everyPeer) = (missing, usablePeers(now))
        guard !missing.isEmpty else { return nil }
        return nextRequestAtMirror(missing, everyPeer, now) ?? nextRequestAtPeer(missing, everyPeer, now)
    }

    private mutating func nextRequestAtMirror(
        _ missing: PieceSet, _ everyPeer: [SourceID], _ now: Timestamp
    ) -> PickerEffect? {
        guard requests(at: .mirror) < requestsInFlight else { return nil }
        var given: [(mirror: SourceID, pieces: PieceSet)] = []
        for mirror in mirrorsWithRoom(now, neighbours: everyPeer.count) {
            guard var pieces = permitted(mirror, everyPeer, now) else { continue }
            pieces.formIntersection(missing)
            if !pieces.isEmpty { given.append((mirror, pieces)) }
        }
        guard var candidates = given.first?.pieces else { return nil }
        for (_, pieces) in given.dropFirst() { candidates.formUnion(pieces) }
        guard let piece = candidates.piece(at: chance(candidates.count)) else { return nil }
        let source = best(given.filter { $0.pieces.contains(piece) }.map(\.mirror))
        return source.map { open(piece, at: $0, now) }
    }

    private mutating func nextRequestAtPeer(
        _ missing: PieceSet, _ everyPeer: [SourceID], _ now: Timestamp
    ) -> PickerEffect? {
        guard requests(at: .peer) < requestsInFlight else { return nil }
        var left = peersWithRoom(now)
        var rarity: RarityCounter?
        while let least = left.map({ sources[$0]?.requests ?? 0 }).min() {
            let idlest = left.filter { sources[$0]?.requests ?? 0 == least }
            left.removeAll { sources[$0]?.requests ?? 0 == least }
            let candidates = union(idlest).intersection(missing)
            guard !candidates.isEmpty else { continue }
            let counter = rarity ?? counted(everyPeer)
            rarity = counter
            let rarest = counter.rarest(of: candidates)
            guard let piece = rarest.piece(at: chance(rarest.count)),
                let source = best(idlest.filter { has($0, piece) })
            else { return nil }
            return open(piece, at: source, now)
        }
        return nil
    }

    private func counted(_ ids: [SourceID]) -> RarityCounter {
        var rarity = RarityCounter(pieceCount: layout.pieceCount)
        for id in ids { if let source = sources[id] { rarity.add(source.have) } }
        return rarity
    }

    /// With every missing piece on its way, a piece that takes long is asked of a second neighbour.
    private mutating func nextEndgameRequest(_ now: Timestamp) -> PickerEffect? {
        guard missing.isEmpty, requests(at: .peer) < requestsInFlight else { return nil }
        for request in requests where isLate(request, now) {
            guard requests.filter({ $0.piece == request.piece }).count == 1 else { continue }
            let others = peersWithRoom(now).filter { $0 != request.source && has($0, request.piece) }
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

    /// What may be asked of a mirror; nil: nothing.
    private func permitted(_ id: SourceID, _ everyPeer: [SourceID], _ now: Timestamp) -> PieceSet? {
        guard let source = sources[id] else { return nil }
        switch source.offer {
        case .unknown: return nil
        case .everything:
            var pieces = source.have
            for peer in everyPeer { subtractHave(of: peer, from: &pieces) }
            return pieces
        case .pieces(let pieces):
            if everyPeer.isEmpty, isStarving(now) { return source.have }
            return pieces.isEmpty ? nil : source.have.intersection(pieces)
        }
    }

    private func has(_ id: SourceID, _ piece: Int) -> Bool { sources[id]?.have.contains(piece) == true }

    private func subtractHave(of id: SourceID, from pieces: inout PieceSet) {
        if let source = sources[id] { pieces.subtract(source.have) }
    }

    private func union(_ ids: [SourceID]) -> PieceSet {
        var union = PieceSet(pieceCount: layout.pieceCount)
        for id in ids { if let source = sources[id] { union.formUnion(source.have) } }
        return union
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
        let share = (requestsInFlight + max(1, peers.count) - 1) / max(1, peers.count)
        return peers.filter { hasRoom($0, max(share, settings.requestsPerNeighbour), now) }
    }

    private func mirrorsWithRoom(_ now: Timestamp, neighbours: Int) -> [SourceID] {
        let limit = neighbours == 0 ? requestsInFlight : settings.requestsPerMirror
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

    /// Keeps the moment since which nobody can be asked for what is missing. Whoever waits for as many pieces as it may
    /// does not starve.
    private mutating func noteStarvation(_ now: Timestamp) {
        starvedSince =
            hasRoom && requests(at: .peer) < requestsInFlight && isUnsupplied(now) ? starvedSince ?? now : nil
    }

    /// Whether pieces are missing, and nobody has or offers one of them.
    private func isUnsupplied(_ now: Timestamp) -> Bool {
        var missing = missing
        guard !missing.isEmpty else { return false }
        for (id, source) in sources where isUsable(id, now) {
            let count = missing.count
            switch (source.kind, source.offer) {
            case (.peer, _), (.mirror, .everything): missing.subtract(source.have)
            case (.mirror, .pieces(let pieces)): missing.subtract(pieces.intersection(source.have))
            case (.mirror, .unknown): break
            }
            if missing.count < count { return false }
        }
        return true
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
