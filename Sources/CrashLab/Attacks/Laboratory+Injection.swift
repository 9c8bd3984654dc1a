import Domain
import Foundation
import Ports
import Synchronization

extension Laboratory {
    private static let tracer = "/usr/bin/strace"

    /// The n-th call of each kind fails, or the process is killed at it, for every n until there are no more.
    package func attackWithInjection(
        scenarios: [InjectionScenario] = InjectionScenario.all, sabotage: Sabotage? = nil
    ) async throws -> AttackReport {
        guard FileManager.default.isExecutableFile(atPath: Self.tracer) else {
            return .skipped("injection", "needs strace: apt-get install strace")
        }
        return try await timed("injection") { report in
            for scenario in scenarios {
                let sweep = try await InjectionSweep(self, scenario, sabotage)
                for call in InjectionScenario.calls {
                    for fault in InjectionScenario.Fault.allCases { try await sweep.run(call, fault, &report) }
                }
            }
            report.distinct = report.tried
            removePlace("injection")
        }
    }
}

/// One scenario's runs, each in the same place, laid anew.
private struct InjectionSweep {
    let laboratory: Laboratory
    let scenario: InjectionScenario
    let sabotage: Sabotage?
    let place: String
    /// What stands before each run, and what was told of it.
    let model: String
    let told: [String]
    /// The promised path's content without a fault.
    var whole: [String: Data] = [:]

    init(_ laboratory: Laboratory, _ scenario: InjectionScenario, _ sabotage: Sabotage?) async throws {
        (self.laboratory, self.scenario, self.sabotage) = (laboratory, scenario, sabotage)
        let root = try laboratory.place("injection")
        (place, model) = (root + "/place", root + "/model")
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        told = try await Self.prepare(laboratory, scenario.start, model)
        if case .wholeOrNothing(let path, _) = scenario.promise {
            try lay()
            guard try await act().end == .exited(0) else {
                throw LaboratoryFailure("\(scenario.name) fails without a fault")
            }
            whole = try Self.content(resolve(path))
        }
    }

    private static func prepare(
        _ laboratory: Laboratory, _ start: InjectionScenario.Start, _ model: String
    ) async throws -> [String] {
        guard start != .nothing else { return [] }
        let lines = Mutex([String]())
        let workload = Workload(directory: model + "/log", commands: 4)
        let end = try await laboratory.children.run(.workload(workload)) { line in lines.withLock { $0.append(line) } }
        guard end == .exited(0) else { throw LaboratoryFailure("the workload did not end as it should (\(end))") }
        if start == .text {
            let export = [laboratory.settings.program[0], "export", model + "/log", "--output", model + "/text"]
            let process = try await laboratory.children.start(export, .init())
            guard try await Children.listen(to: process, { _ in }) == .exited(0) else {
                throw LaboratoryFailure("the export of a sound log fails")
            }
        }
        return lines.withLock { $0 }
    }

    private func resolve(_ text: String) -> String {
        text.replacing("{place}", with: place).replacing("{log}", with: place + "/log")
            .replacing("{text}", with: place + "/text").replacing("{out}", with: place + "/out")
    }

    private func lay() throws {
        try? FileManager.default.removeItem(atPath: place)
        try FileManager.default.copyItem(atPath: model, toPath: place)
    }

    /// Every file at or below a path.
    private static func content(_ path: String) throws -> [String: Data] {
        guard FileManager.default.fileExists(atPath: path) else { return [:] }
        let isDirectory = try URL(filePath: path).resourceValues(forKeys: [.isDirectoryKey]).isDirectory
        return isDirectory == true ? ["data.mdb": Data()] : ["": try Data(contentsOf: URL(filePath: path))]
    }

    // MARK: One run

