package import Domain

/// One request of one fetch; never used twice.
package struct RequestID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: RequestID, right: RequestID) -> Bool { left.rawValue < right.rawValue }
}

/// Ask this source for this piece.
package struct PieceRequest: Hashable, Sendable {
    package var id: RequestID
    package var source: SourceID
    package var piece: Int

    package init(id: RequestID, source: SourceID, piece: Int) {
        (self.id, self.source, self.piece) = (id, source, piece)
    }
}

package enum PickerEffect: Hashable, Sendable {
    case request(PieceRequest)
    /// Its bytes are not wanted any more. Facts about it that come later are ignored.
    case cancel(RequestID)
}

/// Which pieces of one pack to ask of whom: rarest first, chance by seed where pieces are equally rare, of the
/// neighbour with the least to do; of a mirror what it offers, or what no neighbour has.
///
/// Facts come in by the functions named after them, `next` decides. Times are milliseconds of one monotonic clock.
package struct PiecePicker: Sendable {
    package let layout: PieceLayout
    package let settings: PickerSettings
    package internal(set) var verified: PieceSet
    /// Neither here nor on their way. Invariant: what is not in `verified`, `requests` and `checking`.
    private(set) var missing: PieceSet
    /// Mirrors, then peers, each by id. A few dozen at most: an array of them is looked through faster than a table.
    var sources: [PickerSource] = []
    /// Those of them that are mirrors.
    private(set) var mirrorCount = 0
    /// No source rests or is busy for longer.
    var restsUntil = Timestamp.zero
    /// Outlives the source's entry, so that leaving and returning forgives nothing.
    var bans: [SourceID: SourceBan] = [:]
    /// In the order of their start. Invariant: their sources' `requests` count them.
    private(set) var requests: [OpenRequest] = []
    /// Those of them that are at mirrors.
    private(set) var requestsAtMirrors = 0
    /// Pieces whose bytes are here and not yet known to be good.
    private(set) var checking: [OpenRequest] = []
    /// Requests whose end the owner has not been told of.
    var cancelled: [RequestID] = []
    /// Bytes a second of a request, over all sources, smoothed; halved when a request is given up as slow.
    var typicalRate: Int64?
    /// Since when there is nothing to ask of anybody, though pieces are missing.
    var starvedSince: Timestamp?
    var generator: SeededGenerator
    private var lastRequest: UInt64 = 0

    /// `verified`: what an earlier run left.
    package init(layout: PieceLayout, verified: PieceSet, settings: PickerSettings = PickerSettings(), seed: UInt64) {
        precondition(verified.pieceCount == layout.pieceCount)
        (self.layout, self.verified, self.settings) = (layout, verified, settings)
        missing = verified.complement
        generator = SeededGenerator(seed: seed)
    }

    package var isComplete: Bool { verified.isComplete }

    /// A request that is under way, or whose bytes are being checked.
    struct OpenRequest: Hashable, Sendable {
        let id: RequestID
        let source: SourceID
        let piece: Int
        let startedAt: Timestamp
        var lastByteAt: Timestamp
    }

    func place(of id: SourceID) -> Int? {
        for place in sources.indices where sources[place].id == id { return place }
        return nil
    }

    mutating func open(_ piece: Int, at place: Int, _ now: Timestamp) -> PickerEffect {
        lastRequest += 1
        let (id, source) = (RequestID(rawValue: lastRequest), sources[place].id)
        requests.append(OpenRequest(id: id, source: source, piece: piece, startedAt: now, lastByteAt: now))
        sources[place].requests += 1
        if sources[place].kind == .mirror { requestsAtMirrors += 1 }
        missing.remove(piece)
        return .request(PieceRequest(id: id, source: source, piece: piece))
    }

    /// Takes a request off the list, its piece is missing again; nil when it has ended already.
    mutating func close(_ id: RequestID) -> OpenRequest? {
        guard let place = requests.firstIndex(where: { $0.id == id }) else { return nil }
        let request = requests.remove(at: place)
        if let source = self.place(of: request.source) {
            sources[source].requests -= 1
            if sources[source].kind == .mirror { requestsAtMirrors -= 1 }
        }
        noteMissing(request.piece)
        return request
    }

    mutating func failed(_ place: Int, _ now: Timestamp) {
        sources[place].failed(now, settings)
        restsUntil = max(restsUntil, sources[place].restsUntil)
    }

    /// A piece is not on this way any more; it may be on another.
    private mutating func noteMissing(_ piece: Int) {
        guard !verified.contains(piece), !requests.contains(where: { $0.piece == piece }),
            !checking.contains(where: { $0.piece == piece })
        else { return }
        missing.insert(piece)
    }

    private mutating func endCheck(_ id: RequestID) -> OpenRequest? {
        guard let place = checking.firstIndex(where: { $0.id == id }) else { return nil }
        return checking.remove(at: place)
    }

    private mutating func cancel(where isUnwanted: (OpenRequest) -> Bool) {
        for request in requests where isUnwanted(request) {
            cancelled.append(request.id)
            _ = close(request.id)
        }
    }
}

