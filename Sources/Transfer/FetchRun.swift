internal import Domain
internal import Logging
internal import NIOCore
internal import Swarm
internal import Synchronization

/// A fetch while it runs: carries out what the picker decides. Only the client's event loop touches it.
final class FetchRun {
    let fetcher: PackFetcher
    private let loop: any EventLoop
    private let done: (TransferFailure?) -> Void
    private var followers: [SourceID: SourceFollower] = [:]
    /// Requests under way whose end is waited for, and those of them that can be taken back.
    private var waitedFor: Set<RequestID> = []
    private var askings: [RequestID: Asking] = [:]
    private lazy var timer = LazyDeadline(loop) { [weak self] in self?.decide() }
    private var isDecisionDue = false
    private var isOver = false
    private lazy var checker = PieceChecker(fetcher.file, report: reporter())

    init(_ fetcher: PackFetcher, done: @escaping (TransferFailure?) -> Void) {
        (self.fetcher, loop, self.done) = (fetcher, fetcher.client.loop, done)
    }

    func begin() { decideSoon() }

    /// Ends everything that is under way.
    func end(_ failure: TransferFailure?) {
        guard !isOver else { return }
        isOver = true
        timer.end()
        waitedFor = []
        for asking in askings.values { asking.cancel() }
        for follower in followers.values { follower.stop() }
        (askings, followers) = ([:], [:])
        fetcher.state.withLock { $0.abandonAll() }
        done(failure)
    }

    // MARK: Deciding

    /// Once for all facts of one turn of the loop.
    func decideSoon() {
        guard !isDecisionDue, !isOver else { return }
        isDecisionDue = true
        loop.assumeIsolated().execute { [self] in
            isDecisionDue = false
            decide()
        }
    }

    private func decide() {
        guard !isOver else { return }
        let now = fetcher.now
        let step = fetcher.state.withLock { $0.next(now: now) }
        for id in step.cancelled {
            waitedFor.remove(id)
            askings.removeValue(forKey: id)?.cancel()
        }
        for source in step.unfollow { followers.removeValue(forKey: source.id)?.stop() }
        for source in step.follow { follow(source) }
        for work in step.work { ask(work) }
        if let failure = step.failure { return end(failure) }
        guard !step.isComplete else { return end(nil) }
        timer.set(milliseconds: step.askAgainAt.map { max(1, $0.millisecondsSince(now)) } ?? 1_000)
    }

    private func follow(_ source: FollowedSource) {
        let follower = SourceFollower(source, self)
        followers.updateValue(follower, forKey: source.id)?.stop()
        follower.start()
    }

    /// Takes a fact about a source in, if it is one still.
    func note(_ source: FollowedSource, _ fact: (inout PiecePicker) -> Void) {
        fetcher.state.withLock { state in
            if state.isCurrent(source) { fact(&state.picker) }
        }
        decideSoon()
    }

    private func note(_ fact: (inout FetchState) -> Void) {
        fetcher.state.withLock { fact(&$0) }
        decideSoon()
    }

    // MARK: Pieces

    private func ask(_ work: FetchWork) {
        let (layout, request) = (fetcher.file.layout, work.request)
        let range = layout.range(of: request.piece)
        let reader = RangeReader(range, totalBytes: layout.totalBytes, work.source.endpoint) { [self] in
            let now = fetcher.now
            fetcher.state.withLock { $0.picker.requestProgressed(request.id, now: now) }
        } done: { [self] result in
            answered(work, result)
        }
        let question = Question(
            range: range, of: fetcher.manifest.packName, as: fetcher.peer, at: work.source.endpoint)
        waitedFor.insert(request.id)
        let asking = fetcher.client.pool.value.ask(question, reader)
        if !asking.isOver { askings[request.id] = asking }
    }

    private func answered(_ work: FetchWork, _ result: Result<[UInt8], SourceFailure>) {
        let (id, now) = (work.request.id, fetcher.now)
        askings[id] = nil
        guard waitedFor.remove(id) != nil else { return }
        switch result {
        case .failure(let failure):
            note { $0.picker.requestFailed(id, Self.pickerFailure(failure), now: now) }
        case .success(let bytes):
            note { state in
                state.bytes[work.source.kind, default: 0] += UInt64(bytes.count)
                if state.picker.requestArrived(id, now: now) { checker.check(work, bytes) }
            }
        }
    }

    private static func pickerFailure(_ failure: SourceFailure) -> RequestFailure {
        switch failure.code {
        case .busy: .busy
        case .missing, .noOffers: .missing
        case .unreachable: .unreachable
        }
    }

    /// Called on the checker's threads: neighbours hear of good pieces at once.
    private func reporter() -> @Sendable ([PieceChecker.Checked]) -> Void {
        let (bound, loop, shared) = (NIOLoopBound(self, eventLoop: loop), loop, fetcher.shared)
        return { checked in
            shared.piecesVerified(checked.filter { $0.result == .good }.map(\.work.request.piece))
            loop.execute { bound.value.checked(checked) }
        }
    }

    private func checked(_ pieces: [PieceChecker.Checked]) {
        let now = fetcher.now
        for (work, result) in pieces {
            let id = work.request.id
            switch result {
            case .good: note { $0.picker.pieceVerified(id) }
            case .bad:
                warn(work)
                note { state in
                    state.badPieces += 1
                    state.picker.pieceRejected(id, now: now)
                }
            case .failed(let failure):
                note { state in
                    state.picker.pieceDropped(id)
                    state.failure = failure
                }
            }
        }
    }

    private func warn(_ work: FetchWork) {
        fetcher.logger.warning(
            "a bad piece: its sender is banned for a while",
            metadata: [
                "pack": "\(fetcher.manifest.packName)", "piece": "\(work.request.piece)",
                "source": "\(work.source.endpoint)",
            ])
    }
}
