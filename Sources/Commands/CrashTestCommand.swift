import ArgumentParser
import CrashLab
import Foundation
import Synchronization

struct CrashTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crashtest",
        abstract: "Attack the log on this machine's own disk, and say what was found.",
        discussion: """
            Writes logs of its own in a new directory below --directory, with the very code that the system runs, and \
            attacks them: images of what a loss of power could leave at every moment; kill -9; damaged files; system \
            calls that fail or kill (needs strace); a small disk that fills (needs root). It touches nothing else, needs \
            at most 512 MB, and removes what it made. What it finds is kept in --findings, with the command that repeats \
            it. --controls plants mutations of the product instead, each of which must be found. Exit 0 nothing found \
            (or all that was planted), 1 something found (or something planted was not). See docs/crash-laboratory.md.
            """)

    enum Attack: String, ExpressibleByArgument, CaseIterable {
        case images, kill, damage, injection, full
    }

    @Option(help: ArgumentHelp("Where to work: a directory on the disk in question.", valueName: "dir"))
    var directory = "."
    @Option(help: ArgumentHelp("Where findings are kept.", valueName: "dir")) var findings = "./crashtest-findings"
    @Option(help: "Images of a loss of power.") var images = 2000
    @Option(help: "Damaged files.") var damages = 1000
    @Option(help: "How often the engine is killed.") var rounds = 10
    @Option(help: ArgumentHelp("Of each kind, only the first so many calls fail.", valueName: "n"))
    var calls: Int?
    @Option(help: "What images, damages and moments are drawn from (default: the clock).") var seed: UInt64?
    @Option(help: "Processes that check images at once (default: one a core).") var workers: Int?
    @Option(help: "Only these attacks: images, kill, damage, injection, full.") var only: [Attack] = []
    @Option(
        help: ArgumentHelp("Of injections and of images beside the log's own, only this scenario.", valueName: "name"))
    var scenario: String?
    @Flag(help: "Plant mutations, and see that each is found.") var controls = false
    @Option(help: ArgumentHelp("Repeat a finding that was kept.", valueName: "dir")) var again: String?
    @Flag(help: "Print one JSON object.") var json = false
    @Option(help: .hidden) var child: String?

    func validate() throws {
        let counts = [
            ("images", images), ("damages", damages), ("rounds", rounds), ("calls", calls ?? 1),
            ("workers", workers ?? 1),
        ]
        for (name, count) in counts where count < 1 {
            throw ValidationError("--\(name) must be at least 1: --only chooses what is attacked")
        }
        if let scenario, Scenario.named(scenario) == nil {
            throw ValidationError("--scenario is one of: \(Scenario.all.map(\.name).joined(separator: "; "))")
        }
    }

    func run() async throws {
        if let child { return try await CrashLabChild.run(child) }
        let line = SharedProgress()
        defer { line.end() }
        try await inDirectoryOfItsOwn { place, seed in
            let laboratory = try laboratory(place, seed) { attack, done, all in
                let bar = all > 0 ? "\(ProgressLine.bar(UInt64(done), of: UInt64(all))) \(done) of \(all)" : "\(done)"
                line.show("\(attack): \(bar)")
            }
            Interruption.first { await laboratory.end() }
            defer { Interruption.first(nil) }
            if let again { return try tell([try await laboratory.again(again)], seed) }
            if controls { return try tell(try await laboratory.controls(), seed) }
            Terminal.complain("working in \(place), seed \(seed)")
            try tell(try await attack(laboratory), seed)
        }
    }

    private var scenarios: [Scenario] { scenario.flatMap { Scenario.named($0) }.map { [$0] } ?? Scenario.all }

    private func attack(_ laboratory: Laboratory) async throws -> [AttackReport] {
        var reports: [AttackReport] = []
        for attack in Attack.allCases where only.isEmpty || only.contains(attack) {
            switch attack {
            case .images:
                if scenario == nil {
                    reports.append(try await laboratory.attackImages())
                    reports.append(try await laboratory.attackImagesOfFailures())
                }
                reports += try await laboratory.attackScenarioImages(scenarios.filter(\.hasImages))
            case .kill: reports.append(try await laboratory.attackWithKills())
            case .damage:
                reports.append(try await laboratory.attackWithDamage())
                reports.append(try await laboratory.attackWithStoreDamage())
            case .injection: reports.append(try await laboratory.attackWithInjection(scenarios: scenarios))
            case .full: reports.append(try await laboratory.attackWithFullDisk())
            }
        }
        return reports
    }

    private func laboratory(
        _ place: String, _ seed: UInt64, progress: @escaping @Sendable (String, Int, Int) -> Void
    ) throws -> Laboratory {
        let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().path
        var settings = Laboratory.Settings(
            directory: place, findings: controls ? nil : URL(filePath: findings).path,
            program: [program, "crashtest", "--child"],
            seed: seed)
        (settings.images, settings.damages, settings.rounds) = (images, damages, rounds)
        settings.callsOfAKind = calls
        settings.workers = workers ?? settings.workers
        return try Laboratory(settings, progress: progress)
    }

    /// It goes when the body ends, or when the command is interrupted.
    private func inDirectoryOfItsOwn(_ body: (_ place: String, _ seed: UInt64) async throws -> Void) async throws {
        let seed = seed ?? UInt64(Date().timeIntervalSince1970 * 1000)
        let base = URL(filePath: directory).resolvingSymlinksInPath().path
        let place = "\(base)/drover-crashtest-\(ProcessInfo.processInfo.processIdentifier)"
        try requireSpace(base)
        do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false) } catch {
            throw CommandStop(.refused, "drover: \(base) cannot be written: name a directory of yours with --directory")
        }
        Interruption.remove(place)
        defer {
            try? FileManager.default.removeItem(atPath: place)
            Interruption.removed(place)
        }
        do { try await body(place, seed) } catch let failure as LaboratoryFailure {
            throw CommandStop(.failed, "drover: \(failure)")
        }
    }

    private static let neededBytes: Int64 = 512_000_000

    private func requireSpace(_ base: String) throws {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: base)
        guard let free = attributes?[.systemFreeSize] as? Int64 else {
            throw CommandStop(
                .refused, "drover: there is no directory \(base): make it, or name another with --directory")
        }
        guard free >= Self.neededBytes else {
            throw CommandStop(
                .refused,
                "drover: \(base) has \(readable(bytes: UInt64(free))) left and 512 MB are needed: name another disk")
        }
    }

    // MARK: What is said

    private static let findingsShown = 10

    private struct Report: Encodable {
        var seed: UInt64
        var attacks: [AttackReport]?
        var controls: [ControlReport]?
        var passed: Bool
    }

    private func tell(_ reports: [AttackReport], _ seed: UInt64) throws {
        let findings = reports.flatMap(\.findings)
        if json {
            try Terminal.say(json: Report(seed: seed, attacks: reports, passed: findings.isEmpty))
        } else {
            var table = Table([
                "attack", "tried", "distinct", "sound", "lost", "damaged", "refused", "harmless", "older", "findings",
                "seconds",
            ])
            for report in reports {
                table.add(
                    [report.attack]
                        + [
                            report.tried, report.distinct, report.opened, report.lost, report.damaged, report.refused,
                            report.harmless, report.older, report.findings.count,
                        ].map(String.init) + [report.skipped ?? String(format: "%.1f", report.seconds)])
            }
            table.show(emptyNote: "nothing was attacked")
            for finding in findings.prefix(Self.findingsShown) {
                Terminal.say("\(finding.kind): \(finding.message)")
                if let directory = finding.directory { Terminal.say("  again: drover crashtest --again \(directory)") }
            }
            if findings.count > Self.findingsShown {
                Terminal.say("and \(findings.count - Self.findingsShown) more of the kind")
            }
            Terminal.say(findings.isEmpty ? "nothing found (seed \(seed))" : "\(findings.count) found (seed \(seed))")
        }
        if !findings.isEmpty { throw CommandStop(.failed) }
    }

    private func tell(_ reports: [ControlReport], _ seed: UInt64) throws {
        let isCaught = reports.allSatisfy(\.isCaught)
        if json {
            try Terminal.say(json: Report(seed: seed, controls: reports, passed: isCaught))
        } else {
            var table = Table(["planted", "promise broken", "attack", "tried", "found", "for example"])
            for report in reports {
                let found = report.skipped.map { "skipped: \($0)" } ?? (report.found > 0 ? "\(report.found)" : "MISSED")
                table.add([
                    report.planted, report.promise, report.attack, "\(report.tried)", found,
                    String(report.example.prefix(80)),
                ])
            }
            table.show(emptyNote: "nothing was planted")
            Terminal.say(isCaught ? "everything planted was found (seed \(seed))" : "something planted was not found")
        }
        if !isCaught { throw CommandStop(.failed) }
    }
}

/// A progress line that several processes' listeners move on. Where nobody looks at a terminal it is a line of a file,
/// now and then.
private final class SharedProgress: Sendable {
    private static let pause = Duration.seconds(30)

    private let line = ProgressLine()
    private let last = Mutex(ContinuousClock.now)

    func show(_ text: String) {
        if Terminal.showsProgress { return line.show(text) }
        let isDue = last.withLock { last in
            guard last.duration(to: .now) >= Self.pause else { return false }
            last = .now
            return true
        }
        if isDue { Terminal.complain(text) }
    }

    func end() { line.end() }
}
