import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports

/// Clients that give commands to a real engine over a real log, and tell the outside of each answer before the next.
package struct Workload: Codable, Sendable {
    /// The log's directory, made when missing.
    package var directory: String
    package var clients = 3
    /// By each client; nil until it is killed.
    package var commands: Int?
    /// Where the commands' numbers begin: no two runs over one log share any.
    package var firstNumber = 0
    /// Small, so that the map grows under way.
    package var mapBytes = 1 << 17
    package var sabotage: Sabotage?
    /// Where snapshots of the state are kept; nil for nowhere.
    package var snapshots: String?

    package init(directory: String, commands: Int?) {
        (self.directory, self.commands) = (directory, commands)
    }

    private static let numbersOfAClient = 1_000_000
    static let numbersOfARun = 1_000_000_000
    private static let snapshotEvents: UInt64 = 5
    private static let region = RegionName(unchecked: "one")

    /// Runs to its end. Says `ready`, one line a command (`Told`), and `end`.
    func run() async throws {
        let log = try EventLog.open(
            directory: directory, mode: .create(identity: nil), settings: Self.settings(mapBytes))
        let store = sabotage.map { $0.spoil(log) } ?? log
        let engine = try Self.engine(over: store) { configuration in
            guard let snapshots else { return }
            configuration.snapshots = StateSnapshots(directory: snapshots)
            configuration.hashing = StateHashing(intervalEvents: Self.snapshotEvents)
        }
        say("ready")
        _ = try await tell(engine, firstNumber, .fleet(.regionJoin(Self.region, endpoint: "http://10.0.0.2:7071")))
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<clients { group.addTask { await self.client(client, engine) } }
        }
        if snapshots != nil { await keepLast(engine) }
        engine.stop()
        try await engine.waitForEnd()
        say("end")
    }

    /// Snapshots are written beside the engine, on a thread that yields to others: however busy the machine is, this one
    /// is there before the process ends, and no other is under way.
    private func keepLast(_ engine: EngineService<Global>) async {
        do {
            while try await engine.keepSnapshot() == nil { try await Task.sleep(for: .milliseconds(2)) }
        } catch {
            // A call that was made to fail: the next start takes longer, nothing else.
        }
    }

    static func settings(_ mapBytes: Int) -> EventLog.Settings {
        var settings = EventLog.Settings()
        settings.initialMapBytes = mapBytes
        return settings
    }

    static func engine(
        over store: any LogStore, _ change: (inout EngineConfiguration) -> Void = { _ in }
    ) throws -> EngineService<Global> {
        var configuration = EngineConfiguration(version: "crashtest")
        change(&configuration)
        return try EngineService<Global>(
            store: store, codec: GlobalCodec(), clock: SystemClock(), configuration: configuration,
            logger: Logger(label: "crashtest") { _ in SwiftLogNoOpLogHandler() })
    }

    private func client(_ client: Int, _ engine: EngineService<Global>) async {
        let worker = WorkerName(unchecked: "worker-\(client)")
        var number = firstNumber + client * Self.numbersOfAClient + 1
        let last = commands.map { number + $0 }
        do {
            _ = try await tell(engine, number, .fleet(.workerJoin(worker, Self.region)), .worker(worker))
            while last.map({ number < $0 }) ?? true {
                number += 1
                _ = try await tell(engine, number, Self.enqueue(number))
                number += 1
                guard
                    case .queue(.claimed(let job, let attempt, _, _, _)) = try await tell(
                        engine, number, .queue(.claim(worker)), .worker(worker))
                else { continue }
                number += 1
                _ = try await tell(
                    engine, number, .queue(.heartbeat(job, attempt, counter: 1, stage: .build)), .worker(worker))
                // Some stay open, so that the state that a crash must bring back grows.
                guard number % 2 == 0 else { continue }
                number += 1
                _ = try await tell(
                    engine, number, .queue(.reportFailed(job, attempt, .exit, detail: "as planned")), .worker(worker))
            }
        } catch {
            // It was told; the engine has ended.
        }
    }

    /// A command by its number: a repeat is the very same, and under the same key.
    static func enqueue(_ number: Int) -> GlobalCommand {
        let digits = String(number, radix: 16)
        let commit = CommitID(rawValue: String(repeating: "0", count: 40 - digits.count) + digits)
        guard let commit else { preconditionFailure("\(digits) is part of a commit id") }
        return .queue(
            .enqueue(
                JobRequest(
                    app: AppName(unchecked: "web"), repository: "https://git.example.org/acme/web.git", commit: commit))
        )
    }

    /// Who may have given a command.
    static func actors(_ number: Int) -> [EventActor] {
        let client = number % numbersOfARun / numbersOfAClient
        return [person, .worker(WorkerName(unchecked: "worker-\(client)"))]
    }

    static func key(_ number: Int) -> String { "command-\(number)" }
    static let person = EventActor.person("crashtest")

    private func tell(
        _ engine: EngineService<Global>, _ number: Int, _ command: GlobalCommand, _ actor: EventActor = person
    ) async throws -> GlobalAnswer? {
        do throws(EngineFailure) {
            switch try await engine.submit(command, actor: actor, key: Self.key(number)) {
            case .accepted(let answer, let position):
                var job: JobID?
                if case .queue(.enqueued(let made, _)) = answer { job = made }
                say(Told.line(.init(sequence: position.sequence, chain: position.chain, number: number, job: job)))
                return answer
            case .refused(let refusal, _):
                say("refused \(refusal.code) \(number)")
                return nil
            }
        } catch {
            switch error.code {
            case .failed: say("failed \(number)")
            case .outcomeUnknown: say("unknown \(number)")
            case .busy, .stopped, .forked: throw error
            }
            return nil
        }
    }
}

/// One line on standard output, in one piece.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
