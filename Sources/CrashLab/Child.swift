import Domain
import Foundation

/// What the laboratory's processes do, beside the one that a person started.
enum ChildRole: Codable, Sendable {
    case workload(Workload)
    case images(ImageWork)
    case damage(DamageWork)
    case check(CheckWork)
    case fullDisk(FullDiskWork)
}

/// Holds a log against what was told of it: says `was KIND MESSAGE`.
struct CheckWork: Codable, Sendable {
    var log: String
    /// A file of the workload's lines.
    var told: String

    func run() async throws {
        let told = Told(try Data(contentsOf: URL(filePath: told)))
        let verdict = await LogCheck(reference: nil).verdict(on: log, told: told)
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
        case .check(let work): try await work.run()
        case .fullDisk(let work): try await work.run()
        }
    }
}
