import Domain
import Testing

/// A snapshot is what the feed comes to: whoever takes one knows what those know who followed all the way.
@Suite("A region that takes a snapshot")
struct RegionSnapshotTests {
    private static let log = LogIdentity(high: 1, low: 2)

    private func position(_ sequence: Int, epoch: UInt64 = 1) -> LogPosition {
        LogPosition(
            log: Self.log, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: UInt64(sequence)),
            chain: manifest(UInt64(sequence)))
    }

    /// What a region must know of the global log, without where it learnt it: packs that some region of today holds.
    private struct Knowledge: Equatable {
        struct Pack: Equatable {
            var attempt: AttemptNumber
            var manifest: Digest
            var confirmed: [RegionName]
            var phase: RegionPack.Phase
        }

        var packs: [BuildID: Pack]
        var targets: [AppName: Target]
        var neighbours: [RegionName: RegionNeighbour]
        var settings: Settings

        init(_ state: RegionState) {
            packs = state.packs.filter { $0.value.isSettled }.mapValues { pack in
                Pack(
                    attempt: pack.attempt, manifest: pack.manifest,
                    confirmed: pack.confirmed.regions.filter { state.neighbours[$0]?.status != .removed },
                    phase: pack.phase)
            }.filter { !$0.value.confirmed.isEmpty }
            (targets, neighbours, settings) = (state.targets, state.neighbours, state.log.settings)
        }
    }

    /// Follows the feed of a world's log from one event to another.
    private func follow(
        _ world: GlobalWorld, _ name: RegionName, from first: Int, to last: Int, _ follower: inout RegionWorld
    ) -> String? {
        let facts = world.log[first..<last].compactMap { envelope in
            GlobalFact.from(envelope.event, for: name, state: world.state).map { TakenFact($0, at: envelope.sequence) }
        }
        let decision = follower.send(.take(from: follower.state.position?.sequence ?? .zero, facts, position(last)))
        return decision.events == nil ? "a part of the feed is refused: \(decision)" : nil
    }

    @Test("knows what one knows that followed the feed, from wherever it was")
    func sameAsTheFeed() {
        forAll("adoption", seed: 1, iterations: 40, generate: Step.list) { steps in
            let world = worldAfter(steps)
            let end = world.log.count
            for name in [region("a"), region("b")] {
                var faithful = RegionWorld()
                if let problem = follow(world, name, from: 0, to: end, &faithful) { return problem }
                let snapshot = RegionSnapshot(of: world.state, at: position(end), for: name)
                for cut in [0, end / 3, end / 2, end - 1] where cut < end {
                    var late = RegionWorld()
                    if cut > 0, let problem = follow(world, name, from: 0, to: cut, &late) { return problem }
                    guard late.send(.adopt(snapshot)).events != nil else { return "refused at \(cut)" }
                    if late.state.position != snapshot.position { return "it does not follow from the snapshot" }
                    if Knowledge(late.state) != Knowledge(faithful.state) {
                        return "region \(name) behind \(cut) of \(end): \(Knowledge(late.state)), "
                            + "instead of \(Knowledge(faithful.state))"
                    }
                    if !late.state.difference(to: snapshot).isEmpty { return "it would take more of the same snapshot" }
                }
            }
            return nil
        }
    }

    @Test("is a function of its own log, and its command is rebuilt from its events")
    func replayed() {
        var world = GlobalWorld()
        world.send(.fleet(.regionJoin(region("a"), endpoint: "http://a")))
        let snapshot = RegionSnapshot(of: world.state, at: position(7), for: region("a"))
        var follower = RegionWorld()
        let events = follower.send(.adopt(snapshot)).events ?? []
        #expect(events.last == .followed(position(7)) && events.count >= 2)
        let command = Regional.command(from: events)
        var again = RegionWorld()
        if let command { again.send(command) }
        #expect(again.state.neighbours == follower.state.neighbours && again.state.position == follower.state.position)
    }

    @Test("drops what has vanished")
    func vanished() {
        var follower = RegionWorld()
        let pack = UploadedPack(manifest: manifest(1), region: region("a"), rawBytes: 10, packedBytes: 10)
        follower.send(
            .take(
                from: .zero,
                [
                    TakenFact(.packUploaded(job(1), app(), .first, pack), at: LogSequence(rawValue: 1)),
                    TakenFact(
                        .packStored(job(2), app(), .first, pack, region: region("b")), at: LogSequence(rawValue: 2)),
                ], position(2)))
        let facts: [GlobalFact] = [.packStored(job(2), app(), .first, pack, region: region("a"))]
        let snapshot = RegionSnapshot(region: region("a"), position: position(9), facts: facts)
        #expect(
            follower.send(.adopt(snapshot)).events?.dropLast()
                == [
                    .taken(.jobFailed(job(1)), at: LogSequence(rawValue: 9)),
                    .taken(.packLost(job(2), region: region("b")), at: LogSequence(rawValue: 9)),
                    .taken(facts[0], at: LogSequence(rawValue: 9)),
                ])
        #expect(follower.state.packs[job(1)] == nil && follower.state.packs[job(2)]?.confirmed.regions == [region("a")])
    }

    @Test("only goes forwards, in the epoch and on the log that it follows")
    func refused() {
        var follower = RegionWorld()
        follower.send(.take(from: .zero, [], position(5)))
        func snapshot(_ position: LogPosition) -> RegionCommand {
            .adopt(RegionSnapshot(region: region("a"), position: position, facts: []))
        }
        #expect(follower.send(snapshot(position(5))).code == .outOfOrder)
        #expect(follower.send(snapshot(position(9, epoch: 2))).code == .outOfOrder)
        var other = position(9)
        other = LogPosition(
            log: LogIdentity(high: 9, low: 9), epoch: other.epoch, sequence: other.sequence, chain: other.chain)
        #expect(follower.send(snapshot(other)).code == .forked)
        follower.send(.refollow(.start(of: Self.log)))
        #expect(follower.send(snapshot(position(9, epoch: 2))).events == [.followed(position(9, epoch: 2))])
    }
}