    private func act(_ under: [String] = []) async throws -> (end: ProcessEnd, lines: [String]) {
        let surroundings = Children.Surroundings(under: under)
        let lines = Mutex([String]())
        let process =
            switch scenario.act {
            case .engine(let commands, let mapBytes):
                try await laboratory.children.start(.workload(workload(commands, mapBytes)), surroundings)
            case .drover(let arguments):
                try await laboratory.children.start(
                    [laboratory.settings.program[0]] + arguments.map(resolve), surroundings)
            }
        let end = try await Children.listen(to: process) { line in lines.withLock { $0.append(line) } }
        return (end, lines.withLock { $0 })
    }

    private func workload(_ commands: Int, _ mapBytes: Int) -> Workload {
        var workload = Workload(directory: resolve("{log}"), commands: commands)
        (workload.clients, workload.mapBytes, workload.sabotage) = (1, mapBytes, sabotage)
        workload.firstNumber = Workload.numbersOfARun
        return workload
    }

    func run(_ call: String, _ fault: InjectionScenario.Fault, _ report: inout AttackReport) async throws {
        let notes = "\(laboratory.settings.directory)/strace"
        defer { try? FileManager.default.removeItem(atPath: notes) }
        for number in 1...(laboratory.settings.callsOfAKind ?? .max) {
            try lay()
            var under = ["/usr/bin/strace", "-f", "-qq", "--seccomp-bpf", "-o", notes, "-e", "trace=\(call)"]
            for path in scenario.paths { under += ["-P", resolve(path)] }
            under += ["-e", "inject=\(call):\(fault.injection):when=\(number)"]
            let (end, lines) = try await act(under)
            let traced = String(decoding: FileManager.default.contents(atPath: notes) ?? Data(), as: UTF8.self)
            guard traced.contains("(INJECTED)") || traced.contains("killed by SIGKILL") else { return }
            report.tried += 1
            laboratory.progress("injection", report.tried, 0)
            let what = "\(scenario.name), \(call) number \(number), \(fault.rawValue)"
            if let problem = try await problem(end, lines, fault) {
                try laboratory.keep(
                    Finding("injection", "\(what): \(problem)"),
                    .log(
                        directory: resolve(
                            FileManager.default.fileExists(atPath: resolve("{log}")) ? "{log}" : "{place}"),
                        lines: told + lines),
                    &report)
                report.lost += 1
            } else {
                report.opened += 1
            }
        }
    }

    private func problem(
        _ end: ProcessEnd, _ lines: [String], _ fault: InjectionScenario.Fault
    ) async throws -> String? {
        if case .signalled(let number) = end, fault != .killed {
            return "it crashed (signal \(number)): \(lines.last ?? "")"
        }
        switch scenario.promise {
        case .answered:
            let verdict = try await laboratory.check(resolve("{log}"), told + lines)
            return verdict.kind == .sound ? nil : "\(verdict.kind.rawValue): \(verdict.message)"
        case .wholeOrNothing(let path, let leftovers):
            return try await problem(with: path, leftovers, isDone: end == .exited(0), lines)
        }
    }

    private func problem(
        with path: String, _ leftovers: [String], isDone: Bool, _ lines: [String]
    ) async throws -> String? {
        let found = try Self.content(resolve(path))
        if isDone && found.isEmpty { return "it says that it is done, and nothing is there" }
        if !found.isEmpty, let problem = try await difference(found, path) { return problem }
        if scenario.start == .log {
            let verdict = try await laboratory.check(resolve("{log}"), told)
            if verdict.kind != .sound { return "its source: \(verdict.message)" }
        }
        for leftover in leftovers + [path] { try? FileManager.default.removeItem(atPath: resolve(leftover)) }
        // The check above went on from the source, so that it is laid again.
        try lay()
        let again = try await act()
        return again.end == .exited(0) ? nil : "repeated, it fails: \(again.lines.last ?? "")"
    }

    /// A file is the same byte for byte; a log holds the same, whatever its pages.
    private func difference(_ found: [String: Data], _ path: String) async throws -> String? {
        if let data = found[""] { return data == whole[""] ? nil : "what it left is neither whole nor nothing" }
        let verdict = try await laboratory.check(resolve(path), told)
        return verdict.kind == .sound ? nil : "what it left is not whole: \(verdict.message)"
    }
}
