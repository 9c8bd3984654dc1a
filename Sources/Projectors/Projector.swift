package import Domain
package import Engine
package import Logging
import ServiceLifecycle

/// A service that reads the state, asks its pure plan what to do, and submits that as commands: until the log agrees.
///
/// It holds nothing that matters: killed between any two steps, it plans again from the state it finds.
package struct Projector<A: Aggregate>: Service {
    /// Its name in the log, as in `projector:lease-reaper`.
    package let name: String
    /// Whether it plans again when the log has moved, not only when its plan said.
    private let looksAtChanges: Bool
    private let engine: EngineService<A>
    private let logger: Logger
    private let plan: @Sendable (A.State, Timestamp) -> Plan<A.Command>

    /// The shortest time between two looks, however fast the log moves.
    package static var minimumPauseMilliseconds: Int64 { 200 }
    /// The longest time between two looks, whatever the plan says.
    package static var maximumPauseMilliseconds: Int64 { 10_000 }
    /// The pause after a refused effect or a busy engine.
    package static var retryPauseMilliseconds: Int64 { 1000 }

    package init(
        name: String, looksAtChanges: Bool = true, engine: EngineService<A>, logger: Logger,
        plan: @escaping @Sendable (A.State, Timestamp) -> Plan<A.Command>
    ) {
        (self.name, self.looksAtChanges) = (name, looksAtChanges)
        (self.engine, self.logger, self.plan) = (engine, logger, plan)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(EngineFailure) {
                    try await step()
                } catch {
                    if error.code == .stopped { return }
                    logger.warning("waits for the engine", metadata: ["projector": "\(name)", "failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(Self.retryPauseMilliseconds))
                }
            }
        }
    }

    /// One look, its effects, and the wait for the next.
    private func step() async throws(EngineFailure) {
        let plan = plan
        let (work, position, now) = try await engine.readNow { state, position, now in
            (plan(state, now), position, now)
        }
        var pause = min(
            max(
                Self.minimumPauseMilliseconds, work.askAgainAt?.millisecondsSince(now) ?? Self.maximumPauseMilliseconds),
            Self.maximumPauseMilliseconds)
        for command in work.effects where !Task.isCancelled {
            let outcome = try await engine.submit(
                command, actor: .projector(name), cause: position.sequence, isDerived: true)
            if case .refused(let refusal, _) = outcome {
                logger.info("effect refused", metadata: ["projector": "\(name)", "code": "\(refusal.code.rawValue)"])
                pause = min(pause, Self.retryPauseMilliseconds)
            }
        }
        await wait(after: position.sequence, milliseconds: pause)
    }

    private func wait(after sequence: LogSequence, milliseconds pause: Int64) async {
        guard looksAtChanges else {
            try? await Task.sleep(for: .milliseconds(pause))
            return
        }
        try? await Task.sleep(for: .milliseconds(Self.minimumPauseMilliseconds))
        _ = await engine.waitForChange(
            after: sequence, timeoutMilliseconds: pause - Self.minimumPauseMilliseconds)
    }
}
