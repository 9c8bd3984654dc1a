import Codec
import Domain
import Engine
import Ports
import Projectors
import Region
import Swarm

enum UploadAnswer {
    case taken, full
}

/// One attempt's pack in a region's store.
struct StoredKey: Hashable, Comparable {
    var build: BuildID
    var attempt: AttemptNumber

    static func < (left: StoredKey, right: StoredKey) -> Bool {
        (left.build, left.attempt) < (right.build, right.attempt)
    }
}

/// A cluster: its log's engine, its store, and what keeps both in step with the global log.
final class RegionNode {
    let node: Node
    let name: RegionName
    let host: EngineHost<Regional>
    unowned let world: World
    let global: GlobalNode
    /// Set when all regions are there: whom it copies from.
    var neighbours: [RegionNode] = []

    // On disk.
    var packs: [StoredKey: StoredPack] = [:]
    var manifests: [Digest: PackFacts] = [:]
    var isFull = false
    /// What its packs may take.
    var storeBytes: UInt64 = 1 << 50
    /// A planted bug: it says that it has removed a pack, and has not.
    var isLazy = false
    /// A planted bug: it says that it has read a pack back, and has not looked.
    var isBlind = false

    // In memory only.
    var presence: Presence<PeerName>
    var tracker: Tracker
    var shelf: [PackName: ShelvedPack] = [:]
    var mirror: MirrorWork
    private var feed: FeedMachine
    private var levels = LevelMachine()
    private let seed: UInt64
    private(set) var heard: [PeerName: HeardTimes] = [:]
    private(set) var starts = HeardTimes()

    struct StoredPack {
        var facts: PackFacts
        /// Its bytes are what its manifest says.
        var isSound: Bool
    }

    /// A pack that peers may fetch, with the ledger of what they were given.
    struct ShelvedPack {
        var facts: PackFacts
        var ledger: MirrorLedger
    }

    init(
        world: World, name: RegionName, identity: LogIdentity, configuration: EngineConfiguration, global: GlobalNode,
        seed: UInt64
    ) {
        (self.world, self.name, self.global, self.seed) = (world, name, global, seed)
        node = world.add(name.rawValue)
        presence = Presence(clock: node.clock)
        (tracker, mirror, feed) = (Tracker(seed: seed), MirrorWork(seed: seed), FeedMachine(seed: seed))
        host = EngineHost(
            world: world, node: node, identity: identity, codec: RegionalCodec(), configuration: configuration)
        host.onFailure = { [unowned self] in world.restartSoon(node, crash: crash, start: start) }
    }

    // MARK: Life

    func start() {
        node.isUp = true
        presence = Presence(clock: node.clock)
        (tracker, mirror, feed) = (Tracker(seed: seed), MirrorWork(seed: seed), FeedMachine(seed: seed))
        (levels, shelf) = (LevelMachine(), [:])
        starts.note(world.now)
        for peer in heard.keys { heard[peer]?.note(world.now) }
        host.start { [self] in
            ProjectorRunner(peerSilencePlan(presence), world: world, host: host) { [self] in
                host.submit($0, answer: $1)
            }.run()
            perform(feed.started())
            perform(levels.started())
            lookAgain()
            checkStore()
            reportStore(ToldStore())
        }
    }

    func crash(losesPower: Bool) {
        world.down(node)
        host.crash(losesPower: losesPower)
    }

    // MARK: The global process

    private static let callMilliseconds: Int64 = 10_000

    func call<Answer>(
        _ what: StaticString, timeoutMilliseconds: Int64 = RegionNode.callMilliseconds,
        serve: @escaping (@escaping (Answer) -> Void) -> Void, then: @escaping (Answer?) -> Void
    ) {
        world.call(
            what, from: node, to: global.node, timeoutMilliseconds: timeoutMilliseconds, serve: serve, then: then)
    }

    func tell(_ what: StaticString, _ command: GlobalCommand, then: @escaping (CallAnswer?) -> Void) {
        call(what) { [self] answer in
            global.command(command, actor: .region(name), answer: answer)
        } then: {
            then($0)
        }
    }

    // MARK: The feed

