import Codec
package import Domain
import Engine
import Swarm

/// How a run is asked for.
package struct SimulationOptions: Sendable {
    package var seed: UInt64
    /// Events and messages after which faults end; nil for the time that the seed gives them.
    package var steps: UInt64?
    package var canary: Canary?
    /// A recorded global log to begin with.
    package var history: [FrameBatch] = []

    package init(seed: UInt64) { self.seed = seed }
}

/// What a run came to.
package struct SimulationReport: Sendable {
    package var seed: UInt64
    package var finding: Finding?
    package var counts: Counts
    /// Simulated, in milliseconds.
    package var milliseconds: Int64
    /// Of everything durable in every log: the same in every process.
    package var digest: Digest
}

/// One world from one seed: real engines, projectors, regions, workers and peers, faults, and the rules that must hold.
package final class Simulation {
    let options: SimulationOptions
    let plan: WorldPlan
    let world: World
    let global: GlobalNode
    var regions: [RegionNode] = []
    var workers: [WorkerNode] = []
    var peers: [PeerNode] = []
    var clients: [Client] = []
    var apps: [AppName] = []
    var checks = GlobalChecks()
    var regionChecks: [RegionName: RegionChecks] = [:]
    /// The newest position that somebody was told.
    var acknowledged: LogPosition?
    var nextComparison = LogSequence(rawValue: 100)
    /// Copies of the global log, oldest first; none in a world without restores.
    var backups: [WorldBackup] = []
    var lost = LostBranches()
    var isCalm = false
    /// First answers by key.
    var answers: [String: GlobalAnswer] = [:]
    /// Faults chosen before hand come from here, so that a fault taken out changes nothing else.
    var faultChance: SeededGenerator

    package init(_ options: SimulationOptions, trace: Trace = .silent) {
        self.options = options
        plan = WorldPlan(seed: options.seed)
        world = World(seed: options.seed, wallMilliseconds: Self.wall(after: options.history), trace: trace)
        if let end = options.history.last?.end.sequence { world.keyPrefix = "\(end)-" }
        faultChance = SeededGenerator(seed: options.seed &* 0x9e37_79b9_7f4a_7c15 ^ 1)
        (world.network.lossPerMille, world.network.duplicatesPerMille) = (plan.lossPerMille, plan.duplicatesPerMille)
        world.network.slowPerMille = plan.slowPerMille
        let identity = options.history.first?.end.log ?? LogIdentity(high: 0xd07e, low: options.seed)
        global = GlobalNode(
            world: world, identity: identity, configuration: Self.configuration(plan, isNew: options.history.isEmpty),
            feedLimits: FeedLimits(facts: plan.feedFacts), mutant: options.canary.mutant)
        build()
    }

    private static func wall(after history: [FrameBatch]) -> Int64 {
        max(1_700_000_000_000, history.last?.frames.last?.header.time.milliseconds ?? 0)
    }

    /// A recorded log keeps its own settings.
    private static func configuration(_ plan: WorldPlan, isNew: Bool) -> EngineConfiguration {
        let settings = plan.settings
        var configuration = EngineConfiguration(version: "simulation") { (old) throws(Refusal) in
            isNew ? settings : old
        }
        configuration.hashing = StateHashing(intervalEvents: plan.stateHashEvents)
        return configuration
    }

    private func build() {
        let past = Past(options.history)
        for (number, name) in past.regions(atLeast: plan.regions).enumerated() {
            var configuration = EngineConfiguration(version: "simulation")
            configuration.hashing = StateHashing(intervalEvents: plan.stateHashEvents)
            let region = RegionNode(
                world: world, name: name, identity: LogIdentity(high: UInt64(number) + 1, low: options.seed),
                configuration: configuration, global: global, seed: options.seed &+ UInt64(number))
            regions.append(region)
            for peer in 0..<plan.peers {
                peers.append(
                    PeerNode(
                        world: world, name: PeerName(unchecked: "peer-\(number + 1)-\(peer + 1)"),
                        labels: ["tier": peer % 2 == 0 ? "a" : "b"], region: region, seed: world.chance.next()))
            }
        }
        for region in regions { region.neighbours = regions.filter { $0 !== region } }
        for (number, worker) in past.workers(atLeast: plan.workers).enumerated() {
            let region = regions.first { $0.name == worker.region } ?? regions[number % regions.count]
            let node = WorkerNode(world: world, name: worker.name, region: region, global: global)
            node.buildMilliseconds = plan.buildMilliseconds
            workers.append(node)
        }
        apps = past.apps(atLeast: plan.apps)
        for number in 1...plan.clients { clients.append(Client(self, number: number)) }
        connect()
        adopt(past)
    }

    private func connect() {
        let named = Dictionary(peers.map { ($0.name, $0) }) { first, _ in first }
        for peer in peers {
            peer.others = named
            // Some commits do not work.
            peer.isBadBuild = { $0.rawValue % 11 == 5 }
            peer.forgetsWakes = options.canary == .forgetsWakes
        }
        world.notes = self
        global.host.slowFlushPerMille = plan.slowFlushPerMille
        global.host.observe = { [unowned self] in observe($0) }
        global.host.onKey = { [unowned self] key, isFailed in
            if isFailed { checks.failed(key) } else { checks.submitted(key) }
        }
        global.onFrozen = { [unowned self] in globalFroze() }
        if options.history.isEmpty { global.retention = plan.retention }
        if options.canary == .lyingDisk { global.host.store.lieAboutFlushes() }
        for region in regions {
            region.isBlind = options.canary == .blindMirror
            region.isLazy = options.canary == .lazyRemoval
            region.storeBytes = plan.storeBytes
            region.host.slowFlushPerMille = plan.slowFlushPerMille
            regionChecks[region.name] = RegionChecks()
            region.host.observe = { [unowned self, unowned region] in observe($0, of: region) }
        }
    }

    // MARK: A run

    package static func run(_ options: SimulationOptions, trace: Trace = .silent) -> SimulationReport {
        Simulation(options, trace: trace).run()
    }

    package func run() -> SimulationReport {
        global.start()
        for region in regions { region.start() }
        for worker in workers { worker.start() }
        for peer in peers { peer.start() }
        for client in clients { client.actAgain() }
        faultAgain()
        if plan.restores { backUpAgain() }
        while !isChaosOver, world.step() {}
        if world.finding == nil { calm() }
        let report = SimulationReport(
            seed: options.seed, finding: world.finding, counts: world.counts, milliseconds: world.now / 1000,
            digest: digest)
        world.end()
        return report
    }

    private var isChaosOver: Bool {
        if let steps = options.steps { return world.counts.total >= steps }
        return world.now >= plan.chaosMilliseconds * 1000
    }

    /// The recorded log is on the global process's disk, and the packs that it names are where it says.
    private func adopt(_ past: Past) {
        do {
            for batch in options.history {
                _ = try global.host.store.append(batch.frames)
                var counts = Counts()
                let problem = checks.take(
                    SeenBatch(batch, GlobalCodec()), isSilent: { _, _ in true }, wasReadBack: { _, _ in true },
                    counts: &counts)
                if let (rule, detail) = problem { world.broken(rule, "in the recorded log: \(detail)") }
            }
            global.host.store.settle()
            global.host.skip(to: try global.host.store.head())
        } catch {
            world.broken("durable-log-reads", "\(error)")
        }
        for (facts, stored) in past.packs {
            global.adopt(facts)
            for region in regions where stored.contains(region.name) {
                let key = StoredKey(build: facts.build, attempt: facts.attempt)
                region.packs[key] = RegionNode.StoredPack(facts: facts, isSound: true)
                world.noteReadBack(facts.digest, in: region.name)
            }
        }
    }

    /// The chains of all logs: they cover every byte.
    private var digest: Digest {
        var fingerprint = (Fingerprint(), Fingerprint(), Fingerprint(), Fingerprint())
        for position in [global.host.head] + regions.map(\.host.head) {
            fingerprint.0.feed(position.chain.hex)
            fingerprint.1.feed(position.sequence.rawValue)
        }
        fingerprint.2.feed(world.counts.messages)
        fingerprint.3.feed(UInt64(world.now))
        return Digest(
            words: fingerprint.0.value, fingerprint.1.value, fingerprint.2.value, fingerprint.3.value)
    }

    // MARK: What is seen

    private func observe(_ seen: SeenBatch<GlobalEvent>) {
        let problem = checks.take(
            seen, isSilent: { [self] in isSilent($0, seconds: $1) },
            wasReadBack: { [self] in world.readBacks.contains(ReadBackFact(manifest: $0, region: $1)) },
            counts: &world.counts)
        if let (rule, detail) = problem { world.broken(rule, detail) }
        if world.trace.isOn { trace(seen, of: "global log") }
        if seen.batch.end.sequence >= nextComparison { compareReplay() }
    }

    private func observe(_ seen: SeenBatch<RegionEvent>, of region: RegionNode) {
        let problem = regionChecks[region.name]?.take(
            seen, isSilent: { [self] in isSilent($0, in: region) }, counts: &world.counts)
        if let (rule, detail) = problem ?? nil { world.broken(rule, "\(region.name): \(detail)") }
        if world.trace.isOn { trace(seen, of: "\(region.name) log") }
    }

    private func trace<Event>(_ seen: SeenBatch<Event>, of log: String) {
        for envelope in seen.events {
            world.note(log, "\(envelope.sequence) \(envelope.actor) \(envelope.event)")
        }
    }

    /// Silence is judged by what reached the process, a millisecond of scheduling allowed.
    private func isSilent(_ region: RegionName, seconds: UInt32) -> Bool {
        (global.heard[region] ?? global.starts).wasSilent(
            forMicroseconds: Int64(seconds) * 1_000_000 - 1000, now: world.now)
    }

    private func isSilent(_ peer: PeerName, in region: RegionNode) -> Bool {
        let seconds = region.host.state?.log.settings.peerSilentSeconds ?? 0
        return (region.heard[peer] ?? region.starts).wasSilent(
            forMicroseconds: Int64(seconds) * 1_000_000 - 1000, now: world.now)
    }

    /// The state is a function of the log's bytes.
    func compareReplay() {
        // At growing distances: all of them together cost little more than one replay of the whole.
        nextComparison = LogSequence(rawValue: global.host.head.sequence.rawValue * 4 + 400)
        guard let state = global.host.state else { return }
        if state.impossible > 0 { world.broken("events-make-sense", "\(state.impossible) made none") }
        do throws(EngineFailure) {
            let replay = try Replay<Global>.whole(global.host.store, codec: GlobalCodec())
            if replay.head == global.host.head, replay.state != state {
                world.broken("history", "a replay up to \(replay.head.sequence) comes to another state")
            }
        } catch {
            world.broken("durable-log-reads", "\(error)")
        }
    }

    /// What was acknowledged is there after every start.
    func globalStarted() {
        if let acknowledged { acknowledge(acknowledged) }
    }

    /// Somebody was told that something is durable.
    func acknowledge(_ position: LogPosition) {
        guard !lost.holds(position) else { return }
        if position.sequence > acknowledged?.sequence ?? .zero { acknowledged = position }
        if (try? global.host.store.position(at: position.sequence)) != position {
            world.broken("acknowledged-is-durable", "position \(position.sequence) was acknowledged and is not there")
        }
    }
}

