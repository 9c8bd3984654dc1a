import Domain
import Foundation
import Ports
import Processes
import Synchronization

package struct LaboratoryFailure: Error, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}

/// The crash laboratory: attacks on the log, each in processes of its own, below one directory on the disk that matters.
package struct Laboratory: Sendable {
    package struct Settings: Codable, Sendable {
        /// A directory of the laboratory's own; it is there and empty.
        package var directory: String
        /// Where findings are kept; nil where none are.
        package var findings: String?
        /// The program, and the arguments that make it a child.
        package var program: [String]
        package var seed: UInt64
        package var images = 2000
        package var damages = 1000
        package var rounds = 10
        /// At most so many calls of each kind are made to fail, in turn, of each scenario; nil for all.
        package var callsOfAKind: Int?
        package var workers: Int

        package init(directory: String, findings: String?, program: [String], seed: UInt64) {
            (self.directory, self.findings) = (directory, findings)
            (self.program, self.seed) = (program, seed)
            workers = max(1, ProcessInfo.processInfo.activeProcessorCount)
        }
    }

    package let settings: Settings
    let children: Children
    /// How far an attack is: its name, what is done, of how much (0: unknown).
    let progress: @Sendable (_ attack: String, _ done: Int, _ of: Int) -> Void

    static let maximumFindingsKept = 20

    package init(
        _ settings: Settings, progress: @escaping @Sendable (String, Int, Int) -> Void
    ) throws(LaboratoryFailure) {
        self.settings = settings
        self.progress = progress
        let beside = URL(filePath: settings.program[0]).resolvingSymlinksInPath().deletingLastPathComponent().path
        let candidates = ["\(beside)/\(Self.recorderName)", "\(beside)/../lib/\(Self.recorderName)"]
        guard let recorder = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw LaboratoryFailure(
                "\(Self.recorderName) is not beside \(settings.program[0]): build it (swift build --product CRecorder), "
                    + "or install it there or in ../lib")
        }
        children = Children(program: settings.program, recorder: recorder, directory: settings.directory)
    }

    private static let recorderName = "libCRecorder.so"

    /// Ends every process of it and returns when they are gone; whoever waits for one waits for ever, since this process
    /// is about to end.
    package func end() async { await children.running.end() }

    func place(_ name: String) throws -> String {
        let path = "\(settings.directory)/\(name)"
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    func removePlace(_ name: String) { try? FileManager.default.removeItem(atPath: "\(settings.directory)/\(name)") }

    func timed(_ attack: String, _ body: (inout AttackReport) async throws -> Void) async throws -> AttackReport {
        var report = AttackReport(attack)
        let start = ContinuousClock.now
        try await body(&report)
        report.seconds = start.duration(to: .now) / .seconds(1)
        return report
    }

    /// Runs a workload to its end; what it told.
    func run(_ workload: Workload, _ surroundings: Children.Surroundings = .init()) async throws -> (Told, ProcessEnd) {
        let told = Mutex(Told())
        let end = try await children.run(.workload(workload), surroundings) { line in told.withLock { $0.take(line) } }
        return (told.withLock { $0 }, end)
    }

    /// Checks a log, or what a scenario left, in a process of its own.
    func check(_ path: String, _ lines: [String], left: CheckWork.Left? = nil) async throws -> Verdict {
        let file = "\(settings.directory)/told-\(UUID().uuidString)"
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let found = Mutex<(verdict: Verdict?, last: String)>((nil, ""))
        let end = try await children.run(.check(CheckWork(path: path, told: file, left: left))) { line in
            found.withLock { found in
                found.verdict = found.verdict ?? Verdict(said: line)
                found.last = line
            }
        }
        let (verdict, last) = found.withLock { $0 }
        return verdict ?? Verdict(kind: .damaged, message: "the process that opened it ended (\(end)): \(last)")
    }

    /// Keeps a finding's files, and what repeats it.
    func keep(_ finding: Finding, _ again: Again, _ report: inout AttackReport) throws {
        var finding = finding
        if let findings = settings.findings, report.attack != Again.attack,
            report.findings.count < Self.maximumFindingsKept
        {
            let name = report.attack.split(separator: " ").joined(separator: "-")
            let names = (1...).lazy.map { "\(findings)/\(name)-\($0)" }
            guard let directory = names.first(where: { !FileManager.default.fileExists(atPath: $0) }) else { return }
            try again.keep(in: directory, finding)
            finding.directory = directory
        }
        report.findings.append(finding)
    }
}

extension Verdict {
    /// Out of a child's line `was KIND MESSAGE`.
    init?(said line: String) {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0] == "was", let kind = Kind(rawValue: String(words[1])) else { return nil }
        self.init(kind: kind, message: words.count > 2 ? String(words[2]) : "")
    }
}

extension AttackReport {
    mutating func count(_ verdict: Verdict) {
        switch verdict.kind {
        case .sound: opened += 1
        case .lost: lost += 1
        case .damaged: damaged += 1
        case .contradiction, .stuck: opened += 1
        }
    }
}
