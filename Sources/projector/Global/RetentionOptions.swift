import ArgumentParser
import Domain
import Engine
import Logging
import ServiceLifecycle

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

/// Says the numbers to the log, once, at the start: they are a command like any other.
struct RetentionStart: Service {
    let engine: EngineService<Global>
    let change: @Sendable (RetentionSettings) -> RetentionSettings
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(EngineFailure) {
                    let new = try await engine.read { state, _ in change(state.retention.settings) }
                    _ = try await engine.submit(.retention(.changeSettings(new)), actor: .system)
                    break
                } catch {
                    if error.code == .stopped { return }
                    logger.warning("retention's numbers wait for the engine", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
            }
            // A service that ends takes the others with it.
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        }
    }
}
