/// What a projector should do now, and when to ask again if nothing changes before.
package struct Plan<Effect: Equatable & Sendable>: Equatable, Sendable {
    package var effects: [Effect]
    package var askAgainAt: Timestamp?

    package init(effects: [Effect] = [], askAgainAt: Timestamp? = nil) {
        self.effects = effects
        self.askAgainAt = askAgainAt
    }
}

extension QueueState {
    /// The lease reaper's work: attempts whose time is over, by id. Costs what runs: at most one attempt a worker.
    package func planLeases(world: QueueWorld) -> Plan<QueueCommand> {
        var plan = Plan<QueueCommand>()
        for job in running {
            guard let open = jobs[job], let attempt = open.attempt else { continue }
            let end = expiry(open, attempt, world: world)
            if end <= world.now {
                plan.effects.append(.expireLease(job, attempt.number))
            } else {
                plan.askAgainAt = min(plan.askAgainAt ?? end, end)
            }
        }
        return plan
    }
}
