package import Domain
package import Engine
package import Logging
import ServiceLifecycle

/// Says retention's numbers to the log, a command like any other, and only then lets retention's projectors begin. Numbers
/// that the log refuses fail the start.
package struct RetentionService: Service {
    private static let restMilliseconds: Int64 = 1000

    private let engine: EngineService<Global>
    private let change: @Sendable (RetentionSettings) -> RetentionSettings
    private let plans: [ProjectorPlan<Global>]
    private let logger: Logger

    /// - Parameter change: Puts what was given in the place of the log's numbers.
    package init(
        engine: EngineService<Global>, change: @escaping @Sendable (RetentionSettings) -> RetentionSettings,
        plans: [ProjectorPlan<Global>] = retentionPlans, logger: Logger
    ) {
        (self.engine, self.change, self.plans, self.logger) = (engine, change, plans, logger)
    }

    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            guard try await say() else { return }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for plan in plans {
                    group.addTask { try await Projector(plan, engine: engine, logger: logger).run() }
                }
                try await group.waitForAll()
            }
        }
    }

    /// False when the engine has stopped before it took them.
    private func say() async throws(EngineFailure) -> Bool {
        while !Task.isCancelled {
            let outcome: CommandOutcome<GlobalAnswer>
            do throws(EngineFailure) {
                let new = try await engine.read { state, _ in change(state.retention.settings) }
                outcome = try await engine.submit(.retention(.changeSettings(new)), actor: .system)
            } catch {
                if error.code == .stopped { return false }
                logger.warning("retention's numbers wait for the engine", metadata: ["failure": "\(error)"])
                try? await Task.sleep(for: .milliseconds(Self.restMilliseconds))
                continue
            }
            guard case .refused(let refusal, _) = outcome else { return true }
            throw EngineFailure(code: .failed, message: "the log refuses retention's numbers: \(refusal.message)")
        }
        return false
    }
}
