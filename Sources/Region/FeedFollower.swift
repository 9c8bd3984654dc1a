import Client
import Domain
import Engine
import Logging
import ServiceLifecycle
import Wire

/// Takes over the global facts that concern this region, in order, each as one event of its own log.
struct FeedFollower: Service {
    static let waitMilliseconds: Int64 = 10_000
    static let retryMilliseconds: Int64 = 1000

    let endpoint: String
    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let keys: ReleaseKeyBox
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var hasJoined = false
            while !Task.isCancelled {
                do {
                    if !hasJoined { try await join() }
                    hasJoined = true
                    try await follow()
                } catch let failure as ClientFailure {
                    hasJoined = false
                    logger.warning("cut off from the global process", metadata: ["failure": "\(failure)"])
                    try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
                } catch let failure as EngineFailure where failure.code == .stopped {
                    return
                } catch {
                    logger.error("the feed is not taken", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
                }
            }
        }
    }

    private func join() async throws {
        try await upstream.join(endpoint: endpoint)
        let upstream = upstream
        _ = try await keys.key { try await upstream.releaseKey() }
    }

    /// One part of the feed.
    private func follow() async throws {
        let position = try await engine.read { state, _ in state.position }
        do throws(ClientFailure) {
            let part = try await upstream.feed(
                after: position, wait: WireDuration(milliseconds: Self.waitMilliseconds))
            guard !part.facts.isEmpty || part.position.epoch != position?.epoch || position == nil else { return }
            try await take(part, from: position?.sequence ?? .zero)
        } catch {
            guard case .problem(let problem) = error, problem.code == RefusalCode.forked.rawValue,
                let common = problem.position
            else { throw error }
            logger.warning("forked: deriving again", metadata: ["from": "\(common.sequence)"])
            _ = try? await engine.submit(.refollow(common), actor: .projector("feed"), isDerived: true)
        }
    }

    private func take(_ part: FeedAnswer, from sequence: LogSequence) async throws(ClientFailure) {
        do throws(EngineFailure) {
            let outcome = try await engine.submit(
                .take(from: sequence, part.facts, part.position), actor: .projector("feed"), isDerived: true)
            if case .refused(let refusal, _) = outcome {
                logger.error("a part of the feed was refused", metadata: ["refusal": "\(refusal.message)"])
                throw EngineFailure(code: .failed, message: refusal.message)
            }
        } catch {
            throw .badAnswer("the feed was not taken: \(error)")
        }
    }
}
