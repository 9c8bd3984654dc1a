import Client
import Domain
import Engine
import Logging
import Ports
import ServiceLifecycle

/// Tells the global process this region's numbers, when its machine says so.
struct LevelReporter: Service {
    let engine: EngineService<Regional>
    let upstream: any RegionUpstream
    let clock: any ClockSource
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var machine = LevelMachine()
            var effect = machine.started()
            var position = engine.head
            while !Task.isCancelled {
                do throws(EngineFailure) {
                    if case .lookAtEpoch = effect { position = engine.head }
                    effect = try await perform(effect, after: position.sequence, &machine)
                } catch {
                    if error.code == .stopped { return }
                    effect = machine.notTold()
                }
            }
        }
    }

    /// Does it, and says what comes next. A look costs the apps that changed.
    private func perform(
        _ effect: LevelEffect, after sequence: LogSequence, _ machine: inout LevelMachine
    ) async throws(EngineFailure) -> LevelEffect {
        switch effect {
        case .lookAtEpoch: return machine.follows(try await engine.read { state, _ in state.position?.epoch })
        case .lookAtLevels(let seen):
            let (levels, count) = try await engine.read { state, _ in
                (state.apps(changedAfter: seen).compactMap { state.level(of: $0) }, state.levelChanges.count)
            }
            return machine.looked(at: levels, count: count, now: clock.read().monotonicMilliseconds)
        case .report(let levels):
            do throws(ClientFailure) { try await upstream.report(levels) } catch {
                if !Task.isCancelled { logger.info("the levels were not told", metadata: ["failure": "\(error)"]) }
                return machine.notTold()
            }
            return machine.told()
        case .rest(let milliseconds):
            try? await Task.sleep(for: .milliseconds(milliseconds))
            return machine.rested()
        case .awaitChange(let milliseconds):
            _ = await engine.waitForChange(after: sequence, timeoutMilliseconds: milliseconds)
            return machine.rested()
        }
    }
}
