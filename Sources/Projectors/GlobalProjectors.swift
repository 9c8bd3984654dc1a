package import Domain
package import Engine
package import Logging

/// The projectors of the global log, but for those that look at the world outside.
package func globalProjectors(engine: EngineService<Global>, logger: Logger) -> [Projector<Global>] {
    [
        Projector(name: "lease-reaper", engine: engine, logger: logger) { state, now in
            let plan = state.queue.planLeases(world: state.queueWorld(now: now))
            return Plan(effects: plan.effects.map(GlobalCommand.queue), askAgainAt: plan.askAgainAt)
        },
        Projector(name: "deployments", engine: engine, logger: logger) { state, now in
            let plan = state.targets.planDeployments(world: state.targetsWorld, now: now)
            return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
        },
        Projector(name: "reissue", looksAtChanges: false, engine: engine, logger: logger) { state, now in
            let plan = state.targets.planReissues(epoch: state.log.epoch, now: now)
            return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
        },
    ]
}
