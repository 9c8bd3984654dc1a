import Testing

@testable import Domain

/// A trap ends the whole test process: these tests hold by ending at all. Beyond that, some things must be so in every
/// state, whatever events led there.
@Suite("Properties: any events, in any order")
struct TotalityTests {
    /// A random event is another one in each step, made from the step's seed.
    private func seeds(_ random: inout SplitMix64) -> [UInt64] { (0..<120).map { _ in random.next() } }

    private func envelope<Event: Sendable>(_ event: Event, _ place: Int, _ arbitrary: inout Arbitrary) -> Envelope<
        Event
    > {
        let sequence = LogSequence(rawValue: UInt64(place) + 1)
        return Envelope(
            header: FrameHeader(
                epoch: .first, sequence: sequence, time: arbitrary.time(), command: sequence, actor: arbitrary.actor(),
                key: arbitrary.flag() ? "k" : nil), event: event)
    }

    @Test("no event traps the global reducer, and its invariants hold")
    func global() {
        forAll("any-global-events", seed: 1, iterations: 80, generate: seeds) { seeds in
            var state = Global.initialState
            for (place, seed) in seeds.enumerated() {
                var arbitrary = Arbitrary(random: SplitMix64(seed: seed))
                let before = state
                Global.reduce(&state, envelope(arbitrary.globalEvent(), place, &arbitrary))
                if let problem = broken(state) ?? wentBack(before, state) { return problem }
            }
            return nil
        }
    }

    @Test("no command traps on any state; what it decides is accepted by the reducer as sensible")
    func globalCommands() {
        forAll("any-global-commands", seed: 1, iterations: 40, generate: seeds) { seeds in
            var state = Global.initialState
            for (place, seed) in seeds.enumerated() {
                var arbitrary = Arbitrary(random: SplitMix64(seed: seed))
                Global.reduce(&state, envelope(arbitrary.globalEvent(), place, &arbitrary))
                if let problem = decideOn(state, place, &arbitrary) { return problem }
            }
            return nil
        }
    }

    private func decideOn(_ state: GlobalState, _ place: Int, _ arbitrary: inout Arbitrary) -> String? {
        let now = arbitrary.time()
        let effects = plan(state, at: now).effects
        for command in effects + (0..<4).map({ _ in arbitrary.globalCommand() }) {
            // An engine's epoch is never behind its log's.
            let context = DecisionContext(
                now: now, actor: arbitrary.actor(), sequence: LogSequence(rawValue: .max), epoch: Epoch(rawValue: .max))
            guard case .accepted(let events, _) = Global.decide(state, command, context) else { continue }
            _ = command.fingerprint
            _ = Global.command(from: events)
            var after = state
            for event in events {
                Global.reduce(&after, envelope(event, place, &arbitrary))
                _ = Universe.regions.map { GlobalFact.from(event, for: $0, state: after) }
            }
            if after.impossible > state.impossible { return "\(command) led to \(events), which makes no sense" }
        }
        return nil
    }

    /// Invariants of every state.
    private func broken(_ state: GlobalState) -> String? {
        let queue = state.queue
        let queued = queue.jobs.filter { $0.value.phase == .queued }
        let order = queued.sorted { ($1.value.request.priority, $0.key) < ($0.value.request.priority, $1.key) }.map(
            \.key)
        if queue.waiting.all != order { return "waiting is \(queue.waiting.all), not \(order)" }
        let running = queue.jobs.filter { $0.value.attempt != nil }.keys.sorted()
        if queue.running != running { return "running is \(queue.running), not \(running)" }
        if let job = queue.jobs.keys.max(), job > queue.enqueued { return "job \(job) was never enqueued" }
        for (job, open) in queue.jobs
        where queue.builds[job] != nil || (open.attempt?.number ?? open.attempts) != open.attempts {
            return "job \(job) is \(open), and built"
        }
        for (key, job) in queue.buildOnce where queue.jobs[job] == nil && queue.builds[job] == nil {
            return "key \(key) names job \(job), which is neither open nor kept"
        }
        for job in queue.displaced.values.joined() where queue.jobs[job] == nil && queue.builds[job] == nil {
            return "job \(job) waits for its key in vain"
        }
        for target in state.targets.apps.values.flatMap(\.values).map(\.target)
        where target.revision.number > state.targets.number {
            return "revision \(target.revision) is greater than the last number given"
        }
        for pack in state.replication.packs.values where pack.stored != Array(Set(pack.stored)).sorted() {
            return "regions are not ascending: \(pack.stored)"
        }
        return nil
    }

    /// What only grows.
    private func wentBack(_ before: GlobalState, _ after: GlobalState) -> String? {
        if after.queue.enqueued < before.queue.enqueued { return "ids went back" }
        if after.queue.leaseFloor < before.queue.leaseFloor { return "the lease floor went back" }
        if after.log.epoch < before.log.epoch { return "the epoch went back" }
        for (app, scopes) in before.targets.apps {
            for (scope, old) in scopes where after.targets.target(app, scope)?.revision ?? .zero < old.target.revision {
                return "\(app) in \(scope) went back from \(old.target.revision)"
            }
        }
        for (job, open) in before.queue.jobs where after.queue.jobs[job]?.attempts ?? open.attempts < open.attempts {
            return "job \(job)'s attempts went back"
        }
        for (name, region) in before.fleet.regions {
            for (app, level) in region.levels
            where after.fleet.regions[name]?.levels[app]?.revision ?? .zero < level.revision {
                return "\(name)'s level of \(app) went back"
            }
        }
        return nil
    }

