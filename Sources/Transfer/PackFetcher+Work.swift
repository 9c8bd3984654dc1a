internal import Domain
internal import Logging
internal import Swarm
internal import Synchronization

extension PackFetcher {
    /// Fetches, checks and writes one piece.
    func perform(_ work: FetchWork) async {
        let (id, piece) = (work.request.id, work.request.piece)
        guard let bytes = await fetch(work) else { return }
        let now = now
        let isWaitedFor = note { state in
            state.ended(work)
            state.bytes[work.source.kind, default: 0] += UInt64(bytes.count)
            return state.picker.requestArrived(id, now: now)
        }
        guard isWaitedFor else { return }
        do throws(TransferFailure) {
            let file = file
            let isGood = try await onThread { () throws(TransferFailure) in try file.accept(bytes, piece: piece) }
            isGood ? accepted(work) : rejected(work)
        } catch {
            note { state in
                state.picker.pieceDropped(id)
                if error.code != .cancelled { state.failure = error }
            }
        }
    }

    private func accepted(_ work: FetchWork) {
        shared.pieceVerified(work.request.piece)
        note { $0.picker.pieceVerified(work.request.id) }
    }

    private func rejected(_ work: FetchWork) {
        logger.warning(
            "a bad piece: its sender is banned for a while",
            metadata: [
                "pack": "\(manifest.packName)", "piece": "\(work.request.piece)", "source": "\(work.source.endpoint)",
            ])
        let now = now
        note { state in
            state.badPieces += 1
            state.picker.pieceRejected(work.request.id, now: now)
        }
    }

    /// Nil when it failed, which is noted, or is not wanted any more.
    private func fetch(_ work: FetchWork) async -> [UInt8]? {
        let (layout, request) = (file.layout, work.request)
        do {
            return try await unless(work.cancel) {
                try await self.client.bytes(
                    layout.range(of: request.piece), of: self.manifest.packName, totalBytes: layout.totalBytes,
                    as: self.peer, at: work.source.endpoint
                ) {
                    let now = self.now
                    self.state.withLock { $0.picker.requestProgressed(request.id, now: now) }
                }
            }
        } catch {
            let now = now
            note { state in
                state.ended(work)
                state.picker.requestFailed(request.id, Self.pickerFailure(error), now: now)
            }
            return nil
        }
    }

    private static func pickerFailure(_ error: any Error) -> RequestFailure {
        switch (error as? SourceFailure)?.code {
        case .busy: .busy
        case .missing, .noOffers: .missing
        case .unreachable, nil: .unreachable
        }
    }
}

// MARK: - Following sources

extension PackFetcher {
    /// Keeps what a source has, and what a mirror offers, up to date until the source is no longer wanted.
    func follow(_ source: FollowedSource) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.followHave(source) }
            if source.kind == .mirror { group.addTask { await self.followOffer(source) } }
        }
    }

    /// Once it has all, it is looked at again now and then: it may have begun anew.
    private func followHave(_ source: FollowedSource) async {
        let failures = Mutex(0)
        while isWanted(source) {
            do {
                try await unless(source.stop) {
                    try await self.client.haves(
                        of: self.manifest.packName, pieceCount: self.file.layout.pieceCount, at: source.endpoint
                    ) { have in
                        failures.withLock { $0 = 0 }
                        self.noteIfCurrent(source) { $0.haveChanged(source.id, have) }
                    }
                }
                await pause(settings.maximumRetryMilliseconds, source)
            } catch {
                guard isWanted(source) else { return }
                noteIfCurrent(source) { $0.sourceFellSilent(source.id) }
                await rest(
                    failures.withLock {
                        $0 += 1; return $0
                    }, source)
            }
        }
    }

    private func followOffer(_ source: FollowedSource) async {
        var (version, failures): (UInt64?, Int) = (nil, 0)
        while isWanted(source) {
            do {
                let after = version
                guard let offer = try await unless(source.stop, { try await self.offer(of: source, after: after) })
                else { return }
                if offer.version != version {
                    noteIfCurrent(source) { $0.offerChanged(source.id, .pieces(offer.pieces)) }
                }
                (version, failures) = (offer.version, 0)
                await pause(settings.pauseMilliseconds, source)
            } catch {
                guard isWanted(source) else { return }
                version = nil
                if (error as? SourceFailure)?.code == .noOffers {
                    noteIfCurrent(source) { $0.offerChanged(source.id, .everything) }
                    await pause(settings.maximumRetryMilliseconds, source)
                } else {
                    failures += 1
                    await rest(failures, source)
                }
            }
        }
    }

    private func offer(of source: FollowedSource, after: UInt64?) async throws -> MirrorOffer {
        let now = now
        let wanted = state.withLock { $0.picker.starvedPieces(now: now) }
        return try await client.offer(
            of: manifest.packName, pieceCount: file.layout.pieceCount, to: peer, at: source.endpoint, wanted: wanted,
            after: after, waitMilliseconds: settings.offerWaitMilliseconds)
    }

    private func isWanted(_ source: FollowedSource) -> Bool { !Task.isCancelled && !source.stop.hasFired }

    private func noteIfCurrent(_ source: FollowedSource, _ fact: (inout PiecePicker) -> Void) {
        note { state in
            guard state.isCurrent(source) else { return }
            fact(&state.picker)
        }
    }

    private func rest(_ failures: Int, _ source: FollowedSource) async {
        let doubled = settings.retryMilliseconds << Int64(min(failures - 1, 20))
        await pause(min(doubled, settings.maximumRetryMilliseconds), source)
    }

    private func pause(_ milliseconds: Int64, _ source: FollowedSource) async {
        await atMost(milliseconds: milliseconds) { await source.stop.wait(after: 0) }
    }
}
