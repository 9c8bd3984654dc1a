import Foundation
import Glibc
import Ports
import Processes
import Testing

/// The laboratory's short form, as a person runs it. `tools/crashlab` runs the long one.
@Suite(.serialized) struct LaboratoryTests {
    private let directory: String

    init() throws {
        directory = FileManager.default.temporaryDirectory.path + "/drover-crashlab-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    private struct Report: Decodable {
        struct Attack: Decodable {
            var attack: String
            var tried, distinct, opened, lost, damaged, harmless, refused: Int
            var findings: [Finding]
            var skipped: String?
        }

        struct Finding: Decodable {
            var kind, message: String
            var directory: String?
        }

        struct Control: Decodable {
            var planted, promise, attack: String
            var tried, found: Int
            var skipped: String?
        }

        var attacks: [Attack]?
        var controls: [Control]?
        var passed: Bool
    }

    private func crashtest(_ arguments: String...) async throws -> (code: Int32, report: Report?, text: String) {
        let products = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        let command = SupervisedCommand(
            executable: products.appending(path: "drover").path,
            arguments: ["crashtest", "--directory", directory, "--findings", directory + "/findings", "--json"]
                + arguments,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory], directory: directory)
        let run = try await GroupRunner().collect(
            command, limits: RunLimits(timeoutSeconds: 600, graceSeconds: 1), maximumOutputBytes: 1 << 22)
        guard case .ended(.exited(let code)) = run.end else { throw Ended(end: "\(run.end)") }
        let text = String(decoding: run.output, as: UTF8.self)
        let line = text.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
        return (code, try? JSONDecoder().decode(Report.self, from: Data(line.utf8)), text)
    }

    private struct Ended: Error { var end: String }

    /// Nothing of it is left on the disk.
    private func expectClean() throws {
        let left = try FileManager.default.contentsOfDirectory(atPath: directory)
        #expect(left.allSatisfy { !$0.hasPrefix("drover-crashtest") }, "\(left)")
        try FileManager.default.removeItem(atPath: directory)
    }

    @Test func noLossOfPowerLosesAnything() async throws {
        let (code, report, text) = try await crashtest("--only", "images", "--images", "1500", "--seed", "1")
        #expect(code == 0, "\(text.suffix(2000))")
        let attack = try #require(report?.attacks?.first, "\(text.suffix(2000))")
        #expect(attack.tried > 1000 && attack.opened == attack.tried)
        #expect(attack.distinct > attack.tried / 10)
        let others = try #require(report?.attacks?.dropFirst())
        #expect(others.count == 10)
        for attack in others { #expect(attack.tried > 200 && attack.opened == attack.tried, "\(attack)") }
        try expectClean()
    }

    @Test func killsAndDamageAreSurvived() async throws {
        let (code, report, text) = try await crashtest(
            "--only", "kill", "--only", "damage", "--rounds", "4", "--damages", "300", "--seed", "2")
        #expect(code == 0, "\(text.suffix(2000))")
        let attacks = try #require(report?.attacks, "\(text.suffix(2000))")
        #expect(attacks.map(\.tried) == [4, 300, 75])
        // Both kinds occur, so neither can be what everything is taken for.
        #expect(attacks[1].refused > 10 && attacks[1].harmless > 10)
        #expect(attacks[2].refused > 10 && attacks[2].harmless > 3)
        try expectClean()
    }

    /// The first of each kind of call; all of them are the long form's.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/strace"), "needs strace"))
    func callsThatFailAreToldTruly() async throws {
        let (code, report, text) = try await crashtest("--only", "injection", "--calls", "1", "--seed", "3")
        #expect(code == 0, "\(text.suffix(2000))")
        #expect(try #require(report?.attacks?.first).tried > 30)
        try expectClean()
    }

    /// Every planted mutation is found: the canary of all of the above.
    @Test func everythingPlantedIsFound() async throws {
        let (code, report, text) = try await crashtest(
            "--controls", "--images", "400", "--rounds", "2", "--calls", "2", "--damages", "150", "--seed", "4")
        #expect(code == 0, "\(text.suffix(2000))")
        let controls = try #require(report?.controls, "\(text.suffix(2000))")
        #expect(controls.count >= 17)
        for control in controls where control.skipped == nil { #expect(control.found > 0, "\(control.planted)") }
        try expectClean()
    }

    /// After a flush that failed, the disk may have a meta page that memory has not, and the reverse: an opening for
    /// writing flushes what is there before it writes over anything.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/strace"), "needs strace"))
    func whatIsThereIsFlushedFirst() async throws {
        let products = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        let drover = products.appending(path: "drover").path
        func run(_ words: [String], firstNumber: Int) async throws {
            let workload =
                "{\"workload\":{\"_0\":{\"directory\":\"\(directory)/log\",\"clients\":1,\"commands\":1,"
                + "\"firstNumber\":\(firstNumber),\"mapBytes\":1048576}}}"
            let all = words + [drover, "crashtest", "--child", workload]
            let run = try await GroupRunner().collect(
                SupervisedCommand(
                    executable: all[0], arguments: Array(all.dropFirst()),
                    environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory], directory: directory),
                limits: RunLimits(timeoutSeconds: 120, graceSeconds: 1), maximumOutputBytes: 1 << 20)
            #expect(run.end == .ended(.exited(0)), "\(String(decoding: run.output, as: UTF8.self))")
        }
        try await run([], firstNumber: 0)
        let notes = directory + "/strace"
        try await run(
            ["/usr/bin/strace", "-f", "-qq", "-y", "-o", notes, "-e", "trace=write,pwrite64,pwritev,fdatasync"],
            firstNumber: 1_000_000_000)
        let calls = try String(contentsOfFile: notes, encoding: .utf8).split(separator: "\n")
            .filter { $0.contains("/log/data.mdb>") }
        #expect(calls.first?.contains(" fdatasync(") == true, "\(calls.prefix(3))")
        #expect(calls.contains { $0.contains("write") })
    }

    /// What the laboratory once found of damaged files stays mended (`seeds/damage`).
    @Test(arguments: ["missing-page", "unfindable-key"]) func whatWasFoundIsMended(name: String) async throws {
        let seeds = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../seeds/damage")
        let copy = directory + "/\(name)"
        try FileManager.default.copyItem(atPath: seeds.appending(path: name).path, toPath: copy)
        let (code, report, text) = try await crashtest("--again", name)
        #expect(code == 0, "\(text.suffix(2000))")
        let attack = try #require(report?.attacks?.first)
        #expect(attack.tried == 1 && attack.findings.isEmpty && attack.refused == 1)
    }

    /// TERM and Ctrl-C end the children first: nothing of it is left, however busy they were.
    @Test(arguments: ["images", "kill", "damage"]) func anInterruptionLeavesNothing(attack: String) async throws {
        let (signal, code): (Int32, Int32) = attack == "kill" ? (SIGINT, 130) : (SIGTERM, 143)
        let products = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        let processes = DetachedProcesses()
        for milliseconds in [10, 120, 450] {
            let process = try await processes.startDependent(
                ProcessSpecification(
                    executable: products.appending(path: "drover").path,
                    arguments: [
                        "crashtest", "--directory", directory, "--findings", directory + "/findings", "--only", attack,
                        "--images", "100000", "--damages", "100000", "--rounds", "1000",
                    ], environment: [:], directory: directory, outputPath: directory + "/output"),
                deathSignal: SIGKILL)
            func isAtWork() throws -> Bool {
                let names = try FileManager.default.contentsOfDirectory(atPath: directory)
                return try names.contains {
                    guard $0.hasPrefix("drover-crashtest") else { return false }
                    return try !FileManager.default.contentsOfDirectory(atPath: "\(directory)/\($0)").isEmpty
                }
            }
            for _ in 0..<6000 where try !isAtWork() { try await Task.sleep(for: .milliseconds(10)) }
            try await Task.sleep(for: .milliseconds(milliseconds))
            processes.signal(process, signal)
            #expect(await processes.waitForEnd(process) == .exited(code))
            let left = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(left.allSatisfy { !$0.hasPrefix("drover-crashtest") }, "\(attack): \(left)")
        }
        try expectClean()
    }

    @Test func whatCannotBeDoneIsSaid() async throws {
        for option in ["--images", "--damages", "--rounds", "--calls", "--workers"] {
            let none = try await crashtest(option, "0")
            #expect(none.code == 2 && none.text.contains("\(option) must be at least 1"), "\(none.text)")
        }
        let unknown = try await crashtest("--scenario", "none")
        #expect(unknown.code == 2 && unknown.text.contains("redaction"), "\(unknown.text)")
        let missing = try await crashtest("--again", directory + "/none")
        #expect(missing.code == 1)
        #expect(missing.text.contains("name a finding that crashtest kept"))
        let elsewhere = try await crashtest("--directory", directory + "/none")
        #expect(elsewhere.code == 2)
        #expect(elsewhere.text.contains("there is no directory"))
        try expectClean()
    }
}
