package enum RegionCommand: Hashable, Sendable {
    /// The next part of the global feed: the sequence it was asked after, its facts, and the position after them.
    case take(from: LogSequence, [TakenFact], LogPosition)
    /// The leader does not have what follows any more, and says what it amounts to.
    case adopt(RegionSnapshot)
    /// The leader says that the followed position is not on its chain: go back to the common one (at worst its start).
    case refollow(LogPosition)
    case packStored(BuildID, AttemptNumber, manifest: Digest)
    case packLost(BuildID, detail: String)
    case packRemoved(BuildID)
    case enrol(PeerName, labels: [String: String], endpoint: String)
    case peerReport(PeerName, AppName, PeerApp)
    case peerSilent(PeerName)
    /// The peer was heard again.
    case peerReturn(PeerName)
}

/// A global fact with its sequence.
package struct TakenFact: Hashable, Sendable, Codable {
    package var fact: GlobalFact
    package var sequence: LogSequence

    package init(_ fact: GlobalFact, at sequence: LogSequence) {
        self.fact = fact
        self.sequence = sequence
    }
}

/// The regional aggregate. Its state is a function of its own log alone.
package enum Regional: Aggregate {
    package typealias State = RegionState
    package typealias Command = RegionCommand
    package typealias Event = RegionEvent

    package enum Answer: Hashable, Sendable {
        case done
    }

    package static var initialState: RegionState { RegionState() }

    package static func event(_ fact: LogEvent) -> RegionEvent { .log(fact) }

    package static func fact(_ event: RegionEvent) -> LogEvent? {
        if case .log(let fact) = event { fact } else { nil }
    }

    package static var reducerFingerprint: UInt64 { 3 }

    package static func log(_ state: RegionState) -> LogState { state.log }

    package static func refusalEvent(
        _ refusal: Refusal, count: UInt64, state: RegionState, now: Timestamp
    ) -> RegionEvent? {
        state.log.refusalEvent(refusal, count: count, now: now).map(RegionEvent.log)
    }

    package static func reduce(_ state: inout RegionState, _ header: FrameHeader, _ event: RegionEvent) {
        state.reduce(event, at: header.time)
    }

    package static func decide(
        _ state: RegionState, _ command: RegionCommand, _ context: DecisionContext
    ) -> Decision<RegionEvent, Answer> {
        switch command {
        case .take(let from, let facts, let position): state.take(from: from, facts, position)
        case .adopt(let snapshot): state.adopt(snapshot)
        case .refollow(let position): state.refollow(position)
        case .packStored(let build, let attempt, let manifest): state.packStored(build, attempt, manifest)
        case .packLost(let build, let detail):
            state.packLost(build, detail: detail)
        case .packRemoved(let build): state.packRemoved(build)
        case .enrol(let name, let labels, let endpoint): state.enrol(name, labels: labels, endpoint: endpoint)
        case .peerReport(let name, let app, let report): state.peerReport(name, app, report)
        case .peerSilent(let name): state.setSilence(name, true)
        case .peerReturn(let name): state.setSilence(name, false)
        }
    }

    /// The command that these events (of one command id, in order) came from.
    package static func command(from events: [RegionEvent]) -> RegionCommand? {
        switch events.first {
        case .taken, .followed: takeCommand(from: events)
        case .refollowed(let position): .refollow(position)
        case .packStored(let build, let attempt, let manifest): .packStored(build, attempt, manifest: manifest)
        case .packLost(let build, let detail): .packLost(build, detail: detail)
        case .packRemoved(let build): .packRemoved(build)
        case .peerEnrolled(let name, let labels, let endpoint): .enrol(name, labels: labels, endpoint: endpoint)
        case .peerChanged(let name, let app, let report): .peerReport(name, app, report)
        case .peerSilent(let name): .peerSilent(name)
        case .peerReturned(let name): .peerReturn(name)
        case .log, nil: nil
        }
    }

    /// A snapshot's facts are taken like a part of the feed. The sequence asked after is not recorded: any that is not beyond the state's own rebuilds the same decision.
    private static func takeCommand(from events: [RegionEvent]) -> RegionCommand? {
        let facts = events.compactMap { event -> TakenFact? in
            if case .taken(let fact, let sequence) = event { TakenFact(fact, at: sequence) } else { nil }
        }
        guard case .followed(let position)? = events.last else { return nil }
        return .take(from: .zero, facts, position)
    }
}

extension RegionState {
    /// Facts must continue what was taken: none twice, none skipped backwards, on the same log.
    fileprivate func take(
        from: LogSequence, _ facts: [TakenFact], _ next: LogPosition
    ) -> Decision<RegionEvent, Regional.Answer> {
        guard facts.count <= Self.maximumTakenFacts else {
            return .refused(
                Refusal(.limitReached, "a part of the feed holds \(facts.count) facts, above \(Self.maximumTakenFacts)")
            )
        }
        if let position {
            guard position.log == next.log else {
                return .refused(Refusal(.forked, "the feed is of log \(next.log), this region follows \(position.log)"))
            }
            guard next.sequence >= position.sequence, next.epoch >= position.epoch else {
                return .refused(Refusal(.outOfOrder, "the feed is at \(next.sequence), behind \(position.sequence)"))
            }
            if next.sequence == position.sequence, next.chain != position.chain {
                return .refused(Refusal(.forked, "the feed's chain at \(next.sequence) is not the one followed here"))
            }
        }
        let taken = position?.sequence ?? .zero
        guard from <= taken else {
            return .refused(
                Refusal(.outOfOrder, "the feed begins after \(from), only \(taken) is taken: ask from there"))
        }
        guard isAscending(facts, after: taken, upTo: next.sequence) else {
            return .refused(Refusal(.outOfOrder, "the feed's facts are not in order between \(taken) and its position"))
        }
        if next == position { return .accepted([], .done) }
        return .accepted(facts.map { .taken($0.fact, at: $0.sequence) } + [.followed(next)], .done)
    }