    @Test("no event traps the regional reducer, no command traps on its states, and revisions only grow")
    func regional() {
        forAll("any-regional-events", seed: 1, iterations: 50, generate: seeds) { seeds in
            var state = Regional.initialState
            for (place, seed) in seeds.enumerated() {
                var arbitrary = Arbitrary(random: SplitMix64(seed: seed))
                let before = state
                Regional.reduce(&state, envelope(arbitrary.regionEvent(), place, &arbitrary))
                for (app, old) in before.targets where state.targets[app]?.revision ?? .zero < old.revision {
                    return "\(app) went back from \(old.revision)"
                }
                for (name, peer) in before.peers {
                    for (app, old) in peer.apps where state.peers[name]?.apps[app]?.revision ?? .zero < old.revision {
                        return "\(name)'s \(app) went back from \(old.revision)"
                    }
                }
                if let problem = decideOn(state, place, &arbitrary) { return problem }
            }
            return nil
        }
    }

    private func decideOn(_ state: RegionState, _ place: Int, _ arbitrary: inout Arbitrary) -> String? {
        for app in Universe.apps {
            guard let level = state.level(of: app) else { continue }
            if level.healthy + level.failed > level.selected { return "more peers than there are: \(level)" }
        }
        for region in Universe.regions { _ = state.planMirror(here: region) }
        for _ in 0..<3 {
            let command = arbitrary.regionCommand()
            let context = DecisionContext(
                now: .zero, actor: .system, sequence: LogSequence(rawValue: UInt64(place) + 1), epoch: .first)
            guard case .accepted(let events, let answer) = Regional.decide(state, command, context), !events.isEmpty
            else {
                continue
            }
            guard let again = Regional.command(from: events) else { return "nothing is rebuilt of \(command)" }
            if !isTake(command), again != command { return "\(command) is rebuilt as \(again)" }
            if Regional.decide(state, again, context) != .accepted(events, answer) {
                return "\(command) is rebuilt as \(again), decided otherwise"
            }
            var after = state
            for event in events { Regional.reduce(&after, envelope(event, place, &arbitrary)) }
            if after.impossible > state.impossible { return "\(command) led to \(events), which makes no sense" }
        }
        return nil
    }

    /// The sequence a feed was asked after is not recorded.
    private func isTake(_ command: RegionCommand) -> Bool {
        if case .take = command { true } else { false }
    }

    @Test("replay of any regional prefix, and of the rest on its copy, is the same state")
    func regionalReplay() {
        forAll("regional-replay", seed: 1, iterations: 8, generate: seeds) { seeds in
            var log: [Envelope<RegionEvent>] = []
            for (place, seed) in seeds.enumerated() {
                var arbitrary = Arbitrary(random: SplitMix64(seed: seed))
                log.append(envelope(arbitrary.regionEvent(), place, &arbitrary))
            }
            var whole = Regional.initialState
            for envelope in log { Regional.reduce(&whole, envelope) }
            for cut in [0, log.count / 3, log.count / 2, log.count] {
                var state = Regional.initialState
                for envelope in log[..<cut] { Regional.reduce(&state, envelope) }
                guard var copy = try? copied(state), copy == state else {
                    return "the state after \(cut) is not copied"
                }
                for envelope in log[cut...] { Regional.reduce(&copy, envelope) }
                if copy != whole { return "replay from \(cut) differs" }
            }
            return nil
        }
    }

    @Test("canary: a state that breaks an invariant is found")
    func invariantsCanBreak() {
        var world = GlobalWorld.fleet()
        world.build(request(commit: 1))
        for number in 2...4 { world.enqueue(request(commit: number)) }
        _ = world.claim()
        #expect(broken(world.state) == nil)
        let breaks: [(inout GlobalState) -> Void] = [
            { $0.queue.running = [] }, { $0.queue.waiting.remove(job(3), priority: 0) },
            { $0.queue.enqueued = job(2) }, { $0.queue.builds = [:] },
            { $0.queue.builds[job(2)] = $0.queue.builds[job(1)] },
            { $0.queue.displaced[request().buildOnceKey] = [job(9)] },
            { $0.replication.packs[job(1)]?.stored.reverse() },
        ]
        for (place, change) in breaks.enumerated() {
            var state = world.state
            change(&state)
            #expect(broken(state) != nil, "break \(place)")
        }
        var behind = world.state
        behind.queue.enqueued = .init(rawValue: 1)
        #expect(wentBack(world.state, behind) != nil)
    }

    @Test("the last number of every kind is followed by itself, not by a trap")
    func lastNumbers() {
        #expect(AttemptNumber(rawValue: .max).next == AttemptNumber(rawValue: .max))
        #expect(LogSequence(rawValue: .max).next == LogSequence(rawValue: .max))
        #expect(Epoch(rawValue: .max).next == Epoch(rawValue: .max))
        let (first, last) = (Timestamp(milliseconds: .min), Timestamp(milliseconds: .max))
        #expect(last.adding(seconds: .max) == last)
        #expect(first.adding(milliseconds: -1) == first)
        #expect(last.millisecondsSince(first) == .max)
        #expect(first.millisecondsSince(last) == .min)
    }
}
