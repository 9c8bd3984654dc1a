import Domain
import Testing

typealias RegionWorld = World<Regional>

private let log = LogIdentity(high: 1, low: 2)

private func position(
    _ sequence: UInt64, chain: UInt64? = nil, epoch: UInt64 = 1, log identity: LogIdentity = log
) -> LogPosition {
    LogPosition(
        log: identity, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
        chain: manifest(chain ?? sequence))
}

private func target(_ number: UInt64, build: UInt64, epoch: UInt64 = 1, scope: TargetScope = .global) -> Target {
    Target(
        app: app(), scope: scope, revision: revision(number, epoch: epoch), deployment: revision(number, epoch: epoch),
        current: ProvedBuild(build: job(build), manifest: manifest(build)), base: nil, previous: nil, selector: .all,
        admittedShare: Target.wholeShare, actor: .system, reason: "", issued: .zero, expires: .distantFuture)
}

extension World where A == Regional {
    /// Takes facts with the sequences that follow, up to the last one's.
    @discardableResult
    fileprivate mutating func take(_ facts: GlobalFact...) -> Decision<RegionEvent, Regional.Answer> {
        let start = state.position?.sequence ?? .zero
        let taken = facts.enumerated().map {
            TakenFact($0.element, at: LogSequence(rawValue: start.rawValue + UInt64($0.offset) + 1))
        }
        return send(.take(from: start, taken, position(start.rawValue + UInt64(facts.count))))
    }

    fileprivate mutating func enrol(_ names: String..., labels: [String: String] = [:]) {
        for name in names { send(.enrol(peer(name), labels: labels, endpoint: "http://\(name)")) }
    }

    fileprivate mutating func report(
        _ name: String, at number: UInt64, build: UInt64?, _ health: PeerHealth, detail: String = ""
    ) -> Decision<RegionEvent, Regional.Answer> {
        let report = PeerApp(revision: revision(number), build: build.map { job($0) }, health: health, detail: detail)
        return send(.peerReport(peer(name), app(), report))
    }
}

@Suite("A region and its feed")
struct RegionFeedTests {
    @Test("it never takes an older revision, in whatever order the targets come")
    func olderRevision() {
        var world = RegionWorld()
        world.take(.target(target(5, build: 1)), .target(target(4, build: 2)))
        #expect(world.state.targets[app()]?.revision == revision(5))
        world.take(.target(target(6, build: 3, scope: .region(region("a")))))
        #expect(world.state.targets[app()]?.current.build == job(3))
        world.take(.target(target(1, build: 4, epoch: 2)), .target(target(9, build: 5)))
        #expect(world.state.targets[app()]?.revision == revision(1, epoch: 2))
    }

    @Test("a feed out of order is refused")
    func outOfOrder() {
        var world = RegionWorld()
        world.take(.target(target(1, build: 1)), .target(target(2, build: 2)))
        func fact(_ sequence: UInt64) -> TakenFact {
            TakenFact(.jobFailed(job(1)), at: LogSequence(rawValue: sequence))
        }
        func take(_ from: UInt64, _ facts: [TakenFact], _ next: LogPosition) -> RefusalCode? {
            world.decide(.take(from: LogSequence(rawValue: from), facts, next)).code
        }
        #expect(take(2, [], position(1)) == .outOfOrder, "behind what is taken")
        #expect(take(2, [fact(2)], position(3)) == .outOfOrder, "a fact twice")
        #expect(take(2, [fact(4)], position(3)) == .outOfOrder, "a fact beyond the feed's position")
        #expect(take(2, [fact(4), fact(3)], position(4)) == .outOfOrder, "facts in disorder")
        #expect(take(2, [fact(3), fact(3)], position(4)) == .outOfOrder, "a fact twice in one part")
        #expect(take(3, [fact(4)], position(4)) == .outOfOrder, "a gap: the feed was asked after more than is taken")
        #expect(take(2, [fact(3), fact(5)], position(6)) == nil, "facts that do not concern it are left out")
        #expect(take(0, [fact(3)], position(3)) == nil)
        #expect(take(2, [], position(2)) == nil)
        #expect(world.decide(.take(from: .zero, [], position(2))).events == [], "nothing new is no event")
    }

    @Test("a feed of another log or another chain is refused")
    func forked() {
        var world = RegionWorld()
        world.take(.jobFailed(job(1)))
        let other = LogIdentity(high: 9, low: 9)
        #expect(world.decide(.take(from: .zero, [], position(5, log: other))).code == .forked)
        #expect(world.decide(.take(from: .zero, [], position(1, chain: 77))).code == .forked)
    }