// MARK: - Facts about sources

extension PiecePicker {
    /// A neighbour or mirror that may be asked from now on. Known ones are left as they are.
    package mutating func sourceAdded(_ id: SourceID, _ kind: SourceKind) {
        guard place(of: id) == nil else { return }
        let range = kind == .mirror ? 0..<mirrorCount : mirrorCount..<sources.count
        let place = range.first { sources[$0].id > id } ?? range.upperBound
        sources.insert(PickerSource(id, kind, pieceCount: layout.pieceCount), at: place)
        if kind == .mirror { mirrorCount += 1 }
    }

    package mutating func sourceRemoved(_ id: SourceID) {
        cancel { $0.source == id }
        guard let place = place(of: id) else { return }
        sources.remove(at: place)
        if place < mirrorCount { mirrorCount -= 1 }
    }

    /// It answered with what it has: all of it, replacing what was known.
    package mutating func haveChanged(_ id: SourceID, _ have: PieceSet) {
        guard have.pieceCount == layout.pieceCount, let place = place(of: id) else { return }
        sources[place].have = have
        sources[place].isSilent = false
    }

    /// What a mirror lets this peer take, replacing what was known.
    package mutating func offerChanged(_ id: SourceID, _ offer: SourceOffer) {
        if case .pieces(let pieces) = offer, pieces.pieceCount != layout.pieceCount { return }
        if let place = place(of: id) { sources[place].offer = offer }
    }

    /// It cannot be followed. It is not asked before it answers again.
    package mutating func sourceFellSilent(_ id: SourceID) {
        if let place = place(of: id) { sources[place].isSilent = true }
    }
}

// MARK: - Facts about requests

extension PiecePicker {
    /// Some bytes came.
    package mutating func requestProgressed(_ id: RequestID, now: Timestamp) {
        guard let place = requests.firstIndex(where: { $0.id == id }) else { return }
        requests[place].lastByteAt = now
    }

    /// All its bytes are here; they are being checked. False when nobody waits for them any more.
    package mutating func requestArrived(_ id: RequestID, now: Timestamp) -> Bool {
        guard let request = close(id) else { return false }
        checking.append(request)
        missing.remove(request.piece)
        let rate = rate(of: request, now)
        if let place = place(of: request.source) { sources[place].succeeded(rate: rate) }
        typicalRate = smoothed(typicalRate, rate)
        return true
    }

    private func rate(of request: OpenRequest, _ now: Timestamp) -> Int64 {
        let bytes = Int64(clamping: layout.bytes(of: request.piece))
        return max(1, bytes &* 1000 / max(1, now.millisecondsSince(request.startedAt)))
    }

    package mutating func requestFailed(_ id: RequestID, _ failure: RequestFailure, now: Timestamp) {
        guard let request = close(id), let place = place(of: request.source) else { return }
        switch failure {
        case .unreachable: failed(place, now)
        case .busy: sources[place].refused(now, settings)
        case .missing:
            sources[place].have.remove(request.piece)
            sources[place].refused(now, settings)
        }
        restsUntil = max(restsUntil, sources[place].busyUntil)
    }

    /// Its piece is good, and written.
    package mutating func pieceVerified(_ id: RequestID) {
        guard let request = endCheck(id) else { return }
        verified.insert(request.piece)
        missing.remove(request.piece)
        cancel { $0.piece == request.piece }
    }

    /// Its piece is not what the manifest names: whoever sent it is banned for a while.
    package mutating func pieceRejected(_ id: RequestID, now: Timestamp) {
        guard let request = endCheck(id) else { return }
        noteMissing(request.piece)
        forgetOldBans(now)
        bans[request.source, default: SourceBan()].offended(now, settings)
        cancel { $0.source == request.source }
    }

    /// A good piece could not be written, or the check was given up: nobody's fault, it is asked for again.
    package mutating func pieceDropped(_ id: RequestID) {
        if let request = endCheck(id) { noteMissing(request.piece) }
    }

    package func isBanned(_ id: SourceID, now: Timestamp) -> Bool { (bans[id]?.until ?? .zero) > now }

    private mutating func forgetOldBans(_ now: Timestamp) {
        guard bans.count >= settings.maximumBans else { return }
        bans = bans.filter { place(of: $0.key) != nil || $0.value.until > now }
        if bans.count >= settings.maximumBans,
            let oldest = bans.min(by: { ($0.value.since, $0.key) < ($1.value.since, $1.key) })
        {
            bans[oldest.key] = nil
        }
    }
}
