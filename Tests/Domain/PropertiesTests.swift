import Domain
import Testing

@Suite("Properties: replay and rebuilding")
struct ReplayTests {
    @Test("replay of any prefix, and of the rest on its encoded and decoded state, is the same state")
    func prefixes() {
        forAll("replay", seed: 1, iterations: 12, generate: Step.list) { steps in
            let world = worldAfter(steps)
            var states = [Global.initialState]
            for envelope in world.log {
                var state = states[states.count - 1]
                Global.reduce(&state, envelope)
                states.append(state)
            }
            guard states.last == world.state else { return "replay differs from what the engine saw" }
            for cut in [world.log.count / 3, world.log.count / 2, world.log.count] {
                guard var state = try? copied(states[cut]) else { return "the state after \(cut) is not encoded" }
                if state != states[cut] { return "the state after \(cut) is decoded as another one" }
                for envelope in world.log[cut...] { Global.reduce(&state, envelope) }
                if state != world.state { return "replay from \(cut) differs" }
            }
            return nil
        }
    }

    @Test("a decision depends on the state's value alone, and is the same again")
    func deterministic() {
        forAll("deterministic", seed: 1, iterations: 15, generate: Step.list) { steps in
            var driven = Driven<Global>()
            _ = driven.start()
            for (place, step) in steps.enumerated() {
                if place.isMultiple(of: 10), let problem = differs(driven.world, steps) { return problem }
                _ = driven.perform(step)
            }
            return nil
        }
    }

    /// Whether any of the steps' commands, or the plan, comes out differently on a copy laid out anew.
    private func differs(_ world: GlobalWorld, _ steps: [Step]) -> String? {
        guard let copy = try? copied(world.state) else { return "the state is not encoded" }
        if plan(copy, at: world.now) != plan(world.state, at: world.now) { return "the plan differs on a copy" }
        for step in steps.flatMap(\.parts) {
            guard case .command(let command) = step.action(in: world.state) else { continue }
            let context = world.context(by: .person("ada"))
            if Global.decide(world.state, command, context) != Global.decide(copy, command, context) {
                return "\(command) is decided differently on a copy"
            }
        }
        return nil
    }

    @Test("every command with events is rebuilt from them, and decided again alike")
    func rebuilt() {
        forAll("rebuilt", seed: 1, iterations: 30, generate: Step.list) { steps in
            var driven = Driven<Global>()
            _ = driven.start()
            for step in steps.flatMap(\.parts) {
                if let problem = rebuilding(step, driven.world) { return problem }
                _ = driven.perform(step)
            }
            return nil
        }
    }

    private func rebuilding(_ step: Step, _ world: GlobalWorld) -> String? {
        guard case .command(let command) = step.action(in: world.state),
            case .accepted(let events, let answer) = world.decide(command), !events.isEmpty
        else { return nil }
        guard let again = Global.command(from: events) else { return "nothing is rebuilt of \(command)" }
        if world.decide(again) != .accepted(events, answer) {
            return "\(command) is rebuilt as \(again), decided otherwise"
        }
        if !isLossy(command), again != command { return "\(command) is rebuilt as \(again)" }
        if again.fingerprint != command.fingerprint, !isLossy(command) { return "\(command)'s fingerprint differs" }
        return nil
    }

    /// Commands of which an event keeps only what had an effect: a heartbeat's stage once uploaded, unchanged levels.
    private func isLossy(_ command: GlobalCommand) -> Bool {
        switch command {
        case .queue(.heartbeat), .fleet(.regionReport): true
        case .queue, .targets, .fleet, .packStored, .packLost, .packRemoved, .retention, .changeSettings: false
        }
    }

    @Test("a recorded log, decided again command by command, is the same log")
    func decidedAgain() {
        forAll("decided-again", seed: 1, iterations: 25, generate: Step.list) { steps in
            decisionDifference(worldAfter(steps).log, decidedBy: Global.self)
        }
    }

    @Test("canary: a log decided again by other rules, or with another event in it, is found")
    func decidedOtherwise() {
        var random = SplitMix64(seed: 1)
        var log = worldAfter((0..<10).flatMap { _ in Step.list(&random) }).log
        #expect(decisionDifference(log, decidedBy: LastInFirstOut.self) != nil)
        #expect(decisionDifference(log, decidedBy: NoFloor.self) == nil, "a floor spares leases, it makes no event")
        for (place, envelope) in log.enumerated() {
            guard case .queue(.claimed(let job, let number, let name, let lease)) = envelope.event else { continue }
            log[place].event = .queue(.claimed(job, number.next, worker: name, leaseSeconds: lease))
            break
        }
        #expect(decisionDifference(log, decidedBy: Global.self) != nil)
    }

