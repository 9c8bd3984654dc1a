package import ArgumentParser
import Client
import Domain
import Foundation
import Wire

/// `drover`: a person's tool.
package struct Drover: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "drover",
        abstract: "Build commits and drive the results to a fleet.",
        discussion: """
            Talks to the local system, or to the one that --server or DROVER_SERVER names. --json prints one JSON object \
            instead of tables. Exit codes: 0 done, 1 failed, 2 usage or refused (nothing changed), 3 cancelled, \
            4 superseded, 5 rolled back, 124 stopped waiting (it still runs), 130 interrupted, 143 terminated.
            """,
        subcommands: [
            BuildCommand.self, JobsCommand.self, JobCommand.self, CancelCommand.self, LogsCommand.self,
            BuildsCommand.self, PinCommand.self, UnpinCommand.self, DeployCommand.self, RollbackCommand.self,
            StatusCommand.self, WatchCommand.self,
            TargetsCommand.self, RegionsCommand.self, WorkersCommand.self, PeersCommand.self, LogCommand.self,
            QueryCommand.self, ReplayCommand.self, DiffCommand.self, BisectCommand.self, WhatIfCommand.self,
            ShrinkCommand.self, ExplainCommand.self, VerifyCommand.self, ExportCommand.self, ImportCommand.self,
            BackupCommand.self, RestoreCommand.self, RedactCommand.self, PackCommand.self, CrashTestCommand.self,
        ])

    package init() {}

    /// Parses, runs, and ends the process with the code that the outcome asks for.
    package static func mainWithExitCodes() async -> Never {
        let code = await withTaskGroup(of: Void.self, returning: Int32.self) { group in
            group.addTask { await Interruption.watch() }
            let code = await runOnce()
            group.cancelAll()
            return code
        }
        Foundation.exit(code)
    }

    private static func runOnce() async -> Int32 {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return CommandExit.done.rawValue
        } catch let stop as CommandStop {
            Terminal.complain(stop.message)
            return stop.exit.rawValue
        } catch let failure as ClientFailure {
            Terminal.complain("drover: \(failure)")
            return CommandStop(failure).exit.rawValue
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code.isSuccess { Terminal.say(text) } else { Terminal.complain(text) }
            return code.isSuccess ? 0 : code == .validationFailure ? CommandExit.refused.rawValue : code.rawValue
        }
    }
}

/// What a command's end says to a script.
enum CommandExit: Int32, Sendable {
    case done = 0
    case failed = 1
    /// Usage, or a refusal: nothing changed.
    case refused = 2
    case cancelled = 3
    case superseded = 4
    case rolledBack = 5
    case stoppedWaiting = 124
    case interrupted = 130
    case terminated = 143
}

/// Ends a command early, with a word for the person.
struct CommandStop: Error, CustomStringConvertible {
    var exit: CommandExit
    /// Empty when all has been said.
    var message: String

    init(_ exit: CommandExit, _ message: String = "") {
        self.exit = exit
        self.message = message
    }

    var description: String { message }

    init(_ failure: ClientFailure) {
        guard case .problem(let problem) = failure else {
            self.init(.failed, "drover: \(failure)")
            return
        }
        let isRefusal = problem.refusalCode != nil || (400..<500).contains(problem.status)
        self.init(isRefusal ? .refused : .failed, "drover: \(problem)")
    }
}
