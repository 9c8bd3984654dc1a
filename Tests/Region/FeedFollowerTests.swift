import Blobs
import Client
import Domain
import Engine
import Packs
import Ports
import Synchronization
import Testing
import Wire

@testable import Region

/// A leader's log as its feed shows it: facts by sequence, and a head.
private struct Leader: Sendable {
    var facts: [TakenFact] = []
    var head: UInt64
    /// Frames of one part.
    var partFrames: UInt64 = 200_000
    /// Positions up to here are of the followed branch.
    var common: UInt64 = .max
    var epoch: UInt64 = 1
    var isFrozen = false

    func answer(_ after: LogPosition?) -> Result<FeedAnswer, ClientFailure>? {
        let start = after?.sequence.rawValue ?? 0
        if let after, after.sequence.rawValue > common, after.epoch.rawValue < epoch {
            return .failure(forked(to: isFrozen ? nil : .start(of: log)))
        }
        guard start < head else { return nil }
        let end = min(head, start + partFrames)
        let facts = facts.filter { $0.sequence.rawValue > start && $0.sequence.rawValue <= end }
        return .success(
            FeedAnswer(
                facts: facts, position: position(end, epoch: end > common ? epoch : 1),
                sequence: LogSequence(rawValue: head)))
    }
}

extension TestRegion {
    fileprivate func follow(_ leader: Leader) { upstream.state.withLock { $0.feed = { leader.answer($0) } } }
}

@Suite("A region follows the feed", .timeLimit(.minutes(5)))
struct FeedFollowerTests {
    @Test("over any number of frames that do not concern it")
    func irrelevantFrames() async throws {
        try await TestRegion.run { region in
            let far = TakenFact(.region(here, endpoint: "http://one", .live), at: LogSequence(rawValue: 1_000_001))
            region.follow(Leader(facts: [far], head: 1_000_005))
            try await during(region.follower().run) { () async throws in
                #expect(try await eventually { try await region.state.neighbours[here] != nil })
            }
            let state = try await region.state
            #expect(state.position == position(1_000_005))
            #expect(state.followed.positions.count <= 6, "a move of 200,000 frames is one event")
        }
    }

    @Test("a short move without facts is no event, and is gone on from")
    func shortMoves() async throws {
        try await TestRegion.run { region in
            try await region.take(.jobFailed(build(1)))
            let before = region.engine.head.sequence
            region.follow(Leader(head: 500))
            try await during(region.follower().run) { () async throws in
                #expect(await eventually { region.upstream.state.withLock { $0.asked.last == position(500) } })
            }
            #expect(region.engine.head.sequence == before)
        }
    }

    @Test("a restored leader that knows a newer epoch: back to the last common position, never further than needed")
    func restored() async throws {
        try await TestRegion.run { region in
            let packs = try (1...3).map { try TestPack(UInt64($0), rawBytes: 70_000) }
            for pack in packs {
                try await region.put(pack)
                region.upstream.know(pack)
                try await region.take(pack.uploadedFact(), pack.storedFact(in: here))
                try await region.submit(.packStored(pack.build, pack.attempt, manifest: pack.manifest.digest))
            }
            for job in [3, 4] as [UInt64] {
                _ = try await region.keeper.beginUpload(build(job), attempt(2), bytes: 10)
                try await region.store.put(
                    RegionKey.output(build(job), .first, 0), bytes: 1, from: OneChunk([UInt8(job)]))
            }
            // The leader lost what came after sequence 4: job 3 is another one there.
            region.follow(Leader(head: 4, common: 4, epoch: 2))
            try await during(region.follower().run) { () async throws in
                #expect(try await eventually { try await region.state.position == position(4) })
            }
            let state = try await region.state
            #expect(state.packs.keys.sorted() == [build(1), build(2)])
            #expect(try await region.holds(build(2)))
            #expect(try await !region.holds(build(3)), "its number is given again")
            #expect(region.store.openUploads().isEmpty)
            for job in [3, 4] as [UInt64] {
                #expect(try await region.store.information(RegionKey.output(build(job), .first, 0)) == nil)
            }
        }
    }

