import Domain
import Foundation
import Ports

extension Laboratory {
    private static let tracer = "/usr/bin/strace"

    /// The n-th call of each kind fails, or the process is killed at it, for every n until there are no more. Where only
    /// some are asked for, each call has one of the faults, in turn.
    package func attackWithInjection(
        scenarios: [Scenario], sabotage: Sabotage? = nil
    ) async throws -> AttackReport {
        guard FileManager.default.isExecutableFile(atPath: Self.tracer) else {
            return .skipped("injection", "needs strace: apt-get install strace")
        }
        return try await timed("injection") { report in
            var turn = Int(settings.seed % UInt64(Scenario.Fault.allCases.count))
            for scenario in scenarios {
                let sweep = try await InjectionSweep(self, scenario, sabotage)
                for call in Scenario.calls where sweep.touched.contains(call) {
                    var faults = Scenario.Fault.allCases
                    if settings.callsOfAKind != nil, sabotage == nil { faults = [faults[turn % faults.count]] }
                    turn += 1
                    for fault in faults { try await sweep.run(call, fault, &report) }
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
    let scenario: Scenario
    let sabotage: Sabotage?
    let root: String
    let stage: ScenarioStage
    /// What was told of what stands before each run.
    private let told: [String]
    /// Calls that the act makes without a fault, and the paths that count.
    let touched: Set<String>
    private var paths: [String]

    private var place: String { stage.place }
    /// What stands before each run.
    private var start: String { root + "/start" }
    /// What is there without a fault.
    private var model: String { root + "/model" }
    private var notes: String { root + "/strace" }

    init(_ laboratory: Laboratory, _ scenario: Scenario, _ sabotage: Sabotage?) async throws {
        (self.laboratory, self.scenario, self.sabotage) = (laboratory, scenario, sabotage)
        root = try laboratory.place("injection")
        stage = ScenarioStage(laboratory: laboratory, place: root + "/place")
        try FileManager.default.createDirectory(atPath: stage.place, withIntermediateDirectories: true)
        told = try await stage.prepare(scenario)
        try FileManager.default.copyItem(atPath: stage.place, toPath: root + "/start")
        // As it is when nothing goes wrong: what is touched, and what must be there then.
        let calls = Scenario.calls.joined(separator: ",")
        let (end, lines) = try await stage.act(
            scenario.act, number: scenario.before.count, clients: 1,
            .init(under: ["/usr/bin/strace", "-f", "-qq", "-o", root + "/strace", "-e", "trace=\(calls)"]))
        guard end == .exited(0) else {
            throw LaboratoryFailure("\(scenario.name) fails without a fault: \(lines.last ?? "")")
        }
        let traced = String(decoding: FileManager.default.contents(atPath: root + "/strace") ?? Data(), as: UTF8.self)
        touched = Set(Scenario.calls.filter { traced.contains(" \($0)(") })
        paths = []
        try FileManager.default.moveItem(atPath: stage.place, toPath: root + "/model")
        try FileManager.default.copyItem(atPath: root + "/start", toPath: stage.place)
        paths = scenario.paths.isEmpty ? Self.paths(in: traced, below: place) : try await stage.resolve(scenario.paths)
    }

    /// Every path below a directory that a trace names.
    private static func paths(in trace: String, below place: String) -> [String] {
        let quoted = trace.split(separator: "\"", omittingEmptySubsequences: false)
        return Set(quoted.filter { $0.hasPrefix(place) }.map(String.init)).sorted()
    }

    private func lay(_ content: String) throws {
        try? FileManager.default.removeItem(atPath: place)
        try FileManager.default.copyItem(atPath: content, toPath: place)
    }

    // MARK: One run

    func run(_ call: String, _ fault: Scenario.Fault, _ report: inout AttackReport) async throws {
        var (number, hits) = (0, 0)
        while hits < laboratory.settings.callsOfAKind ?? .max {
            number += 1
            try lay(start)
            var under = ["/usr/bin/strace", "-f", "-qq", "--seccomp-bpf", "-o", notes, "-e", "trace=\(call)"]
            under += isNarrow(call) ? paths.flatMap { ["-P", $0] } : ["-y"]
            under += ["-e", "inject=\(call):\(fault.injection):when=\(number)"]
            let (end, lines) = try await stage.act(
                scenario.act, number: scenario.before.count, clients: 1, sabotage: sabotage, .init(under: under))
            let traced = String(decoding: FileManager.default.contents(atPath: notes) ?? Data(), as: UTF8.self)
            guard traced.contains("(INJECTED)") || traced.contains("killed by SIGKILL") else { return }
            guard isNarrow(call) || hit(traced, call, fault) else { continue }
            hits += 1
            report.tried += 1
            laboratory.progress("injection, \(scenario.name)", report.tried, 0)
            let left = root + "/left"
            try? FileManager.default.removeItem(atPath: left)
            try FileManager.default.copyItem(atPath: place, toPath: left)
            guard let problem = try await problem(end, lines, fault, left) else {
                report.opened += 1
                continue
            }
            report.lost += 1
            try laboratory.keep(
                Finding("injection", "\(scenario.name), \(call) number \(number), \(fault.rawValue): \(problem)"),
                .left(directory: left, lines: told + lines, claim(isDone: end == .exited(0))), &report)
        }
    }

    /// Whether only calls on known paths count. Names with a process's number in them are not known before: then each
    /// call is hit, and looked at afterwards. But for `openat`, which mostly looks for libraries.
    private func isNarrow(_ call: String) -> Bool { !scenario.paths.isEmpty || call == "openat" }

    /// Whether the call that was made to fail was one below the scenario's directory.
    private func hit(_ traced: String, _ call: String, _ fault: Scenario.Fault) -> Bool {
        let lines = traced.split(separator: "\n")
        let isHit: (Substring) -> Bool = { fault == .killed ? $0.contains(" \(call)(") : $0.contains("(INJECTED)") }
        guard let place = lines.lastIndex(where: isHit) else { return false }
        guard lines[place].contains("resumed>") else { return lines[place].contains(self.place) }
        let thread = lines[place].prefix { $0 != " " }
        return lines[..<place].last { $0.hasPrefix(thread) }?.contains(self.place) ?? false
    }

    private func claim(isDone: Bool) -> CheckWork.Left? {
        guard scenario.claim != .answered else { return nil }
        return CheckWork.Left(scenario: scenario, model: model, scratch: root + "/check", isDone: isDone)
    }

    private func check(_ lines: [String], isDone: Bool) async throws -> String? {
        let claim = claim(isDone: isDone)
        let verdict = try await laboratory.check(claim == nil ? place + "/log" : place, lines, left: claim)
        return verdict.kind == .sound ? nil : "\(verdict.kind.rawValue): \(verdict.message)"
    }

    private func problem(
        _ end: ProcessEnd, _ lines: [String], _ fault: Scenario.Fault, _ left: String
    ) async throws -> String? {
        if case .signalled(let number) = end, fault != .killed {
            return "it crashed (signal \(number)): \(lines.last ?? "")"
        }
        if let problem = try await check(told + lines, isDone: end == .exited(0)) { return problem }
        guard scenario.act.canBeRepeated else { return nil }
        // The check went on from what was left; the second try comes to it as it was.
        try lay(left)
        for leftover in scenario.leftovers + ["{out}"] {
            try? FileManager.default.removeItem(atPath: await stage.resolve(leftover))
        }
        let again = try await stage.act(scenario.act, number: scenario.before.count, clients: 1)
        guard again.end == .exited(0) else { return "repeated, it fails: \(again.lines.last ?? "")" }
        return try await check(told + again.lines, isDone: true).map { "repeated, it is wrong: \($0)" }
    }
}
