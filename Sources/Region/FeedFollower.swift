import Client
import Domain
import Engine
import Logging
import ServiceLifecycle
import Swarm
import Wire

/// Takes over the global facts that concern this region, in order, each as one event of its own log. While it is cut
/// off, or the leader does not know what it lost, the region serves what it knows.
struct FeedFollower: Service {
    static let waitMilliseconds: Int64 = 10_000
    static let backoff = Backoff(minimumMilliseconds: 500, maximumMilliseconds: 10_000)

    private struct Following {
        var hasJoined = false
        var cursor = FeedCursor()
        /// In a row.
        var failures = 0
        var generator: SeededGenerator
    }

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
            var following = Following(generator: SeededGenerator(seed: seed))
            await announceIfKnown()
            while !Task.isCancelled {
                do {
                    try await step(&following)
                    following.failures = 0
                } catch let failure as EngineFailure where failure.code == .stopped {
                    return
                } catch {
                    await rest(after: error, &following)
                }
            }
        }
    }

    private func rest(after failure: any Error, _ following: inout Following) async {
        guard !Task.isCancelled else { return }
        logger.warning("cut off from the global process", metadata: ["failure": "\(failure)"])
        following.hasJoined = false
        following.failures += 1
        let pause = Self.backoff.rest(failures: following.failures, &following.generator)
        try? await Task.sleep(for: .milliseconds(pause))
    }

    /// A region that has joined before serves while it is cut off.
    private func announceIfKnown() async {
        guard keys.value != nil else { return }
        let hasFollowed = try? await engine.read { state, _ in state.position != nil }
        if hasFollowed == true { ready.announce(endpoint) }
    }

    private func step(_ following: inout Following) async throws {
        if !following.hasJoined { try await join() }
        following.hasJoined = true
        try await follow(&following.cursor)
    }

    private func join() async throws {
        try await upstream.join(endpoint: endpoint)
        let upstream = upstream
        _ = try await keys.key { try await upstream.releaseKey() }
        ready.announce(endpoint)
    }

    /// One part of the feed.
    private func follow(_ cursor: inout FeedCursor) async throws {
        let taken = try await engine.read { state, _ in state.position }
        let asked = cursor.next(after: taken)
        do throws(ClientFailure) {
            let part = try await upstream.feed(after: asked, wait: WireDuration(milliseconds: Self.waitMilliseconds))
            guard cursor.answered(part, taken: taken) else { return }
            try await take(part, from: taken?.sequence ?? .zero)
        } catch {
            guard case .problem(let problem) = error, problem.code == RefusalCode.forked.rawValue else { throw error }
            cursor.forget()
            if asked == taken { try await goBack(from: taken, to: problem.position, problem) }
        }
    }

    private func take(_ part: FeedAnswer, from sequence: LogSequence) async throws(ClientFailure) {
        do throws(EngineFailure) {
            let outcome = try await engine.submit(
                .take(from: sequence, part.facts, part.position), actor: .projector("feed"), isDerived: true)
            if case .refused(let refusal, _) = outcome {
                throw EngineFailure(code: .failed, message: refusal.message)
            }
        } catch {
            throw .badAnswer("the feed was not taken: \(error)")
        }
        await keeper.tidy(Set(part.facts.compactMap(\.fact.namedBuild)))
    }

    // MARK: Another branch

    /// The leader's log has gone another way since what was taken. Without a position it does not know yet how to go
    /// on: the region waits.
    private func goBack(from taken: LogPosition?, to origin: LogPosition?, _ problem: Problem) async throws {
        guard let origin, let taken else { throw ClientFailure.problem(problem) }
        guard origin.log == taken.log else {
            throw Refusal(
                .forked,
                "the global process keeps log \(origin.log), this region follows \(taken.log): look at --control")
        }
        let common = try await lastCommon(before: taken, origin: origin)
        logger.warning("forked: deriving again", metadata: ["from": "\(common.sequence)"])
        try await keeper.dropBranch(after: common.sequence)
        let outcome = try await engine.submit(.refollow(common), actor: .projector("feed"), isDerived: true)
        if case .refused(let refusal, _) = outcome { throw refusal }
    }

    /// The newest remembered position that is on the leader's chain; its start where there is none.
    private func lastCommon(before taken: LogPosition, origin: LogPosition) async throws -> LogPosition {
        let remembered = try await engine.read { state, _ in state.followed.positions.map(\.position) }
        for position in remembered.reversed() where position != taken && position.sequence > origin.sequence {
            do throws(ClientFailure) {
                _ = try await upstream.feed(after: position, wait: WireDuration(milliseconds: 0))
                return position
            } catch {
                guard case .problem(let problem) = error, problem.code == RefusalCode.forked.rawValue,
                    problem.position != nil
                else { throw error }
            }
        }
        return origin
    }
}

extension GlobalFact {
    /// The build whose other attempts are over by this fact, or that is over itself.
    fileprivate var namedBuild: BuildID? {
        switch self {
        case .packUploaded(let build, _, _, _), .packStored(let build, _, _, _, _), .jobFailed(let build): build
        case .packLost, .target, .region, .settings: nil
        }
    }
}
