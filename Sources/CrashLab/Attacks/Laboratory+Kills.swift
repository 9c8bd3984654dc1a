import Domain
import Foundation
import Ports
import Processes
import Synchronization

extension Laboratory {
    private static let shortestMilliseconds = 5
    private static let longestMilliseconds = 400

    /// The engine killed with -9 at random moments, started again over the same log each time.
    package func attackWithKills(sabotage: Sabotage? = nil) async throws -> AttackReport {
        try await timed("kill") { report in
            let directory = try place("kill")
            defer { removePlace("kill") }
            let log = directory + "/" + Recording.logPath
            var (numbers, lines) = (SeededNumbers(seed: settings.seed), [String]())
            for round in 0..<settings.rounds {
                progress("kill", round, settings.rounds)
                var workload = Workload(directory: log, commands: nil)
                workload.firstNumber = round * Workload.numbersOfARun
                workload.sabotage = sabotage
                let milliseconds = Self.shortestMilliseconds + numbers.below(Self.longestMilliseconds)
                lines += try await kill(workload, after: milliseconds)
                report.tried += 1
                let verdict = try await check(log, lines)
                report.count(verdict)
                guard verdict.kind != .sound else { continue }
                try keep(
                    Finding(verdict.kind.rawValue, "round \(round + 1): \(verdict.message)"),
                    .log(directory: log, lines: lines), &report)
                // What was lost stays lost: each finding is told once.
                (lines, _) = ([], try place("kill"))
            }
            report.distinct = report.tried
        }
    }

    /// The lines that it said until it was killed, some time after it was ready.
    private func kill(_ workload: Workload, after milliseconds: Int) async throws -> [String] {
        let process = try await children.start(.workload(workload))
        let lines = Mutex([String]())
        let ready = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in ready.stream { break }
                try await Task.sleep(for: .milliseconds(milliseconds))
                process.terminate(graceSeconds: 0)
            }
            _ = try await children.listen(to: process) { line in
                lines.withLock { $0.append(line) }
                if line == "ready" { ready.continuation.finish() }
            }
            group.cancelAll()
        }
        let said = lines.withLock { $0 }
        guard said.contains("ready") else {
            throw LaboratoryFailure("the engine did not start: \(said.last ?? "it said nothing")")
        }
        return said
    }
}
