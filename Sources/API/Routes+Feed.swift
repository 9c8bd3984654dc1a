import Codec
import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Ports
import Serving
import Wire

extension GlobalAPI {
    func addFeedRoutes(to router: Router<ServingContext>) {
        router.get("/v1/feed", use: feed)
        router.get("/v1/feed/snapshot", use: feedSnapshot)
    }

    /// What the whole feed comes to, for a region whose next part is not kept any more.
    @Sendable private func feedSnapshot(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["region"])
        let region = try await follower(query)
        let snapshot = try await look { state, position in RegionSnapshot(of: state, at: position, for: region) }
        let answer = try FeedSnapshotAnswer(snapshot, sequence: snapshot.position.sequence) {
            try world.manifests.signature(over: $0)
        }
        return try .json(answer, at: snapshot.position.sequence)
    }

    /// The region that asks, which has joined.
    private func follower(_ query: QueryParameters) async throws(Problem) -> RegionName {
        guard let region = try query.value("region", "a region's name", { RegionName(rawValue: $0) }) else {
            throw Problem(.badQuery, "region is missing: name the region that follows")
        }
        guard try await look({ state, _ in state.fleet.regions[region] != nil }) else {
            throw Problem(Refusal(.unknownRegion, "region \(region) has not joined: join first"))
        }
        world.heard(region)
        return region
    }

    /// The global facts that concern one region, behind the position it has taken over. Answers when there are some, or
    /// when the wait is over; the position moves on either way, and always stands at the end of a batch.
    @Sendable private func feed(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["region", "log", "epoch", "sequence", "chain", "wait"])
        let region = try await follower(query)
        let start = try followedPosition(query)
        if start.log == engine.store.identity { try await log.requireStored(after: start.sequence) }
        try await checkChain(start)
        world.followed(region, start)
        let part = try await followFeed(
            FeedPart(after: start, limits: settings.feed), region: region,
            waitMilliseconds: query.waitMilliseconds(settings.serving))
        let head = engine.head.sequence
        return try .json(FeedAnswer(facts: part.facts, position: part.position, sequence: head), at: head)
    }

    /// The position that the caller has reached; the log's start where it names none.
    private func followedPosition(_ query: QueryParameters) throws(Problem) -> LogPosition {
        let log = try query.value("log", "a log's identity: 32 of 0-9 a-f") { LogIdentity(hex: $0) }
        let epoch = try query.number("epoch").map(Epoch.init(rawValue:))
        let sequence = try query.number("sequence").map(LogSequence.init(rawValue:))
        let chain = try query.value("chain", "a digest: 64 of 0-9 a-f") { Digest(hex: $0) }
        if let log, let epoch, let sequence, let chain {
            return LogPosition(log: log, epoch: epoch, sequence: sequence, chain: chain)
        }
        guard log == nil, epoch == nil, sequence == nil, chain == nil else {
            throw Problem(.badQuery, "a position is all of log, epoch, sequence and chain: give all, or none to begin")
        }
        return .start(of: engine.store.identity)
    }

    /// A position that is not on this log's chain is `forked`. Where something was lost here, the engine accepts no
    /// further command, and the caller goes on with what it has until there is a new epoch.
    private func checkChain(_ start: LogPosition) async throws(Problem) {
        let head = engine.head
        let here = start.sequence <= head.sequence ? try await log.position(at: start.sequence) : nil
        let place = FeedVerdict.place(start)
        switch FeedVerdict(of: start, head: head, here: here) {
        case .follow: return
        case .otherLog:
            throw Problem(
                .forked, "the position is of log \(start.log), this one is \(head.log): follow the log you began with",
                sequence: head.sequence)
        case .freeze(let message):
            await engine.freeze(message)
            throw Problem(
                .forked, "\(place) is not on this log's chain: wait until it is restarted with --new-epoch",
                sequence: head.sequence)
        case .goBack(let origin):
            var problem = Problem(
                .forked,
                "\(place) is not on this log's chain: go back to an earlier position, at worst to the named one",
                sequence: head.sequence)
            problem.position = origin
            throw problem
        }
    }

    private func followFeed(
        _ start: FeedPart, region: RegionName, waitMilliseconds: Int64
    ) async throws -> FeedPart {
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(waitMilliseconds))
        var part = start
        while true {
            let head = engine.head.sequence
            while part.position.sequence < head, !part.isFull {
                guard try await readFeed(&part, region: region, upTo: head) else { break }
            }
            if !part.facts.isEmpty || part.isFull { return part }
            guard await waitForChange(after: head, until: deadline) else { return part }
        }
    }

    /// Takes whole batches, none past `head`: the state that gives facts their meaning holds at least that much. False
    /// when there was none.
    private func readFeed(
        _ part: inout FeedPart, region: RegionName, upTo head: LogSequence
    ) async throws(Problem) -> Bool {
        let batches = try await log.read(after: part.position.sequence, maximumFrames: settings.logFramesAtOnce)
            .filter { $0.end.sequence <= head }
        guard !batches.isEmpty else { return false }
        var decoded: [(end: LogPosition, events: [Envelope<GlobalEvent>])] = []
        for batch in batches { decoded.append((batch.end, try decode(batch.frames))) }
        let (events, start) = (decoded, part)
        part = try await look { state, _ in
            var part = start
            part.take(events, for: region, state: state)
            return part
        }
        return true
    }

    private func decode(_ frames: [Frame]) throws(Problem) -> [Envelope<GlobalEvent>] {
        var events: [Envelope<GlobalEvent>] = []
        for frame in frames {
            do throws(CodecFailure) {
                if let envelope = try engine.codec.decode(frame) { events.append(envelope) }
            } catch {
                throw Problem(.internalFailure, "event \(frame.header.sequence) cannot be read: \(error.message)")
            }
        }
        return events
    }
}
