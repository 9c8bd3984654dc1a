import ArgumentParser
import Codec
import Domain
import Foundation
import Ports
import Wire

struct ShrinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shrink",
        abstract: "Reduce an incident to the fewest events that still show it.",
        discussion: """
            The statement gives one truth value, as for bisect. The log is cut where it first holds; then commands are \
            left out and times shortened, and what is left is decided again by the system's own rules, as long as the \
            statement holds at the end. The result is a log that the system could have written, had the world outside \
            said no more than that. --output writes it as a scenario: the log, what it amounts to, and a page that \
            tells it; under seeds/regressions the tests replay it from then on.

            \(LogPlace.help)
            """)

    @Option(help: ArgumentHelp("Write a scenario to this new directory.", valueName: "dir")) var output: String?
    @Option(help: "Look at so many candidates at most.") var attempts = 2000
    @Flag(help: "Print JSON: one object an event that is left.") var json = false
    @Argument(help: "Which log: a global one.") var log: String
    @Argument(help: "One SELECT of one truth value.") var statement: String

    struct Report: Encodable {
        var sequence: LogSequence
        var time: String
        var type: String
        var actor: String
        var words: String
        var data: JSONText?
    }

    func run() async throws {
        guard attempts > 0 else {
            throw CommandStop(.refused, "drover: --attempts is \(attempts): it must be positive")
        }
        if let output, FileManager.default.fileExists(atPath: output) {
            throw CommandStop(.refused, "drover: \(output) is there already: remove it, or name another place")
        }
        let (frames, end) = try await incident()
        let shrinking = try await shrink(frames, end)
        try await LogPlace.with(shrinking.log.batches, named: "the shrunk log") { log in
            let told = try await log.events(where: "1")
            if json {
                for event in told { try Terminal.say(json: Report(event)) }
            } else {
                for event in told { for line in ReplayCommand.lines(event, []) { Terminal.say(line) } }
            }
            guard let output else { return }
            let origin = "the first \(end) events of \(self.log)"
            try ScenarioFolder(log: shrinking.log, statement: statement, origin: origin)
                .write(to: output, told: told, views: try await log.dump())
            Terminal.complain("\(output): the scenario")
        }
        if shrinking.isCut {
            Terminal.complain("stopped after \(shrinking.attempts) candidates: fewer events may do (--attempts)")
        }
    }

    /// The log's frames up to where the statement first holds, whole commands.
    func incident() async throws -> ([Frame], LogSequence) {
        try await LogPlace.with(log) { log in
            try log.requireGlobal()
            guard try await !log.holds(statement, at: .zero) else {
                throw CommandStop(.refused, "drover: it holds before the first event already: turn it around")
            }
            var bisection = Bisection(log: log, statement: statement)
            let found = try await bisection.firstChange()
            let frames = try await log.frames()
            let command = frames.first { $0.header.sequence == found }?.header.command
            return (frames.filter { $0.header.sequence <= found || $0.header.command == command }, found)
        }
    }

    func shrink(_ frames: [Frame], _ end: LogSequence) async throws -> Shrinking {
        let commands: [RecordedCommand<Global>]
        do throws(CodecFailure) {
            commands = try RecordedCommand.commands(of: frames, codec: GlobalCodec())
        } catch {
            throw CommandStop(.failed, "drover: \(log): \(error.message)")
        }
        let line = ProgressLine()
        defer { line.end() }
        var shrinking = Shrinking(
            commands, identity: .alternative(of: frames), maximumAttempts: attempts,
            progress: { state in
                guard Terminal.showsProgress else { return }
                line.show("\(frames.count) events -> \(state.log.head.sequence), \(state.attempts) candidates")
            },
            shows: { [statement] candidate in
                try await LogPlace.with(candidate.batches, named: "a candidate") { log in
                    try await log.holds(statement, at: candidate.head.sequence)
                }
            })
        guard try await shrinking.run() else {
            throw CommandStop(
                .failed,
                "drover: it holds at sequence \(end), but not at the end of that command's events or not when they are "
                    + "decided again: drover whatif \(log) says what differs")
        }
        Terminal.complain(
            "\(end) events -> \(shrinking.log.head.sequence), \(shrinking.attempts) candidates looked at")
        return shrinking
    }
}

extension ShrinkCommand.Report {
    fileprivate init(_ event: ToldEvent) {
        self.init(
            sequence: event.sequence, time: event.time, type: event.type,
            actor: event.frame.header.actor.description, words: event.words, data: event.data)
    }
}