// MARK: - What the world's machines have seen and done

struct ReadBackFact: Hashable {
    var manifest: Digest
    var region: RegionName
}

extension World {
    func noteReadBack(_ manifest: Digest, in region: RegionName) {
        readBacks.insert(ReadBackFact(manifest: manifest, region: region))
    }

    func noteRemoval(of build: BuildID, by region: RegionNode) { notes?.removes(build, region) }

    func noteAssigned(_ assignments: [Assignment], by region: RegionNode) {
        notes?.assigned(assignments, by: region)
    }

    func noteStart(_ launch: Launch, of app: AppName, on peer: PeerNode) {
        notes?.starts(launch, of: app, on: peer)
    }
}

extension Simulation {
    func assigned(_ assignments: [Assignment], by region: RegionNode) {
        let problem = regionChecks[region.name]?.assigned(assignments) { [self] revision in
            lost.targets(of: revision) + [checks.targets.issued[revision]].compactMap { $0 }
        }
        if let (rule, detail) = problem ?? nil { world.broken(rule, "\(region.name): \(detail)") }
    }

    /// A pack leaves a store. A region that follows a branch which a restore cut off is not to blame.
    func removes(_ build: BuildID, _ region: RegionNode) {
        guard !plan.restores, options.history.isEmpty else { return }
        if !checks.retention.retired.contains(build) {
            world.broken("kept-builds-stay", "\(region.name) removes build \(build), which is not retired")
        } else if let use = checks.targets.use(of: build) {
            world.broken("kept-builds-stay", "\(region.name) removes build \(build), and \(use) names it")
        }
    }

    /// One copy of an app, of a build that a target named, verified here.
    func starts(_ launch: Launch, of app: AppName, on peer: PeerNode) {
        if let other = peer.processes[app] {
            world.broken(
                "one-copy", "\(peer.name) starts \(app)/\(launch.build.build) beside \(other.launch.build.build)")
        }
        if checks.targets.named[app]?.contains(launch.build) != true, !lost.hasNamed(launch.build, for: app) {
            world.broken("only-what-was-issued", "\(peer.name) starts \(app)/\(launch.build.build)")
        }
        if peer.wholePacks[launch.build.manifest]?.build != launch.build.build {
            world.broken("verified-before-run", "\(peer.name) starts \(app)/\(launch.build.build)")
        }
    }
}