    @Test("it goes back to the common position only, keeps its targets, and forgets the other branch's packs")
    func refollow() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), attempt(2), pack(1, in: "a")), .target(target(5, build: 1)))
        world.take(.packUploaded(job(2), app(), attempt(2), pack(2, in: "a")))
        #expect(world.send(.refollow(position(4))).code == .outOfOrder)
        world.send(.refollow(position(2)))
        #expect(world.state.position == position(2))
        #expect(world.state.targets[app()]?.revision == revision(5))
        #expect(world.state.packs.keys.sorted() == [job(1)])
        world.take(.packUploaded(job(2), app(), attempt(1), pack(3, in: "a")))
        #expect(world.state.packs[job(2)]?.manifest == manifest(3), "the same job number, another job")
    }

    @Test(
        "what the other branch said of neighbours and settings is taken back: nobody says again what was so before it")
    func refollowNeighboursAndSettings() {
        var world = RegionWorld()
        let (here, other) = (region("a"), region("b"))
        func says(_ status: RegionStatus) -> GlobalFact { .region(other, endpoint: "http://b", status) }
        var slow = world.state.log.settings
        slow.peerSilentSeconds += 1
        world.take(says(.live), .packStored(job(1), app(), .first, pack(1, in: "b"), region: other))
        let before = (world.state.neighbours, world.state.log.settings)
        world.take(says(.suspended), .settings(slow), says(.removed), .region(region("c"), endpoint: "http://c", .live))
        #expect(world.state.planMirror(here: here).isEmpty && world.state.log.settings == slow)
        world.send(.refollow(position(4)))
        #expect(world.state.neighbours[other]?.status == .suspended && world.state.log.settings == slow)
        world.send(.refollow(position(2)))
        #expect(world.state.neighbours[other] == before.0[other] && world.state.log.settings == before.1)
        #expect(world.state.neighbours[region("c")]?.status == .removed, "it was not known then")
        #expect(world.state.planMirror(here: here).count == 1, "it copies from the region that is live again")
        let state = world.state
        world.take(says(.silent))
        world.send(.refollow(position(2)))
        #expect(world.state.neighbours == state.neighbours, "and so a second time")
    }

    @Test("it never goes back to a position of another log: a wrong --control must not make it forget its packs")
    func refollowOtherLog() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), .first, pack(1, in: "a")))
        let before = world.state
        let other = LogIdentity(high: 9, low: 9)
        #expect(world.decide(.refollow(.start(of: other))).code == .forked)
        #expect(world.decide(.refollow(position(0, log: other))).code == .forked)
        #expect(world.state == before)
        #expect(world.decide(.refollow(.start(of: log))).events?.count == 1)
    }

    @Test("a part of too many facts is refused")
    func tooManyFacts() {
        let world = RegionWorld()
        func facts(_ count: Int) -> [TakenFact] {
            (1...count).map { TakenFact(.jobFailed(job(1)), at: LogSequence(rawValue: UInt64($0))) }
        }
        let most = RegionState.maximumTakenFacts
        #expect(world.decide(.take(from: .zero, facts(most + 1), position(UInt64(most) + 1))).code == .limitReached)
        #expect(world.decide(.take(from: .zero, facts(most), position(UInt64(most)))).events?.count == most + 1)
    }

    @Test("of the positions followed few are remembered: many of the latest, and always one not twice as old")
    func followedPositions() {
        var world = RegionWorld()
        for sequence in 1...20_000 as ClosedRange<UInt64> { world.append([.followed(position(sequence * 7))]) }
        let sequences = world.state.followed.positions.map { $0.position.sequence.rawValue }
        #expect(sequences.count == FollowedPositions.maximumCount)
        #expect(sequences == sequences.sorted() && sequences.last == 140_000)
        for age in stride(from: UInt64(70), through: 70_000, by: 490) {
            let wanted = 140_000 - age
            let found = sequences.last { $0 <= wanted }
            #expect((found.map { 140_000 - $0 } ?? .max) <= 2 * age, "\(age) ago is found as \(found ?? 0)")
        }
    }

    @Test("after going back the later positions and jobs are not known any more")
    func goneBack() {
        var world = RegionWorld()
        for number in 1...9 as ClosedRange<UInt64> {
            world.take(.packUploaded(job(number), app(), .first, pack(number, in: "a")))
        }
        #expect(world.state.newestJob == job(9))
        world.send(.refollow(position(4)))
        #expect(world.state.followed.positions.map(\.position) == (1...4).map { position($0) })
        #expect(world.state.newestJob == job(4))
        world.send(.refollow(.start(of: log)))
        #expect(world.state.newestJob == job(0))
        #expect(world.state.packs.isEmpty)
    }

    @Test("what only the other branch confirmed is reported again")
    func refollowReportsAgain() {
        var world = RegionWorld()
        let here = region("a")
        world.take(.packUploaded(job(1), app(), .first, pack(1, in: "a")))
        world.send(.packStored(job(1), .first, manifest: manifest(1)))
        world.take(.packStored(job(1), app(), .first, pack(1, in: "a"), region: here))
        #expect(world.state.planMirror(here: here).isEmpty)
        world.send(.refollow(position(1)))
        #expect(world.state.planMirror(here: here) == [.reportStored(job(1), .first, manifest: manifest(1))])
    }
}

