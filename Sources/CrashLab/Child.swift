import Domain
import Foundation

/// What the laboratory's processes do, beside the one that a person started.
enum ChildRole: Codable, Sendable {
    case workload(Workload)
    case images(ImageWork)
    case damage(DamageWork)
    case storeDamage(StoreDamageWork)
    case check(CheckWork)
    case mutant(MutantWork)
    case trim(TrimWork)
    case fullDisk(FullDiskWork)
}

/// Holds a log, or what a scenario left, against what was told of it: says `was KIND MESSAGE`.
struct CheckWork: Codable, Sendable {
    /// What a scenario must have left.
    struct Left: Codable, Sendable {
        var scenario: Scenario
        var model: String
        var scratch: String
        var isDone: Bool
    }

    /// A log, or a scenario's directory.
    var path: String
    /// A file of the workload's lines.
    var told: String
    /// Nil for a log.
    var left: Left?

    func run() async throws {
        let told = Told(try Data(contentsOf: URL(filePath: told)))
        let verdict: Verdict
        if let left {
            let check = try await ClaimCheck(left.scenario, model: left.model, scratch: left.scratch)
            verdict = await check.verdict(at: path, told, isDone: left.isDone)
        } else {
            verdict = await LogCheck(reference: nil).verdict(on: path, told: told)
        }
        say("was \(verdict.kind.rawValue) \(verdict.message)")
        say("end")
    }
}

/// The other end of `Children`.
package enum CrashLabChild {
    /// - Parameter role: a `ChildRole` as JSON.
    package static func run(_ role: String) async throws {
        switch try JSONDecoder().decode(ChildRole.self, from: Data(role.utf8)) {
        case .workload(let work): try await work.run()
        case .images(let work): try await work.run()
        case .damage(let work): try await work.run()
        case .storeDamage(let work): try await work.run()
        case .check(let work): try await work.run()
        case .mutant(let work): try await work.run()
        case .trim(let work): try await work.run()
        case .fullDisk(let work): try await work.run()
        }
    }
}
