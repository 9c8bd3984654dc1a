package import Domain
package import Engine
package import Logging
package import Ports
import ServiceLifecycle
import Synchronization

/// When each name was last heard, in memory only: empty after a start, so everyone gets one whole silence of grace.
package final class Presence<Name: Hashable & Comparable & Sendable>: Sendable {
    private let heard = Mutex<[Name: Int64]>([:])
    private let clock: any ClockSource
    private let startedAt: Int64

    package init(clock: any ClockSource) {
        self.clock = clock
        startedAt = clock.read().monotonicMilliseconds
    }

    package func note(_ name: Name) {
        let now = clock.read().monotonicMilliseconds
        heard.withLock { $0[name] = now }
    }

    /// How long ago it was heard, or this process started.
    package func silentMilliseconds(_ name: Name) -> Int64 {
        let now = clock.read().monotonicMilliseconds
        return now - heard.withLock { $0[name] ?? startedAt }
    }

    /// The names of these that were silent for at least this long, ascending.
    package func silent(among names: [Name], forMilliseconds limit: Int64) -> [Name] {
        let now = clock.read().monotonicMilliseconds
        return heard.withLock { heard in names.filter { now - (heard[$0] ?? startedAt) >= limit }.sorted() }
    }
}

/// Turns silence into commands: names that were not heard for a while, looked at twice a second.
package struct SilenceProjector<A: Aggregate, Name: Hashable & Comparable & Sendable>: Service {
    package static var lookMilliseconds: Int64 { 500 }

    private let name: String
    private let engine: EngineService<A>
    private let presence: Presence<Name>
    private let logger: Logger
    /// The names that should be heard, and for how long they may be silent.
    private let expected: @Sendable (A.State) -> (names: [Name], seconds: UInt32)
    private let command: @Sendable (Name) -> A.Command

    package init(
        name: String, engine: EngineService<A>, presence: Presence<Name>, logger: Logger,
        expected: @escaping @Sendable (A.State) -> (names: [Name], seconds: UInt32),
        command: @escaping @Sendable (Name) -> A.Command
    ) {
        (self.name, self.engine, self.presence, self.logger) = (name, engine, presence, logger)
        (self.expected, self.command) = (expected, command)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(EngineFailure) {
                    try await look()
                } catch {
                    if error.code == .stopped { return }
                    logger.warning("waits for the engine", metadata: ["projector": "\(name)", "failure": "\(error)"])
                }
                try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
            }
        }
    }

    private func look() async throws(EngineFailure) {
        let (expected, presence) = (expected, presence)
        let (silent, position) = try await engine.read { state, position in
            let (names, seconds) = expected(state)
            return (presence.silent(among: names, forMilliseconds: Int64(seconds) * 1000), position)
        }
        for silentName in silent {
            let outcome = try await engine.submit(
                command(silentName), actor: .projector(name), cause: position.sequence, isDerived: true)
            if case .refused(let refusal, _) = outcome {
                logger.info("effect refused", metadata: ["projector": "\(name)", "code": "\(refusal.code.rawValue)"])
            }
        }
    }
}
