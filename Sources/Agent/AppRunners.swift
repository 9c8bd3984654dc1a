import Domain
import Synchronization

/// One runner an app, started when the app is first heard of.
final class AppRunners: Sendable {
    private let runners = Mutex<[AppName: AppRunner]>([:])
    private let make: @Sendable (AppName) -> AppRunner

    init(make: @escaping @Sendable (AppName) -> AppRunner) { self.make = make }

    @discardableResult
    func runner(_ app: AppName, in group: inout DiscardingTaskGroup) -> AppRunner {
        if let runner = runners.withLock({ $0[app] }) { return runner }
        let runner = make(app)
        runners.withLock { $0[app] = runner }
        group.addTask { await runner.run() }
        return runner
    }

    func tellAll(_ fact: AppFact) {
        for runner in all { runner.tell(fact) }
    }

    /// All at once: the longest grace is the time it takes.
    func stopAll() async {
        await withDiscardingTaskGroup { group in
            for runner in all { group.addTask { await runner.stopProcess() } }
        }
    }

    private var all: [AppRunner] {
        runners.withLock { runners in runners.keys.sorted().compactMap { runners[$0] } }
    }
}
