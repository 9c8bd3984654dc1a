package import Domain

/// The projectors of the global log that look at nothing but its state: what they would do can be planned again.
package enum Projecting {
    /// By their names in the log.
    private static let plans: [(name: String, plan: @Sendable (GlobalState, Timestamp) -> Plan<GlobalCommand>)] = [
        (
            "lease-reaper",
            { state, now in
                let plan = state.queue.planLeases(world: state.queueWorld(now: now))
                return Plan(effects: plan.effects.map(GlobalCommand.queue), askAgainAt: plan.askAgainAt)
            }
        ),
        (
            "deployments",
            { state, now in
                let plan = state.targets.planDeployments(world: state.targetsWorld, now: now)
                return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
            }
        ),
        (
            "reissue",
            { state, now in
                let plan = state.targets.planReissues(epoch: state.log.epoch, now: now)
                return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
            }
        ),
        (
            "retention",
            { state, now in
                let plan = state.planRetention(now: now)
                return Plan(effects: plan.effects.map(GlobalCommand.retention), askAgainAt: plan.askAgainAt)
            }
        ),
        (
            "space",
            { state, now in
                let plan = state.planSpace(now: now)
                return Plan(effects: plan.effects.map(GlobalCommand.retention), askAgainAt: plan.askAgainAt)
            }
        ),
    ]

    /// Whether a recorded command is one of theirs.
    package static func isTheirs(_ header: FrameHeader) -> Bool {
        header.isDerived && header.actor.kind == .projector && plans.contains { $0.name == header.actor.name }
    }

    /// What each wants to be done now, and when to ask again if nothing happens before.
    static func plan(
        _ state: GlobalState, now: Timestamp
    ) -> (effects: [(by: EventActor, command: GlobalCommand)], askAgainAt: Timestamp?) {
        var (effects, next) = ([(by: EventActor, command: GlobalCommand)](), Timestamp?.none)
        for (name, plan) in plans {
            let plan = plan(state, now)
            effects += plan.effects.map { (.projector(name), $0) }
            if let time = plan.askAgainAt { next = min(next ?? time, time) }
        }
        return (effects, next)
    }
}
