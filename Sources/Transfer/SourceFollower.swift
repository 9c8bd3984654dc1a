internal import Domain
internal import NIOCore
internal import Swarm
internal import Synchronization

/// Keeps what a source has, and what a mirror offers, up to date until it is stopped. Only the client's event loop
/// touches it.
final class SourceFollower {
    private let source: FollowedSource
    private let run: FetchRun
    private var isStopped = false
    private var haves = Asked()
    private var offers = Asked()
    private var offerVersion: UInt64?

    /// One question that is asked again and again.
    private struct Asked {
        var asking: Asking?
        var timer: Scheduled<Void>?
        /// In a row.
        var failures = 0

        mutating func stop() {
            timer?.cancel()
            asking?.cancel()
        }
    }

    init(_ source: FollowedSource, _ run: FetchRun) { (self.source, self.run) = (source, run) }

    private var settings: FetchSettings { run.fetcher.settings }
    private var client: PieceClient { run.fetcher.client }
    private var packName: PackName { run.fetcher.manifest.packName }
    private var pieceCount: Int { run.fetcher.file.layout.pieceCount }

    func start() {
        askHaves()
        if source.kind == .mirror { askOffer() }
    }

    func stop() {
        isStopped = true
        haves.stop()
        offers.stop()
    }

    private func after(_ milliseconds: Int64, _ body: @escaping () -> Void) -> Scheduled<Void> {
        client.loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds), body)
    }

    private func rest(_ failures: Int) -> Int64 {
        let doubled = settings.retryMilliseconds << Int64(min(failures - 1, 20))
        return min(doubled, settings.maximumRetryMilliseconds)
    }

    // MARK: What it has

    private func askHaves() {
        var question = Question(PackPath.of(packName, "/haves"), as: nil, at: source.endpoint)
        question.waitMilliseconds = HaveStream.restMilliseconds
        let reader = HavesReader(source.endpoint, pieceCount: pieceCount) { [self] have in
            haves.failures = 0
            run.note(source) { $0.haveChanged(source.id, have) }
        } done: { [self] failure in
            havesEnded(failure)
        }
        haves.asking = client.pool.value.ask(question, reader)
    }

    /// Once it has all, it is looked at again now and then: it may have begun anew.
    private func havesEnded(_ failure: SourceFailure?) {
        guard !isStopped else { return }
        var pause = settings.maximumRetryMilliseconds
        if failure != nil {
            run.note(source) { $0.sourceFellSilent(source.id) }
            haves.failures += 1
            pause = rest(haves.failures)
        }
        haves.timer = after(pause) { [self] in askHaves() }
    }

    // MARK: What it offers

    private func askOffer() {
        let (fetcher, now) = (run.fetcher, run.fetcher.now)
        let (wanted, held) = fetcher.state.withLock {
            ($0.picker.starvedPieces(now: now), $0.picker.heldOffers(of: source.id))
        }
        let question = Question.offer(
            of: packName, to: fetcher.peer, at: source.endpoint, wanted: wanted, held: held, after: offerVersion,
            waitMilliseconds: settings.offerWaitMilliseconds)
        let reader = SmallReader(source.endpoint, maximumBytes: client.settings.maximumMapBytes) { [self] result in
            offerAnswered(result)
        }
        offers.asking = client.pool.value.ask(question, reader)
    }

    private func offerAnswered(_ result: Result<SmallAnswer, SourceFailure>) {
        guard !isStopped else { return }
        var pause = settings.pauseMilliseconds
        do throws(SourceFailure) {
            let offer = try result.get().map(pieceCount, source.endpoint)
            if offer.version != offerVersion {
                run.note(source) { $0.offerChanged(source.id, .pieces(offer.pieces)) }
            }
            (offerVersion, offers.failures) = (offer.version, 0)
        } catch {
            offerVersion = nil
            if error.code == .noOffers {
                run.note(source) { $0.offerChanged(source.id, .everything) }
                pause = settings.maximumRetryMilliseconds
            } else {
                offers.failures += 1
                pause = rest(offers.failures)
            }
        }
        offers.timer = after(pause) { [self] in askOffer() }
    }
}

extension Question {
    /// What a mirror lets a peer take.
    static func offer(
        of pack: PackName, to peer: PeerName, at endpoint: PackEndpoint, wanted: [Int], held: [Int], after: UInt64?,
        waitMilliseconds: Int64
    ) -> Question {
        var query: [String] = []
        if let after { query += ["after=\(after)", "wait=\(waitMilliseconds)ms"] }
        for (name, pieces) in [("wanted", wanted), ("held", held)] where !pieces.isEmpty {
            query.append("\(name)=" + pieces.map(String.init).joined(separator: ","))
        }
        let path = PackPath.of(pack, "/offer") + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        var question = Question(path, as: peer, at: endpoint)
        question.waitMilliseconds = after == nil ? 0 : waitMilliseconds
        return question
    }
}