@Suite("A region's packs")
struct RegionPackTests {
    private let here = region("a")

    @Test("an upload here is read back, and reported until the global log says it too")
    func upload() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), .first, pack(1, in: "a")))
        #expect(
            world.state.planMirror(here: here) == [.verifyUpload(job(1), .first, app: app(), manifest: manifest(1))])
        #expect(world.state.planMirror(here: region("b")).isEmpty, "others wait until the job has succeeded")
        #expect(world.send(.packStored(job(1), attempt(2), manifest: manifest(1))).code == .unknownBuild)
        #expect(world.send(.packStored(job(1), .first, manifest: manifest(2))).code == .unknownBuild)
        #expect(world.send(.packStored(job(1), .first, manifest: manifest(1))).events?.count == 1)
        #expect(world.send(.packStored(job(1), .first, manifest: manifest(1))).events == [])
        #expect(world.state.planMirror(here: here) == [.reportStored(job(1), .first, manifest: manifest(1))])
        world.take(.packStored(job(1), app(), .first, pack(1, in: "a"), region: here))
        #expect(world.state.planMirror(here: here).isEmpty)
    }

    @Test("an upload that is not whole is looked at once, not for ever")
    func badUpload() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), .first, pack(1, in: "a")))
        world.send(.packLost(job(1), detail: "piece 3 differs"))
        #expect(world.state.planMirror(here: here).isEmpty)
        #expect(world.send(.packLost(job(1), detail: "again")).events == [])
    }

    @Test("a succeeded build is copied from the regions that have it, and again when it is lost")
    func mirror() {
        var world = RegionWorld()
        func copy(from names: String...) -> [MirrorEffect] {
            [.mirror(job(1), .first, app: app(), manifest: manifest(1), from: names.map(region))]
        }
        world.take(.packStored(job(1), app(), .first, pack(1, in: "b"), region: region("b")))
        #expect(world.state.planMirror(here: here).isEmpty, "where region b is, is not known")
        for name in ["b", "c", "d"] { world.take(.region(region(name), endpoint: "http://\(name)", .live)) }
        world.take(.packStored(job(1), app(), .first, pack(1, in: "b"), region: region("c")))
        world.take(.packStored(job(1), app(), .first, pack(1, in: "b"), region: region("d")))
        #expect(world.state.planMirror(here: here) == copy(from: "b", "c", "d"))
        world.take(.region(region("d"), endpoint: "http://d", .silent))
        #expect(world.state.planMirror(here: here) == copy(from: "b", "c"), "d is not live")
        world.send(.packStored(job(1), .first, manifest: manifest(1)))
        world.take(.packStored(job(1), app(), .first, pack(1, in: "b"), region: here))
        #expect(world.state.planMirror(here: here).isEmpty)
        world.send(.packLost(job(1), detail: ""))
        #expect(world.state.planMirror(here: here) == [.reportLost(job(1))])
        world.take(.packLost(job(1), region: here), .packLost(job(1), region: region("b")))
        #expect(world.state.planMirror(here: here) == copy(from: "c"))
    }

    @Test("a later attempt's pack replaces an earlier one's, never the other way; a failed job's is dropped")
    func attempts() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), attempt(2), pack(2, in: "a")))
        world.take(.packStored(job(1), app(), attempt(1), pack(1, in: "a"), region: region("b")))
        #expect(world.state.packs[job(1)]?.manifest == manifest(2))
        #expect(world.state.packs[job(1)]?.isSettled == false)
        world.take(.packUploaded(job(1), app(), attempt(3), pack(3, in: "a")))
        #expect(world.state.packs[job(1)]?.attempt == attempt(3))
        world.take(.jobFailed(job(1)))
        #expect(world.state.packs.isEmpty)
    }

    @Test("what changed, one look after another, amounts to the whole plan")
    func changes() {
        forAll("mirror-changes", seed: 1, iterations: 20, generate: { random in (0..<200).map { _ in random.next() } })
        {
            (seeds: [UInt64]) in
            var (state, seen, known) = (Regional.initialState, UInt64?.none, [BuildID: MirrorEffect]())
            for (place, seed) in seeds.enumerated() {
                var arbitrary = Arbitrary(random: SplitMix64(seed: seed))
                state.reduce(arbitrary.regionEvent(), at: .zero)
                if seed % 3 == 0 { continue }
                let look = state.mirrorChanges(after: seen, here: here)
                if look.isWhole { known = [:] }
                for change in look.changes { known[change.build] = change.effect }
                seen = look.count
                let plan = state.planMirror(here: here)
                if known.keys.sorted().compactMap({ known[$0] }) != plan {
                    return "\(known) is not \(plan) at \(place)"
                }
            }
            return nil
        }
    }

    @Test("a journal that has forgotten says so")
    func journal() {
        var world = RegionWorld()
        world.take(.packUploaded(job(1), app(), .first, pack(1, in: "a")))
        let seen = world.state.packChanges.count
        #expect(world.state.mirrorChanges(after: seen, here: here).changes.isEmpty)
        for number in 2...5 as ClosedRange<UInt64> {
            world.take(.packUploaded(job(number), app(), .first, pack(number, in: "a")))
        }
        let look = world.state.mirrorChanges(after: seen, here: here)
        #expect(!look.isWhole && look.changes.map(\.build) == (2...5).map { job($0) })
        for number in 1...5000 as ClosedRange<UInt64> {
            world.append([.taken(.jobFailed(job(9)), at: .zero)]); _ = number
        }
        #expect(world.state.mirrorChanges(after: seen, here: here).isWhole)
        #expect(world.state.mirrorChanges(after: .max, here: here).isWhole)
    }

    @Test("what the global log says reaches the regions it concerns")
    func facts() {
        var global = GlobalWorld.fleet()
        global.build(request(), in: ["a"])
        global.deploy(job(1), to: .region(region("a")))
        var settings = Settings()
        settings.convergedShare = 9999
        global.send(.changeSettings(settings))
        let (inA, inB) = (facts(of: global, for: "a"), facts(of: global, for: "b"))
        let uploaded = GlobalFact.packUploaded(job(1), app(), .first, pack(1, in: "a"))
        let stored = GlobalFact.packStored(job(1), app(), .first, pack(1, in: "a"), region: region("a"))
        #expect(inA.contains(uploaded) && !inB.contains(uploaded))
        #expect(inA.contains(stored) && inB.contains(stored))
        #expect(inA.contains(.settings(settings)) && inB.contains(.settings(settings)))
        let target = global.target(in: .region(region("a")))
        #expect(inA.compactMap { if case .target(let target) = $0 { target } else { nil } } == [target])
        #expect(!inB.contains { if case .target = $0 { true } else { false } })
    }

    /// The feed of a region: each event with the state after it.
    private func facts(of world: GlobalWorld, for name: String) -> [GlobalFact] {
        var state = Global.initialState
        return world.log.compactMap { envelope in
            Global.reduce(&state, envelope)
            return GlobalFact.from(envelope.event, for: region(name), state: state)
        }
    }
}

