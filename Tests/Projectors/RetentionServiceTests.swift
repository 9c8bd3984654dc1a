import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import Projectors
import Synchronization
import Testing

/// What is retired by old numbers does not come back, so the new ones come first.
@Suite struct RetentionServiceTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs the service until its plan has looked, or it has ended; what the plan saw.
    private func seen(keptBuilds: UInt32) async throws -> [UInt32] {
        let path = FileManager.default.temporaryDirectory.path + "/drover-retention-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let log = try EventLog.open(directory: path, mode: .create(identity: nil))
        let engine = try EngineService<Global>(
            store: log, codec: GlobalCodec(), clock: SystemClock(),
            configuration: EngineConfiguration(version: "test"), logger: logger)
        let looks = Looks()
        let plan = ProjectorPlan<Global>(name: "test", looksAtChanges: true) { state, _ in
            looks.note(state.retention.settings.keptBuilds)
            return Plan()
        }
        let service = RetentionService(
            engine: engine,
            change: { old in
                var new = old
                new.keptBuilds = keptBuilds
                return new
            }, plans: [plan], logger: logger)
        defer { engine.stop() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            group.addTask {
                while looks.seen.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            }
            try await group.next()
            group.cancelAll()
        }
        return looks.seen
    }

    @Test func plansSeeTheNumbersThatWereGiven() async throws {
        let seen = try await seen(keptBuilds: 77)
        #expect(!seen.isEmpty && seen.allSatisfy { $0 == 77 }, "\(seen)")
    }

    @Test func refusedNumbersFailTheStart() async throws {
        await #expect(throws: EngineFailure.self) { try await seen(keptBuilds: 0) }
    }
}

private final class Looks: Sendable {
    private let numbers = Mutex<[UInt32]>([])

    var seen: [UInt32] { numbers.withLock { $0 } }

    func note(_ number: UInt32) { numbers.withLock { $0.append(number) } }
}
