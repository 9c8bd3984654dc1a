import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import Projectors
import ServiceLifecycle
import Synchronization
import Testing

/// How often projectors look, over a log that moves all the time.
@Suite struct ProjectorTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// The looks of one projector, and for how many milliseconds jobs came in from the first one on.
    private func looks(atChanges: Bool) async throws -> (count: Int, milliseconds: Int64) {
        let path = FileManager.default.temporaryDirectory.path + "/drover-projector-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let log = try EventLog.open(directory: path, mode: .create(identity: nil))
        let engine = try EngineService<Global>(
            store: log, codec: GlobalCodec(), clock: SystemClock(),
            configuration: EngineConfiguration(version: "test"), logger: logger)
        let looks = Counter()
        let plan = ProjectorPlan<Global>(name: "test", looksAtChanges: atChanges) { _, _ in
            looks.add()
            return Plan()
        }
        let projector = Projector(plan, engine: engine, logger: logger)
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await projector.run() }
            while looks.count == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let end = start.advanced(by: .seconds(1))
            while ContinuousClock.now < end {
                _ = try await engine.submit(
                    .fleet(.regionJoin(RegionName(unchecked: "a"), endpoint: "http://\(looks.next())")),
                    actor: .person("ada"))
            }
            group.cancelAll()
        }
        let passed = start.duration(to: .now).components
        engine.stop()
        try await engine.waitForEnd()
        return (looks.count, passed.seconds * 1000 + passed.attoseconds / 1_000_000_000_000_000)
    }

    @Test func aFastLogIsLookedAtFiveTimesASecond() async throws {
        let (count, milliseconds) = try await looks(atChanges: true)
        #expect(count <= milliseconds / ProjectorMachine<GlobalCommand>.minimumPauseMilliseconds + 1)
    }

    @Test func whoseWorkHasATimeLooksThen() async throws { #expect(try await looks(atChanges: false).count == 1) }
}

private final class Counter: Sendable {
    private let numbers = Mutex((count: 0, next: 0))

    var count: Int { numbers.withLock { $0.count } }

    func add() { numbers.withLock { $0.count += 1 } }

    func next() -> Int {
        numbers.withLock {
            $0.next += 1
            return $0.next
        }
    }
}
