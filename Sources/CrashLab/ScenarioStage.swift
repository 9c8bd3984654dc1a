import Codec
import Domain
import Foundation
import Ports
import Processes
import Synchronization

/// Where a scenario's acts are performed: one directory, whose parts they name in braces.
struct ScenarioStage {
    let laboratory: Laboratory
    let place: String

    private static let names = ["log", "text", "out", "store", "snapshots"]

    func resolve(_ texts: [String]) async throws -> [String] {
        var resolved: [String] = []
        for text in texts { resolved.append(try await resolve(text)) }
        return resolved
    }

    func resolve(_ text: String) async throws -> String {
        var text = text.replacing("{place}", with: place)
        for name in Self.names { text = text.replacing("{\(name)}", with: "\(place)/\(name)") }
        guard text.contains("{event}") else { return text }
        return text.replacing("{event}", with: "\(try await firstText())")
    }

    /// The first job's: its repository's address is free text.
    private func firstText() async throws -> LogSequence {
        let type = eventType(named: "job-enqueued")
        let frames = try await ReferenceLog(directory: place + "/log").batches.flatMap(\.frames)
        guard let frame = frames.first(where: { $0.type == type }) else {
            throw LaboratoryFailure("the workload has enqueued nothing")
        }
        return frame.header.sequence
    }

    /// - Parameter number: of the act in its scenario: no two runs over one log share a command's number.
    func act(
        _ act: Scenario.Act, number: Int, clients: Int, sabotage: Sabotage? = nil,
        _ surroundings: Children.Surroundings = .init()
    ) async throws -> (end: ProcessEnd, lines: [String]) {
        let children = laboratory.children
        func workload(_ commands: Int) async throws -> Workload {
            var workload = Workload(directory: try await resolve("{log}"), commands: commands)
            (workload.clients, workload.sabotage) = (clients, sabotage)
            workload.firstNumber = number * Workload.numbersOfARun
            return workload
        }
        let process: SupervisedProcess
        switch act {
        case .engine(let commands, let mapBytes):
            var workload = try await workload(commands)
            workload.mapBytes = mapBytes
            process = try await children.start(.workload(workload), surroundings)
        case .snapshots(let commands):
            var workload = try await workload(commands)
            workload.snapshots = try await resolve("{snapshots}")
            process = try await children.start(.workload(workload), surroundings)
        case .drover(let arguments):
            process = try await children.start(
                [laboratory.settings.program[0]] + resolve(arguments), surroundings)
        case .trim(let frames):
            process = try await children.start(.trim(TrimWork(place: place, frames: frames)), surroundings)
        case .mutant(let mutant):
            process = try await children.start(.mutant(MutantWork(mutant: mutant, place: place)), surroundings)
        }
        let lines = Mutex([String]())
        let end = try await children.listen(to: process) { line in lines.withLock { $0.append(line) } }
        return (end, lines.withLock { $0 })
    }

    private static let usualClients = 3

    /// What comes before, undisturbed; what was said.
    ///
    /// - Parameter surroundings: asked before each act.
    func prepare(
        _ scenario: Scenario, _ surroundings: () throws -> Children.Surroundings = { .init() }
    ) async throws -> [String] {
        var told: [String] = []
        for (number, before) in scenario.before.enumerated() {
            let (end, lines) = try await act(before, number: number, clients: Self.usualClients, surroundings())
            guard end == .exited(0) else {
                throw LaboratoryFailure("\(before) of \(scenario.name) fails without a fault: \(lines.last ?? "")")
            }
            told += lines
        }
        return told
    }
}