    private func perform(_ effect: FeedEffect) {
        switch effect {
        case .join:
            let endpoint = "http://\(name)"
            tell("join", .fleet(.regionJoin(name, endpoint: endpoint))) { [self] answer in
                if case .accepted? = answer { perform(feed.joined()) } else { perform(feed.failed()) }
            }
        case .look:
            host.read { [self] state, _, _ in
                perform(
                    feed.looked(taken: state.position, remembered: state.followed.positions.map(\.position)))
            }
        case .ask(let position, let milliseconds): ask(position, milliseconds)
        case .probe(let position): ask(position, 0)
        case .recall(let after, let before): recall(after: after, before: before)
        case .take(let from, let facts, let position):
            submit(.take(from: from, facts, position)) { [self] isDone in
                tidy(Set(facts.compactMap(\.fact.namedBuild)))
                perform(isDone ? feed.took() : feed.failed())
            }
        case .adopt:
            call("snapshot") { [self] answer in
                global.snapshot(for: name, answer: answer)
            } then: { [self] (snapshot: RegionSnapshot?) in
                guard let snapshot else { return perform(feed.failed()) }
                submit(.adopt(snapshot)) { [self] in perform($0 ? feed.took() : feed.failed()) }
            }
        case .goBack(let common):
            world.counts.note("region went back")
            host.read { [self] state, _, _ in
                let other = OtherBranch(state, after: common.sequence)
                for (build, pack) in other.packs { shelf[PackName(app: pack.app, build: build)] = nil }
                packs = packs.filter { !other.hasPacks(of: $0.key.build) }
                submit(.refollow(common)) { [self] in perform($0 ? feed.took() : feed.failed()) }
            }
        case .rest(let milliseconds):
            world.after(milliseconds: milliseconds, on: node) { [self] in perform(feed.rested()) }
        }
    }

    private func recall(after: LogSequence, before: LogSequence) {
        var recalled = RecalledPositions(after: after, before: before)
        do throws(StoreFailure) {
            for batch in try host.store.read(after: .zero, maximumFrames: .max) {
                for envelope in SeenBatch(batch, RegionalCodec()).events { recalled.take(envelope.event) }
            }
        } catch {
            return perform(feed.failed())
        }
        perform(feed.recalled(recalled.positions))
    }

    private func ask(_ position: LogPosition?, _ milliseconds: Int64) {
        call("feed", timeoutMilliseconds: milliseconds + Self.callMilliseconds) { [self] answer in
            global.feed(for: name, after: position, waitMilliseconds: milliseconds, answer: answer)
        } then: { [self] (answer: FeedCallAnswer?) in
            switch answer {
            case .part(let facts, let position)?: perform(feed.answered(facts, position))
            case .forked(let origin)?: perform(feed.forked(origin: origin))
            case .unavailable?, nil: perform(feed.failed())
            }
        }
    }

    /// Whether it was accepted.
    func submit(_ command: RegionCommand, projector: String = "feed", then: @escaping (Bool) -> Void) {
        let submission = Submission(command: command, actor: .projector(projector), isDerived: true)
        host.submit(submission) { result in
            if case .success(.accepted) = result { then(true) } else { then(false) }
        }
    }

    // MARK: Levels

    private func perform(_ effect: LevelEffect) {
        switch effect {
        case .lookAtEpoch: host.read { [self] state, _, _ in perform(levels.follows(state.position?.epoch)) }
        case .lookAtLevels(let seen):
            host.read { [self] state, _, _ in
                let found = state.apps(changedAfter: seen).compactMap { state.level(of: $0) }
                perform(levels.looked(at: found, count: state.levelChanges.count, now: node.monotonic))
            }
        case .report(let news):
            call("report levels") { [self] answer in
                global.hear(name)
                global.command(.fleet(.regionReport(name, news)), actor: .region(name), answer: answer)
            } then: { [self] (answer: CallAnswer?) in
                if case .accepted? = answer { perform(levels.told()) } else { perform(levels.notTold()) }
            }
        case .rest(let milliseconds):
            world.after(milliseconds: milliseconds, on: node) { [self] in perform(levels.rested()) }
        case .awaitChange(let milliseconds):
            host.awaitChange(after: host.head.sequence, milliseconds: milliseconds) { [self] in
                perform(levels.rested())
            }
        }
    }

    // MARK: Peers' words

    /// A poll is no event, but the peer was heard: one that was silent has returned. `then`: whether it is enrolled.
    func hear(_ peer: PeerName, then: @escaping (Bool) -> Void) {
        presence.note(peer)
        heard[peer, default: starts].note(world.now)
        host.read { [self] state, _, _ in
            switch state.peers[peer]?.isSilent {
            case nil: then(false)
            case true?:
                host.submit(Submission(command: .peerReturn(peer), actor: .peer(peer))) { result in
                    if case .success(.accepted) = result { then(true) } else { then(false) }
                }
            case false?: then(true)
            }
        }
    }
}
