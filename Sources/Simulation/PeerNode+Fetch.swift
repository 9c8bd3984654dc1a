import Domain
import Projectors
import Region
import Swarm

/// What a mirror or a peer says of a pack.
struct HaveReply {
    var pieces: PieceSet
    /// Nil of a peer, which keeps no ledger.
    var offer: PieceSet?
}

/// One fetch of one pack: the real picker's choices, over simulated sources.
final class Fetch {
    let order: FetchOrder
    let app: AppName
    let facts: PackFacts
    var picker: PiecePicker
    /// Numbered as they are first heard of; the mirror is nil.
    var sources: [SourceID: PeerNode?] = [:]
    var numbers: [PeerName: SourceID] = [:]

    static let mirror = SourceID(rawValue: 0)

    init(app: AppName, order: FetchOrder, facts: PackFacts, verified: PieceSet?, seed: UInt64) {
        (self.app, self.order, self.facts) = (app, order, facts)
        let count = facts.layout.pieceCount
        picker = PiecePicker(
            layout: facts.layout, verified: verified ?? PieceSet(pieceCount: count), seed: seed)
    }
}

extension PeerNode {
    private static let askMilliseconds: ClosedRange<Int64> = 150...400
    private static let announceMilliseconds: Int64 = 3000
    private static let fetchCallMilliseconds: Int64 = 10_000

    // MARK: Beginning and end

    func fetch(_ app: AppName, _ order: FetchOrder) {
        call("peer's manifest") { [self] answer in
            region.manifest(order.build.manifest, answer: answer)
        } then: { [self] (facts: PackFacts??) in
            // Taken back, perhaps given again, while the answer was on its way.
            guard apps[app]?.fetch?.order == order else { return }
            guard let facts, let facts else { return fetchFailed(app, order, "the region does not have its manifest") }
            guard facts.app == app, facts.build == order.build.build else {
                return tell(app) {
                    $0.fetchFailed(order, detail: "the manifest is of another build", isFinal: true, now: $1)
                }
            }
            if wholePacks[facts.digest] != nil { return unpacked(app, order, facts) }
            let fetch = Fetch(
                app: app, order: order, facts: facts, verified: pieces[facts.digest], seed: world.chance.next())
            fetches[order.build] = fetch
            fetch.sources[Fetch.mirror] = .some(nil)
            fetch.picker.sourceAdded(Fetch.mirror, .mirror)
            ask(Fetch.mirror, fetch)
            announce(fetch)
            drive(fetch)
        }
    }

    private func fetchFailed(_ app: AppName, _ order: FetchOrder, _ detail: String) {
        tell(app) { $0.fetchFailed(order, detail: detail, isFinal: false, now: $1) }
    }

    private func isCurrent(_ fetch: Fetch) -> Bool { fetches[fetch.order.build] === fetch }

    private var moment: Timestamp { Timestamp(milliseconds: node.monotonic) }

    /// Asks for what the picker wants now.
    private func drive(_ fetch: Fetch) {
        guard isCurrent(fetch) else { return }
        let plan = fetch.picker.next(now: moment)
        for effect in plan.effects {
            if case .request(let request) = effect { get(request, fetch) }
        }
        if fetch.picker.isComplete {
            fetches[fetch.order.build] = nil
            world.counts.note("pack fetched")
            return world.after(milliseconds: world.among(2...200), on: node) { [self] in
                unpacked(fetch.app, fetch.order, fetch.facts)
            }
        }
        if let again = plan.askAgainAt {
            world.after(milliseconds: max(1, again.millisecondsSince(moment)), on: node) { [self] in drive(fetch) }
        }
    }

    // MARK: Pieces

    private func get(_ request: PieceRequest, _ fetch: Fetch) {
        guard let source = fetch.sources[request.source] else { return }
        let (facts, piece) = (fetch.facts, request.piece)
        world.call(
            "piece", from: node, to: source?.node ?? region.node, timeoutMilliseconds: Self.fetchCallMilliseconds
        ) { [self] answer in
            world.after(world.among(200...30_000), on: source?.node ?? region.node) { [self] in
                answer(
                    source?.piece(piece, of: facts) ?? (source == nil ? region.piece(piece, of: facts, to: name) : nil))
            }
        } then: { [self] (content: UInt64??) in
            guard isCurrent(fetch) else { return }
            defer { drive(fetch) }
            guard let content else { return fetch.picker.requestFailed(request.id, .unreachable, now: moment) }
            guard let content else { return fetch.picker.requestFailed(request.id, .missing, now: moment) }
            guard fetch.picker.requestArrived(request.id, now: moment) else { return }
            if content == facts.content {
                fetch.picker.pieceVerified(request.id)
                pieces[facts.digest] = fetch.picker.verified
            } else {
                world.counts.note("bad piece")
                fetch.picker.pieceRejected(request.id, now: moment)
            }
        }
    }

