package import Domain
package import Engine
package import Logging
import ServiceLifecycle

/// A service that reads the state, asks its plan what to do, and submits that as commands: until the log agrees. What it
/// does when is its machine's matter.
package struct Projector<A: Aggregate>: Service {
    private let work: ProjectorPlan<A>
    private let engine: EngineService<A>
    private let logger: Logger

    package init(_ work: ProjectorPlan<A>, engine: EngineService<A>, logger: Logger) {
        (self.work, self.engine, self.logger) = (work, engine, logger)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var machine = ProjectorMachine<A.Command>(looksAtChanges: work.looksAtChanges)
            var effect = machine.started()
            while !Task.isCancelled {
                do throws(EngineFailure) {
                    guard let next = try await perform(effect, &machine) else { return }
                    effect = next
                } catch {
                    effect = machine.failed(error.code)
                    if error.code == .stopped { return }
                    logger.warning(
                        "waits for the engine", metadata: ["projector": "\(work.name)", "failure": "\(error)"])
                }
            }
        }
    }

    /// Does it, and says what comes next; nil for nothing.
    private func perform(
        _ effect: ProjectorEffect<A.Command>, _ machine: inout ProjectorMachine<A.Command>
    ) async throws(EngineFailure) -> ProjectorEffect<A.Command>? {
        switch effect {
        case .look:
            let plan = work.plan
            let (found, position, now) = try await engine.readNow { state, position, now in
                (plan(state, now), position, now)
            }
            return machine.looked(found, at: position.sequence, now: now)
        case .submit(let command, let cause):
            let outcome = try await engine.submit(
                command, actor: .projector(work.name), cause: cause, isDerived: true)
            guard case .refused(let refusal, _) = outcome else { return machine.accepted() }
            logger.info(
                "effect refused", metadata: ["projector": "\(work.name)", "code": "\(refusal.code.rawValue)"])
            return machine.refused()
        case .rest(let milliseconds):
            try? await Task.sleep(for: .milliseconds(milliseconds))
            return machine.rested()
        case .awaitChange(let sequence, let milliseconds):
            _ = await engine.waitForChange(after: sequence, timeoutMilliseconds: milliseconds)
            return machine.rested()
        case .end: return nil
        }
    }
}
