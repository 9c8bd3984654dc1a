import Client
import Domain
import Engine
import Logging
import Packs
import ServiceLifecycle
import Wire

/// Takes over the global facts that concern this region, in order, each as one event of its own log: performs what its
/// machine decides. While it is cut off, or the leader does not know what it lost, the region serves what it knows.
struct FeedFollower: Service {
    let endpoint: String
    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let keys: ReleaseKeyBox
    let keeper: StoreKeeper
    /// Told when the region has joined; at once when it can serve without.
    let ready: Announcement
    let seed: UInt64
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await announceIfKnown()
            var machine = FeedMachine(seed: seed)
            var effect = machine.started()
            while !Task.isCancelled {
                do {
                    effect = try await perform(effect, &machine)
                } catch let failure as EngineFailure where failure.code == .stopped {
                    return
                } catch {
                    guard !Task.isCancelled else { return }
                    logger.warning("cut off from the global process", metadata: ["failure": "\(error)"])
                    effect = machine.failed()
                }
            }
        }
    }

    /// A region that has joined before serves while it is cut off.
    private func announceIfKnown() async {
        guard keys.value != nil else { return }
        let hasFollowed = try? await engine.read { state, _ in state.position != nil }
        if hasFollowed == true { ready.announce(endpoint) }
    }

    /// Does it, and says what comes next.
    private func perform(_ effect: FeedEffect, _ machine: inout FeedMachine) async throws -> FeedEffect {
        switch effect {
        case .join:
            try await join()
            return machine.joined()
        case .look:
            let (taken, remembered) = try await engine.read { state, _ in
                (state.position, state.followed.positions.map(\.position))
            }
            return machine.looked(taken: taken, remembered: remembered)
        case .ask(let position, let milliseconds): return try await ask(position, milliseconds, &machine)
        case .probe(let position): return try await ask(position, 0, &machine)
        case .recall(let after, let before):
            return machine.recalled(try await RegionPast(store: engine.store).followed(after: after, before: before))
        case .take(let sequence, let facts, let position):
            try await submit(.take(from: sequence, facts, position))
            await keeper.tidy(Set(facts.compactMap(\.fact.namedBuild)))
            return machine.took()
        case .adopt:
            try await adopt()
            return machine.took()
        case .goBack(let common):
            logger.warning("forked: deriving again", metadata: ["from": "\(common.sequence)"])
            try await keeper.dropBranch(after: common.sequence)
            try await submit(.refollow(common))
            return machine.took()
        case .rest(let milliseconds):
            try? await Task.sleep(for: .milliseconds(milliseconds))
            return machine.rested()
        }
    }

    private func join() async throws {
        try await upstream.join(endpoint: endpoint)
        let upstream = upstream
        _ = try await keys.key { try await upstream.releaseKey() }
        ready.announce(endpoint)
    }

    private func ask(
        _ position: LogPosition?, _ milliseconds: Int64, _ machine: inout FeedMachine
    ) async throws -> FeedEffect {
        do throws(ClientFailure) {
            let part = try await upstream.feed(after: position, wait: WireDuration(milliseconds: milliseconds))
            return machine.answered(part.facts, part.position)
        } catch {
            guard case .problem(let problem) = error else { throw error }
            if problem.transportCode == .archived { return machine.archived(anchor: problem.position) }
            guard problem.code == RefusalCode.forked.rawValue else { throw error }
            logger.warning("the leader's log has gone another way", metadata: ["problem": "\(problem.detail)"])
            return machine.forked(origin: problem.position)
        }
    }

    /// Killed before the commit, the region asks again; after it, it follows from there.
    private func adopt() async throws {
        let answer = try await upstream.feedSnapshot()
        guard let key = keys.value else { throw ClientFailure.badAnswer("the release key is not known yet") }
        let snapshot = try answer.snapshot { PackSignature.isValid($0, over: $1, publicKey: key) }
        logger.warning(
            "the global process has not kept what follows: a snapshot is taken",
            metadata: ["sequence": "\(snapshot.position.sequence)", "facts": "\(snapshot.facts.count)"])
        try await submit(.adopt(snapshot))
        await keeper.tidy(Set(snapshot.facts.compactMap(\.namedBuild)))
    }

    private func submit(_ command: RegionCommand) async throws {
        let outcome = try await engine.submit(command, actor: .projector("feed"), isDerived: true)
        if case .refused(let refusal, _) = outcome { throw refusal }
    }
}