    /// What these bytes are; nil when the piece is not here.
    func piece(_ piece: Int, of facts: PackFacts) -> UInt64? {
        if wholePacks[facts.digest] != nil { return facts.content }
        return pieces[facts.digest]?.contains(piece) == true ? facts.content : nil
    }

    private func have(_ facts: PackFacts) -> PieceSet {
        let count = facts.layout.pieceCount
        if wholePacks[facts.digest] != nil { return .all(pieceCount: count) }
        return pieces[facts.digest] ?? PieceSet(pieceCount: count)
    }

    // MARK: Sources

    /// Keeps up to date what a source has, while it is one.
    private func ask(_ id: SourceID, _ fetch: Fetch) {
        guard isCurrent(fetch), let source = fetch.sources[id] else { return }
        let wanted = source == nil ? fetch.picker.starvedPieces(now: moment) : []
        let held = source == nil ? fetch.picker.heldOffers(of: id) : []
        let facts = fetch.facts
        world.call(
            "have", from: node, to: source?.node ?? region.node, timeoutMilliseconds: Self.fetchCallMilliseconds
        ) { [self] answer in
            if let source {
                answer(HaveReply(pieces: source.have(facts), offer: nil))
            } else {
                answer(region.offer(of: facts, to: name, wanted: wanted, held: held))
            }
        } then: { [self] (reply: HaveReply??) in
            guard isCurrent(fetch), fetch.sources[id] != nil else { return }
            if let reply, let reply {
                fetch.picker.haveChanged(id, reply.pieces)
                if let offer = reply.offer { fetch.picker.offerChanged(id, .pieces(offer)) }
            } else {
                fetch.picker.sourceFellSilent(id)
            }
            drive(fetch)
            world.after(milliseconds: world.among(Self.askMilliseconds), on: node) { [self] in ask(id, fetch) }
        }
    }

    private func announce(_ fetch: Fetch) {
        guard isCurrent(fetch) else { return }
        announce(fetch.facts) { [self] answer in
            guard isCurrent(fetch) else { return }
            for neighbour in answer?.neighbours ?? [] where fetch.numbers[neighbour.name] == nil {
                let id = SourceID(rawValue: UInt32(fetch.numbers.count + 1))
                fetch.numbers[neighbour.name] = id
                guard let other = others[neighbour.name] else { continue }
                fetch.sources[id] = other
                fetch.picker.sourceAdded(id, .peer)
                ask(id, fetch)
            }
            world.after(milliseconds: Self.announceMilliseconds, on: node) { [self] in announce(fetch) }
        }
    }

    private func announce(_ facts: PackFacts, then: @escaping (TrackerAnswer?) -> Void) {
        call("announce") { [self] answer in
            answer(region.announced(facts, peer: name, labels: labels))
        } then: { (answer: TrackerAnswer??) in
            then(answer ?? nil)
        }
    }

    /// Packs that are kept are announced too, slowly.
    func announceKept() {
        world.after(milliseconds: 15_000, on: node) { [self] in
            for digest in wholePacks.keys.sorted() { if let facts = wholePacks[digest] { announce(facts) { _ in } } }
            announceKept()
        }
    }
}

// MARK: - What a region gives peers

extension RegionNode {
    private var moment: Timestamp { Timestamp(milliseconds: node.monotonic) }

    /// From this store, else from the global process.
    func manifest(_ digest: Digest, answer: @escaping (PackFacts?) -> Void) {
        if let facts = manifests[digest] { return answer(facts) }
        call("manifest") { [self] reply in
            reply(global.manifests[digest])
        } then: { [self] (facts: PackFacts??) in
            if let facts, let facts { manifests[digest] = facts }
            answer(facts ?? nil)
        }
    }

    func announced(_ facts: PackFacts, peer: PeerName, labels: [String: String]) -> TrackerAnswer? {
        presence.note(peer)
        tracker.expire(now: moment)
        return tracker.announced(
            PackName(app: facts.app, build: facts.build), peer: peer, endpoint: "http://\(peer)", labels: labels,
            now: moment)
    }

    /// Nil when the pack is not on the shelf.
    func offer(of facts: PackFacts, to peer: PeerName, wanted: [Int], held: [Int]) -> HaveReply? {
        let name = PackName(app: facts.app, build: facts.build)
        guard shelf[name]?.facts == facts else { return nil }
        let offer = shelf[name]?.ledger.asked(by: peer, wanted: wanted, held: held, now: moment)
        return HaveReply(pieces: .all(pieceCount: facts.layout.pieceCount), offer: offer?.pieces)
    }

    /// What the bytes of a piece are: of a damaged pack something else. Nil when it is not on the shelf.
    func piece(_ piece: Int, of facts: PackFacts, to peer: PeerName) -> UInt64? {
        let name = PackName(app: facts.app, build: facts.build)
        guard shelf[name]?.facts == facts, let stored = packs[StoredKey(build: facts.build, attempt: facts.attempt)]
        else { return nil }
        shelf[name]?.ledger.pieceGiven(piece, to: peer, now: moment)
        return stored.isSound ? stored.facts.content : ~stored.facts.content
    }
}