@Suite("A region's peers")
struct RegionPeerTests {
    @Test("peers enrol, report, fall silent and return")
    func lifeOfAPeer() {
        var world = RegionWorld()
        #expect(world.report("p1", at: 1, build: 1, .healthy).code == .unknownPeer)
        #expect(world.send(.peerSilent(peer("p1"))).code == .unknownPeer)
        world.enrol("p1", "p2")
        #expect(world.send(.enrol(peer("p1"), labels: [:], endpoint: "http://p1")).events == [])
        #expect(world.report("p1", at: 1, build: 1, .healthy).events?.count == 1)
        #expect(world.report("p1", at: 1, build: 1, .healthy).events == [])
        world.send(.peerSilent(peer("p1")))
        #expect(world.send(.peerSilent(peer("p1"))).events == [])
        #expect(world.state.livePeers == [peer("p2")])
        world.send(.peerReturn(peer("p1")))
        #expect(world.state.livePeers == [peer("p1"), peer("p2")])
        world.send(.peerSilent(peer("p1")))
        world.enrol("p1")
        #expect(world.state.livePeers == [peer("p1"), peer("p2")])
        #expect(world.state.peers[peer("p1")]?.apps[app()]?.build == job(1), "enrolling again forgets nothing")
    }

    @Test("a peer's revision never goes back")
    func olderReport() {
        var world = RegionWorld()
        world.enrol("p1")
        _ = world.report("p1", at: 5, build: 2, .healthy)
        #expect(world.report("p1", at: 4, build: 1, .healthy).events == [])
        let older = PeerApp(revision: revision(4), build: job(1), health: .healthy)
        world.append([.peerChanged(peer("p1"), app(), older)])
        #expect(world.state.peers[peer("p1")]?.apps[app()]?.build == job(2))
        #expect(world.state.impossible == 1)
    }

