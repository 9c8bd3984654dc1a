import ArgumentParser
import Domain

/// Which builds are kept. What is not given stays as the log has it.
struct RetentionOptions: ParsableArguments {
    @Option(help: "The last builds of each app that are kept (10).")
    var keptBuilds: UInt32?

    @Option(help: "How long every build is kept (14 days).")
    var keptSeconds: UInt32?

    @Option(help: "How long after a build is retired its packs are removed (an hour).")
    var retirementGraceSeconds: UInt32?

    @Option(help: "How full a region's store must be for the oldest builds to be retired, in percent (90).")
    var fullPercent: UInt32?

    /// Puts what was given in the place of the log's numbers.
    func change(_ settings: RoleSettings) throws -> @Sendable (RetentionSettings) -> RetentionSettings {
        let builds = try settings.number(keptBuilds, "kept-builds")
        let seconds = try settings.number(keptSeconds, "kept-seconds")
        let grace = try settings.number(retirementGraceSeconds, "retirement-grace-seconds")
        let percent = try settings.number(fullPercent, "full-percent")
        let change: @Sendable (RetentionSettings) -> RetentionSettings = { old in
            var new = old
            new.keptBuilds = builds ?? old.keptBuilds
            new.keptSeconds = seconds ?? old.keptSeconds
            new.graceSeconds = grace ?? old.graceSeconds
            new.fullPercent = percent ?? old.fullPercent
            return new
        }
        if let problem = change(RetentionSettings()).problem { throw UsageProblem(problem.message) }
        return change
    }
}
