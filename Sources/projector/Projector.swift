import ArgumentParser
import Foundation

/// `swift run projector`: everything on one machine; with a subcommand, one role.
@main
struct ProjectorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "projector",
        abstract: "Drover's services: builds commits and drives the results to a fleet.",
        discussion: """
            Without a subcommand everything runs on this machine: the global engine, regions, workers and peers, with a \
            page at http://127.0.0.1:7070 and all data under ./.drover.

            Every flag can be set by an environment variable as well: DROVER_DATA for --data, DROVER_LEASE_SECONDS for \
            --lease-seconds; or in a JSON file named by DROVER_CONFIG. A flag wins over the environment, the \
            environment over the file.
            """,
        version: droverVersion,
        subcommands: [
            EverythingCommand.self, GlobalCommandLine.self, RegionCommandLine.self, WorkerCommandLine.self,
            PeerCommandLine.self, BackupProofCommand.self,
        ],
        defaultSubcommand: EverythingCommand.self)

    /// Usage errors exit with 2, as everywhere in Drover (the library's own code is 64).
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as UsageProblem {
            FileHandle.standardError.write(Data("projector: \(error.description)\n".utf8))
            Foundation.exit(2)
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code.isSuccess {
                print(text)
            } else if !text.isEmpty {
                FileHandle.standardError.write(Data((text + "\n").utf8))
            }
            Foundation.exit(code == .validationFailure ? 2 : code.rawValue)
        }
    }
}

/// What this build calls itself.
let droverVersion = "0.1.0"

/// A flag or a setting that cannot be used; nothing was started.
struct UsageProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A role that could not start or go on, in one sentence that says what to do.
struct RoleFailure: Error, CustomStringConvertible, LocalizedError {
    let description: String
    var errorDescription: String? { description }

    init(_ description: String) { self.description = description }
}