    @Test("peers have limits")
    func limits() {
        let world = RegionWorld()
        let labels = Dictionary(uniqueKeysWithValues: (0..<9).map { ("k\($0)", "v") })
        #expect(world.decide(.enrol(peer("p"), labels: labels, endpoint: "")).code == .tooLarge)
        #expect(world.decide(.enrol(peer("p"), labels: ["k": "V"], endpoint: "")).code == .invalid)
        let long = String(repeating: "e", count: PeerRecord.maximumEndpointBytes + 1)
        #expect(world.decide(.enrol(peer("p"), labels: [:], endpoint: long)).code == .tooLarge)
        var enrolled = world
        enrolled.enrol("p")
        let detail = String(repeating: "d", count: PeerApp.maximumDetailBytes + 1)
        #expect(enrolled.report("p", at: 1, build: nil, .failed, detail: detail).code == .tooLarge)
    }

    @Test("levels count live selected peers at the target's revision, healthy on its build")
    func levels() {
        var world = RegionWorld()
        #expect(world.state.level(of: app()) == nil)
        world.take(.target(target(3, build: 7)))
        world.enrol("p1", "p2", "p3", "p4", "p5", "p6", "p7")
        _ = world.report("p1", at: 3, build: 7, .healthy)
        _ = world.report("p2", at: 2, build: 7, .healthy)
        _ = world.report("p3", at: 3, build: 6, .healthy)
        _ = world.report("p4", at: 3, build: 7, .stale)
        _ = world.report("p5", at: 3, build: 6, .failed, detail: "exit 1")
        _ = world.report("p6", at: 3, build: 7, .healthy)
        world.send(.peerSilent(peer("p6")))
        #expect(
            world.state.level(of: app())
                == RegionLevel(
                    app: app(), revision: revision(3), selected: 6, healthy: 2, failed: 1, silent: 1,
                    detail: "p5: exit 1"))
    }

    @Test("only the apps whose level may have changed are looked at again")
    func changedApps() {
        var world = RegionWorld()
        world.take(.target(target(3, build: 7)))
        world.enrol("p1")
        let seen = world.state.levelChanges.count
        #expect(world.state.apps(changedAfter: seen).isEmpty)
        _ = world.send(.peerReport(peer("p1"), app("other"), PeerApp(revision: .zero, build: nil, health: .idle)))
        #expect(world.state.apps(changedAfter: seen).isEmpty, "an app without a target has no level")
        _ = world.report("p1", at: 3, build: 7, .healthy)
        #expect(world.state.apps(changedAfter: seen) == [app()])
        #expect(world.state.apps(changedAfter: nil) == [app()])
        let told = world.state.levelChanges.count
        world.send(.peerSilent(peer("p1")))
        #expect(world.state.apps(changedAfter: told) == [app()])
    }

    @Test("a failure at an older revision is told no more, and a long one fits")
    func levelDetail() {
        var world = RegionWorld()
        world.enrol("p1")
        _ = world.report("p1", at: 2, build: 6, .failed, detail: String(repeating: "é", count: 150))
        world.take(.target(target(3, build: 7)))
        #expect(world.state.level(of: app())?.detail == "")
        _ = world.report("p1", at: 3, build: 6, .failed, detail: String(repeating: "é", count: 150))
        let detail = world.state.level(of: app())?.detail ?? ""
        #expect(detail.hasPrefix("p1: é"))
        #expect(detail.utf8.count <= RegionLevel.maximumDetailBytes)
    }
}