    @Test("a frozen leader is waited for, and nothing is forgotten")
    func frozen() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await region.put(pack)
            try await region.take(pack.uploadedFact(), pack.storedFact(in: here))
            let before = try await region.state
            region.follow(Leader(head: 1, common: 1, epoch: 2, isFrozen: true))
            try await during(region.follower().run) { () async throws in
                #expect(await eventually { region.upstream.calls.filter { $0 == "join" }.count >= 2 })
            }
            #expect(try await region.state == before)
            #expect(try await region.holds(build(1)))
        }
    }

    @Test("another log is never followed")
    func otherLog() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await region.put(pack)
            try await region.take(pack.uploadedFact())
            let before = try await region.state
            let other = LogIdentity(high: 7, low: 7)
            region.upstream.state.withLock { $0.feed = { _ in .failure(forked(to: .start(of: other))) } }
            try await during(region.follower().run) { () async throws in
                #expect(await eventually { region.upstream.calls.filter { $0 == "join" }.count >= 2 })
            }
            #expect(try await region.state == before)
            #expect(try await region.holds(build(1)))
        }
    }

    @Test("behind an anchor by a snapshot that the release key signed, and from there on")
    func behindAnAnchor() async throws {
        try await TestRegion.run { region in
            let (pack, signer) = (try TestPack(1), try ReleaseKey.loadOrCreate(path: region.scratch.path + "/signer"))
            region.upstream.know(pack)
            region.upstream.state.withLock { $0.key = signer.publicKey }
            let (anchor, end) = (position(50), position(60))
            let snapshot = RegionSnapshot(
                region: here, position: end,
                facts: [
                    .region(here, endpoint: "http://one", .live), pack.storedFact(in: RegionName(unchecked: "two")),
                ])
            let good = try FeedSnapshotAnswer(snapshot, sequence: end.sequence) { try signer.signature(over: $0) }
            var forged = good
            forged.body = good.body.replacing("http://one", with: "http://bad")
            region.upstream.state.withLock { state in
                state.snapshot = forged
                state.feed = { after in
                    if after?.sequence ?? .zero >= anchor.sequence { return nil }
                    var problem = Problem(.archived, "elsewhere")
                    problem.position = anchor
                    return .failure(.problem(problem))
                }
            }
            try await during(region.follower().run) { () async throws in
                #expect(await eventually { region.upstream.calls.count { $0 == "snapshot" } >= 2 })
                #expect(try await region.state.position == nil, "a forged snapshot is taken")
                region.upstream.state.withLock { $0.snapshot = good }
                #expect(try await eventually { try await region.state.position == end })
                #expect(await eventually { region.upstream.state.withLock { $0.asked.last } == end })
            }
            let state = try await region.state
            #expect(state.neighbours[here]?.endpoint == "http://one" && state.packs[build(1)]?.isSettled == true)
        }
    }

    @Test("what dead attempts left is dropped when the feed says that they are")
    func leftovers() async throws {
        try await TestRegion.run { region in
            for number in 1...3 as ClosedRange<UInt64> {
                _ = try await region.keeper.beginUpload(build(1), attempt(number), bytes: 10)
                try await region.store.put(RegionKey.pack(build(1), attempt(number)), bytes: 1, from: OneChunk([1]))
            }
            _ = try await region.keeper.beginUpload(build(2), .first, bytes: 10)
            let second = try TestPack(1, attempt: attempt(2), rawBytes: 70_000)
            func fact(_ fact: GlobalFact, _ sequence: UInt64) -> TakenFact {
                TakenFact(fact, at: LogSequence(rawValue: sequence))
            }
            region.follow(Leader(facts: [fact(second.uploadedFact(), 1)], head: 1))
            func left() -> [String] { region.store.openUploads().map(\.name) }
            try await during(region.follower().run) { () async throws in
                #expect(await eventually { !left().contains("pack-1-1") })
                #expect(left() == ["pack-1-2", "pack-1-3", "pack-2-1"], "a newer attempt may be under way")
                #expect(try await !region.holds(build(1), attempt(1)))
                region.follow(
                    Leader(
                        facts: [fact(second.storedFact(in: here), 2), fact(.jobFailed(build(2)), 3)], head: 3))
                #expect(await eventually { left() == ["pack-1-2"] })
                #expect(try await !region.holds(build(1), attempt(3)))
                #expect(try await region.holds(build(1), attempt(2)))
            }
        }
    }
}
