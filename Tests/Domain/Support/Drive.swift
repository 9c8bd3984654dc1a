import Domain

/// An aggregate of the global log: the true one, or a mutant.
protocol GlobalAggregate: Aggregate
where State == GlobalState, Command == GlobalCommand, Event == GlobalEvent, Answer == GlobalAnswer {}

extension Global: GlobalAggregate {}

/// A world with its model, driven step by step.
struct Driven<A: GlobalAggregate> {
    var world = World<A>()
    var model = Model()
    private var lastKeyed: (command: GlobalCommand, actor: EventActor, key: String)?

    init() { model.now = world.now.milliseconds }

    /// Two live regions and two workers: most random steps need them.
    mutating func start() -> String? {
        for name in ["a", "b"] {
            if let problem = send(.fleet(.regionJoin(region(name), endpoint: "http://0"))) { return problem }
        }
        for name in ["w1", "w2"] {
            if let problem = send(.fleet(.workerJoin(worker(name), region("a")))) { return problem }
        }
        return nil
    }

    mutating func wait(milliseconds: Int64) {
        world.wait(milliseconds: milliseconds)
        model.now = world.now.milliseconds
    }

    /// Performs a step on both; what they disagree about, if anything.
    mutating func perform(_ step: Step) -> String? {
        for part in step.parts {
            if let problem = performOne(part) { return problem }
        }
        return nil
    }

    private mutating func performOne(_ step: Step) -> String? {
        wait(milliseconds: step.wait)
        switch step.action(in: world.state) {
        case .command(let command): return send(command, key: step.key.map { "k\($0)" })
        case .fact(let fact):
            world.fact(fact)
            model.fact(fact)
            return model.difference(from: world.state)
        case .again:
            guard let last = lastKeyed else { return nil }
            return send(last.command, by: last.actor, key: last.key)
        case .project:
            for effect in plan(world.state, at: world.now).effects {
                if let problem = send(effect, by: .projector("test")) { return problem }
            }
            return nil
        }
    }

    mutating func send(
        _ command: GlobalCommand, by actor: EventActor = .person("ada"), key: String? = nil
    ) -> String? {
        if let key { lastKeyed = (command, actor, key) }
        let expected = model.take(command, by: actor, key: key)
        let decision = world.send(command, by: actor, key: key)
        let verdict: Model.Verdict =
            switch decision {
            case .accepted(let events, let answer): .done(answer, changed: !events.isEmpty)
            case .refused(let refusal): .refused(refusal.code)
            }
        if verdict != expected { return "\(command) led to \(verdict), not to \(expected)" }
        return model.difference(from: world.state).map { "after \(command): \($0)" }
    }
}

/// What the projectors would do in a state.
func plan(_ state: GlobalState, at now: Timestamp) -> Plan<GlobalCommand> {
    let leases = state.queue.planLeases(world: state.queueWorld(now: now))
    let deployments = state.targets.planDeployments(world: state.targetsWorld, now: now)
    let reissues = state.targets.planReissues(epoch: state.log.epoch, now: now)
    return Plan(
        effects: leases.effects.map(GlobalCommand.queue)
            + (deployments.effects + reissues.effects).map(GlobalCommand.targets),
        askAgainAt: [leases.askAgainAt, deployments.askAgainAt, reissues.askAgainAt].compactMap { $0 }.min())
}

/// What an aggregate and the model disagree about over these steps, if anything.
func disagreement<A: GlobalAggregate>(of aggregate: A.Type, over steps: [Step]) -> String? {
    var driven = Driven<A>()
    if let problem = driven.start() { return problem }
    for step in steps {
        if let problem = driven.perform(step) { return problem }
    }
    return nil
}

/// The world that these steps lead to.
func worldAfter(_ steps: [Step]) -> GlobalWorld {
    var driven = Driven<Global>()
    _ = driven.start()
    for step in steps { _ = driven.perform(step) }
    return driven.world
}
