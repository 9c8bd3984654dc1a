package import Domain

/// The plans of the global log's projectors, but for those that look at the world outside, and retention's.
package let globalPlans: [ProjectorPlan<Global>] = [
    ProjectorPlan(name: "lease-reaper") { state, now in
        let plan = state.queue.planLeases(world: state.queueWorld(now: now))
        return Plan(effects: plan.effects.map(GlobalCommand.queue), askAgainAt: plan.askAgainAt)
    },
    ProjectorPlan(name: "deployments") { state, now in
        let plan = state.targets.planDeployments(world: state.targetsWorld, now: now)
        return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
    },
    ProjectorPlan(name: "reissue", looksAtChanges: false) { state, now in
        let plan = state.targets.planReissues(epoch: state.log.epoch, now: now)
        return Plan(effects: plan.effects.map(GlobalCommand.targets), askAgainAt: plan.askAgainAt)
    },
]

/// Retention's plans. They begin when the log has the numbers that its operator gave, for what is retired by others does
/// not come back.
package let retentionPlans: [ProjectorPlan<Global>] = [
    // Builds grow old by themselves: it is asked again when it says.
    ProjectorPlan(name: "retention", looksAtChanges: false) { state, now in
        let plan = state.planRetention(now: now)
        return Plan(effects: plan.effects.map(GlobalCommand.retention), askAgainAt: plan.askAgainAt)
    },
    ProjectorPlan(name: "space") { state, now in
        let plan = state.planSpace(now: now)
        return Plan(effects: plan.effects.map(GlobalCommand.retention), askAgainAt: plan.askAgainAt)
    },
]

/// How often silence is looked for.
package let silenceLookMilliseconds: Int64 = 500

/// Turns the silence of regions into commands: of those that are live, and were not heard for the time that the settings
/// give them.
package func regionSilencePlan(_ presence: Presence<RegionName>) -> ProjectorPlan<Global> {
    silencePlan("region-silence", presence) { state in
        (state.fleet.liveRegions, state.log.settings.regionSilentSeconds)
    } command: {
        .fleet(.regionSilent($0))
    }
}

/// The same of a region's peers.
package func peerSilencePlan(_ presence: Presence<PeerName>) -> ProjectorPlan<Regional> {
    silencePlan("peer-silence", presence) { state in
        (state.livePeers, state.log.settings.peerSilentSeconds)
    } command: {
        .peerSilent($0)
    }
}

private func silencePlan<A: Aggregate, Name>(
    _ name: String, _ presence: Presence<Name>,
    expected: @escaping @Sendable (A.State) -> (names: [Name], seconds: UInt32),
    command: @escaping @Sendable (Name) -> A.Command
) -> ProjectorPlan<A> {
    ProjectorPlan(name: name, looksAtChanges: false) { state, now in
        let (names, seconds) = expected(state)
        let silent = presence.silent(among: names, forMilliseconds: Int64(seconds) * 1000)
        return Plan(effects: silent.map(command), askAgainAt: now.adding(milliseconds: silenceLookMilliseconds))
    }
}
