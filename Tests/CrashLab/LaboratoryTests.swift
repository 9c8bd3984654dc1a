import Foundation
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
        #expect(attack.distinct > attack.tried / 3)
        try expectClean()
    }

    @Test func killsAndDamageAreSurvived() async throws {
        let (code, report, text) = try await crashtest(
            "--only", "kill", "--only", "damage", "--rounds", "4", "--damages", "300", "--seed", "2")
        #expect(code == 0, "\(text.suffix(2000))")
        let attacks = try #require(report?.attacks, "\(text.suffix(2000))")
        #expect(attacks.map(\.tried) == [4, 300])
        // Both kinds occur, so neither can be what everything is taken for.
        #expect(attacks[1].refused > 10 && attacks[1].harmless > 10)
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
            "--controls", "--images", "300", "--rounds", "2", "--calls", "2", "--damages", "150", "--seed", "4")
        #expect(code == 0, "\(text.suffix(2000))")
        let controls = try #require(report?.controls, "\(text.suffix(2000))")
        #expect(controls.count >= 9)
        for control in controls where control.skipped == nil { #expect(control.found > 0, "\(control.planted)") }
        try expectClean()
    }

    @Test func whatCannotBeDoneIsSaid() async throws {
        let missing = try await crashtest("--again", directory + "/none")
        #expect(missing.code == 1)
        #expect(missing.text.contains("name a finding that crashtest kept"))
        let elsewhere = try await crashtest("--directory", directory + "/none")
        #expect(elsewhere.code == 2)
        #expect(elsewhere.text.contains("there is no directory"))
        try expectClean()
    }
}
