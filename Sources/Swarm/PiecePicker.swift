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
    var sources: [SourceID: PickerSource] = [:]
    /// Outlives the source's entry, so that leaving and returning forgives nothing.
    var bans: [SourceID: SourceBan] = [:]
    /// In the order of their start. Invariant: `sources[request.source].requests` counts them.
    var requests: [OpenRequest] = []
    /// Pieces whose bytes are here and not yet known to be good.
    var checking: [RequestID: OpenRequest] = [:]
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

    mutating func open(_ piece: Int, at source: SourceID, _ now: Timestamp) -> PickerEffect {
        lastRequest += 1
        let id = RequestID(rawValue: lastRequest)
        requests.append(OpenRequest(id: id, source: source, piece: piece, startedAt: now, lastByteAt: now))
        sources[source]?.requests += 1
        return .request(PieceRequest(id: id, source: source, piece: piece))
    }

    /// Takes a request off the list; nil when it has ended already.
    mutating func close(_ id: RequestID) -> OpenRequest? {
        guard let place = requests.firstIndex(where: { $0.id == id }) else { return nil }
        let request = requests.remove(at: place)
        sources[request.source]?.requests -= 1
        return request
    }
}

// MARK: - Facts about sources

extension PiecePicker {
    /// A neighbour or mirror that may be asked from now on. Known ones are left as they are.
    package mutating func sourceAdded(_ id: SourceID, _ kind: SourceKind) {
        guard sources[id] == nil else { return }
        sources[id] = PickerSource(kind: kind, pieceCount: layout.pieceCount)
    }

    package mutating func sourceRemoved(_ id: SourceID) {
        for request in requests where request.source == id { cancelled.append(request.id) }
        requests.removeAll { $0.source == id }
        sources[id] = nil
    }

    /// It answered with what it has: all of it, replacing what was known.
    package mutating func haveChanged(_ id: SourceID, _ have: PieceSet) {
        guard have.pieceCount == layout.pieceCount else { return }
        sources[id]?.have = have
        sources[id]?.isSilent = false
    }

    /// What a mirror lets this peer take, replacing what was known.
    package mutating func offerChanged(_ id: SourceID, _ offer: SourceOffer) {
        if case .pieces(let pieces) = offer, pieces.pieceCount != layout.pieceCount { return }
        sources[id]?.offer = offer
    }

    /// It cannot be followed. It is not asked before it answers again.
    package mutating func sourceFellSilent(_ id: SourceID) {
        sources[id]?.isSilent = true
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
        checking[id] = request
        let rate = rate(of: request, now)
        sources[request.source]?.succeeded(rate: rate)
        typicalRate = smoothed(typicalRate, rate)
        return true
    }

    private func rate(of request: OpenRequest, _ now: Timestamp) -> Int64 {
        let bytes = Int64(clamping: layout.bytes(of: request.piece))
        return max(1, bytes &* 1000 / max(1, now.millisecondsSince(request.startedAt)))
    }

    package mutating func requestFailed(_ id: RequestID, _ failure: RequestFailure, now: Timestamp) {
        guard let request = close(id) else { return }
        switch failure {
        case .unreachable: sources[request.source]?.failed(now, settings)
        case .busy: sources[request.source]?.refused(now, settings)
        case .missing:
            sources[request.source]?.have.remove(request.piece)
            sources[request.source]?.refused(now, settings)
        }
    }

    /// Its piece is good, and written.
    package mutating func pieceVerified(_ id: RequestID) {
        guard let request = checking.removeValue(forKey: id) else { return }
        verified.insert(request.piece)
        for rival in requests where rival.piece == request.piece {
            cancelled.append(rival.id)
            _ = close(rival.id)
        }
    }

    /// Its piece is not what the manifest names: whoever sent it is banned for a while.
    package mutating func pieceRejected(_ id: RequestID, now: Timestamp) {
        guard let request = checking.removeValue(forKey: id) else { return }
        forgetOldBans(now)
        bans[request.source, default: SourceBan()].offended(now, settings)
        for rival in requests where rival.source == request.source {
            cancelled.append(rival.id)
            _ = close(rival.id)
        }
    }

    /// A good piece could not be written, or the check was given up: nobody's fault, it is asked for again.
    package mutating func pieceDropped(_ id: RequestID) {
        checking[id] = nil
    }

    package func isBanned(_ id: SourceID, now: Timestamp) -> Bool { (bans[id]?.until ?? .zero) > now }

    private mutating func forgetOldBans(_ now: Timestamp) {
        guard bans.count >= settings.maximumBans else { return }
        bans = bans.filter { sources[$0.key] != nil || $0.value.until > now }
        if bans.count >= settings.maximumBans,
            let oldest = bans.min(by: { ($0.value.since, $0.key) < ($1.value.since, $1.key) })
        {
            bans[oldest.key] = nil
        }
    }
}