    private func isAscending(_ facts: [TakenFact], after first: LogSequence, upTo last: LogSequence) -> Bool {
        var previous = first
        for fact in facts {
            // Those of a snapshot are all at its position.
            let follows = fact.sequence > previous || (previous > first && previous == last)
            guard follows, fact.sequence <= last, fact.sequence >= previous else { return false }
            previous = fact.sequence
        }
        return true
    }

    /// Only ever back, for a jump forwards would skip facts; and on the log followed, for a region that is led to
    /// another one by mistake must not forget its packs.
    fileprivate func refollow(_ common: LogPosition) -> Decision<RegionEvent, Regional.Answer> {
        if let position, position.log != common.log {
            return .refused(
                Refusal(
                    .forked,
                    "this region follows log \(position.log), the global process keeps \(common.log): lead it to its own"
                ))
        }
        guard common.sequence <= position?.sequence ?? .zero else {
            return .refused(
                Refusal(.outOfOrder, "position \(common.sequence) is ahead of what is taken: follow instead"))
        }
        guard common != position else { return .accepted([], .done) }
        // The leader says again what is behind this position, and nothing of what was so at it: that is taken as facts.
        let facts = restored(to: common.sequence).map { RegionEvent.taken($0, at: common.sequence) }
        return .accepted([.refollowed(common)] + facts, .done)
    }

    /// Also of an upload that was never whole here, so that the mirror does not look at it for ever.
    fileprivate func packLost(_ build: BuildID, detail: String) -> Decision<RegionEvent, Regional.Answer> {
        guard detail.utf8.count <= QueueCommand.maximumDetailBytes else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(QueueCommand.maximumDetailBytes) bytes"))
        }
        guard let pack = packs[build], pack.phase != .lost, pack.phase != .removed else { return .accepted([], .done) }
        return .accepted([.packLost(build, detail: detail)], .done)
    }

    fileprivate func packRemoved(_ build: BuildID) -> Decision<RegionEvent, Regional.Answer> {
        guard let pack = packs[build], pack.retirement != nil else {
            return .refused(Refusal(.buildKept, "build \(build) is not retired here: its pack stays"))
        }
        return .accepted(pack.phase == .removed ? [] : [.packRemoved(build)], .done)
    }

    fileprivate func packStored(
        _ build: BuildID, _ attempt: AttemptNumber, _ manifest: Digest
    ) -> Decision<RegionEvent, Regional.Answer> {
        guard let pack = packs[build], pack.attempt == attempt, pack.manifest == manifest else {
            return .refused(Refusal(.unknownBuild, "build \(build) attempt \(attempt) is not wanted here: drop it"))
        }
        if pack.phase != .stored, pack.retirement != nil { return .refused(GlobalState.retired(build)) }
        return .accepted(pack.phase == .stored ? [] : [.packStored(build, attempt, manifest: manifest)], .done)
    }

    fileprivate func enrol(
        _ name: PeerName, labels: [String: String], endpoint: String
    ) -> Decision<RegionEvent, Regional.Answer> {
        let selector = PeerSelector(labels: labels)
        if let problem = selector.problem { return .refused(problem) }
        guard endpoint.utf8.count <= PeerRecord.maximumEndpointBytes else {
            return .refused(Refusal(.tooLarge, "endpoint is longer than \(PeerRecord.maximumEndpointBytes) bytes"))
        }
        if let peer = peers[name], peer.labels == labels, peer.endpoint == endpoint, !peer.isSilent {
            return .accepted([], .done)
        }
        guard peers[name] != nil || peers.count < Self.maximumPeers else {
            return .refused(Refusal(.limitReached, "there are \(peers.count) peers already"))
        }
        return .accepted([.peerEnrolled(name, labels: labels, endpoint: endpoint)], .done)
    }

    /// Revisions of a peer only grow, and repeats are no event.
    fileprivate func peerReport(
        _ name: PeerName, _ app: AppName, _ report: PeerApp
    ) -> Decision<RegionEvent, Regional.Answer> {
        guard let peer = peers[name] else {
            return .refused(Refusal(.unknownPeer, "peer \(name) is not enrolled: enrol first"))
        }
        guard report.detail.utf8.count <= PeerApp.maximumDetailBytes else {
            return .refused(Refusal(.tooLarge, "detail is longer than \(PeerApp.maximumDetailBytes) bytes"))
        }
        let known = peer.apps[app]
        guard known != report, report.revision >= known?.revision ?? .zero else { return .accepted([], .done) }
        return .accepted([.peerChanged(name, app, report)], .done)
    }

    fileprivate func setSilence(_ name: PeerName, _ isSilent: Bool) -> Decision<RegionEvent, Regional.Answer> {
        guard let peer = peers[name] else {
            return .refused(Refusal(.unknownPeer, "peer \(name) is not enrolled: enrol first"))
        }
        guard peer.isSilent != isSilent else { return .accepted([], .done) }
        return .accepted([isSilent ? .peerSilent(name) : .peerReturned(name)], .done)
    }
}