    /// Where a log decided again, command by command, differs from what was recorded.
    private func decisionDifference<A: GlobalAggregate>(
        _ log: [Envelope<GlobalEvent>], decidedBy aggregate: A.Type
    ) -> String? {
        var state = A.initialState
        var rest = log[...]
        while let first = rest.first {
            let batch = rest.prefix { $0.header.command == first.header.command }
            rest = rest.dropFirst(batch.count)
            let events = batch.map(\.event)
            if let command = A.command(from: events) {
                let context = DecisionContext(
                    now: first.time, actor: first.actor, key: first.header.key, sequence: first.sequence,
                    epoch: first.header.epoch)
                let decision = A.decide(state, command, context)
                if decision.events != events { return "\(command) at \(first.sequence) is decided as \(decision)" }
            }
            for envelope in batch { A.reduce(&state, envelope) }
        }
        return nil
    }
}

@Suite("Properties: jobs end, plans settle")
struct LivenessTests {
    @Test("at most one attempt is current, and its number is the greatest ever claimed")
    func oneAttempt() {
        forAll("one-attempt", seed: 1, iterations: 30, generate: Step.list) { steps in
            var state = Global.initialState
            var claimed: [JobID: AttemptNumber] = [:]
            for envelope in worldAfter(steps).log {
                if case .queue(.claimed(let job, let number, _, _)) = envelope.event {
                    if state.queue.jobs[job]?.attempt != nil { return "job \(job) is claimed while it runs" }
                    if let last = claimed[job], number <= last { return "attempt \(number) of \(job) is given again" }
                    claimed[job] = number
                }
                Global.reduce(&state, envelope)
                for job in state.queue.running where state.queue.jobs[job]?.attempt?.number != claimed[job] {
                    return "job \(job)'s current attempt is not the last one claimed"
                }
            }
            return nil
        }
    }

    @Test("whatever happened, with honest workers every acknowledged job ends, exactly once")
    func everyJobEnds() {
        forAll("every-job-ends", seed: 1, iterations: 30, generate: Step.list) { steps in
            var world = worldAfter(steps)
            finish(&world)
            let state = world.state.queue
            if !state.jobs.isEmpty { return "jobs \(state.jobs.keys.sorted()) never end" }
            var ends = Array(repeating: 0, count: Int(state.enqueued.rawValue))
            for event in world.events {
                switch event {
                case .queue(.succeeded(let job, _)), .queue(.failed(let job, _, _)): ends[Int(job.rawValue) - 1] += 1
                default: break
                }
            }
            return ends.allSatisfy { $0 == 1 } ? nil : "jobs ended \(ends) times"
        }
    }

    /// Nothing fails any more: regions are back, workers work, the reaper reaps.
    private func finish(_ world: inout GlobalWorld) {
        for name in Universe.regions {
            world.send(.fleet(.regionJoin(name, endpoint: "http://0")))
            world.send(.fleet(.regionResume(name, reason: "repaired")))
        }
        for name in Universe.workers {
            world.send(.fleet(.workerJoin(name, region("a"))))
            world.send(.fleet(.workerDrain(name, isDraining: false)))
        }
        for _ in 0..<500 where !world.state.queue.jobs.isEmpty {
            world.wait(seconds: 100)
            world.project()
            guard let (job, number) = world.claim() else { continue }
            world.send(.queue(.reportUploaded(job, number, pack(job.rawValue))))
            world.store(job, number, in: "a")
        }
    }

    @Test("the plan asks for nothing that is refused or leads to nothing, and comes to rest")
    func plansSettle() {
        forAll("plans-settle", seed: 1, iterations: 30, generate: Step.list) { steps in
            var driven = Driven<Global>()
            _ = driven.start()
            for step in steps {
                _ = driven.perform(step)
                if let problem = uselessEffect(driven.world) { return problem }
            }
            var world = driven.world
            for _ in 0..<30 {
                if let problem = restlessness(&world) { return problem }
                guard let next = plan(world.state, at: world.now).askAgainAt else { return nil }
                if let problem = earlyOrLate(world, next) { return problem }
                world.now = next
            }
            return nil
        }
    }

    private func uselessEffect(_ world: GlobalWorld) -> String? {
        for effect in plan(world.state, at: world.now).effects {
            switch world.decide(effect, by: .projector("test")) {
            case .accepted(let events, _) where events.isEmpty: return "\(effect) leads to nothing"
            case .accepted: continue
            case .refused(let refusal): return "\(effect) is refused: \(refusal)"
            }
        }
        return nil
    }

    /// Performs effects without letting time pass: each round must leave fewer things to do in the end.
    private func restlessness(_ world: inout GlobalWorld) -> String? {
        for _ in 0..<6 {
            let effects = plan(world.state, at: world.now).effects
            if effects.isEmpty { return nil }
            for effect in effects { world.send(effect, by: .projector("test")) }
        }
        return "after six rounds there is still \(plan(world.state, at: world.now).effects)"
    }

    /// When the plan wants to be asked again, there is something to do, and not a millisecond before.
    private func earlyOrLate(_ world: GlobalWorld, _ next: Timestamp) -> String? {
        if next <= world.now { return "it wants to be asked again at \(next), which is no later than now" }
        if !plan(world.state, at: next.adding(milliseconds: -1)).effects.isEmpty { return "\(next) is too late" }
        return plan(world.state, at: next).effects.isEmpty ? "at \(next) there is nothing to do" : nil
    }
}
