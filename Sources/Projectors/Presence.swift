package import Domain
package import Engine
package import Logging
package import Ports
import ServiceLifecycle
import Synchronization

/// When each name was last heard, in memory only: empty after a start, so everyone gets one whole silence of grace.
///
/// Who looks must look often. When this process was itself stopped for a while, nobody could be heard: it is as after a
/// start.
package final class Presence<Name: Hashable & Comparable & Sendable>: Sendable {
    private struct Heard {
        var since: Int64
        var lookedAt: Int64?
        var names: [Name: Int64] = [:]

        func silentMilliseconds(_ name: Name, now: Int64) -> Int64 { now - (names[name] ?? since) }
    }

    /// More than this between two looks is a stop of this process's.
    package static var stopMilliseconds: Int64 { 5000 }

    private let heard: Mutex<Heard>
    private let clock: any ClockSource

    package init(clock: any ClockSource) {
        self.clock = clock
        heard = Mutex(Heard(since: clock.read().monotonicMilliseconds))
    }

    package func note(_ name: Name) {
        let now = clock.read().monotonicMilliseconds
        heard.withLock { $0.names[name] = now }
    }

    /// How long ago it was heard, or everybody began to be listened to.
    package func silentMilliseconds(_ name: Name) -> Int64 {
        let now = clock.read().monotonicMilliseconds
        return heard.withLock { $0.silentMilliseconds(name, now: now) }
    }

    /// The names of these that were silent for at least this long, ascending. None at the first look after a stop.
    package func silent(among names: [Name], forMilliseconds limit: Int64) -> [Name] {
        let now = clock.read().monotonicMilliseconds
        return heard.withLock { heard in
            if let last = heard.lookedAt, now - last > Self.stopMilliseconds { heard = Heard(since: now) }
            heard.lookedAt = now
            return names.filter { heard.silentMilliseconds($0, now: now) >= limit }.sorted()
        }
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
