import ArgumentParser
import Domain

struct BisectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bisect",
        abstract: "Find the event that made a SQL statement true.",
        discussion: """
            The statement gives one truth value, as in "SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'failed')"; it \
            is asked of the views as they were at one sequence after another. A binary search finds one change from \
            false to true, which need not be the first; --first asks at every sequence at which rows changed, and finds \
            the first.

            \(LogPlace.help)
            """)

    @Flag(help: "Find the first change, by asking everywhere.") var first = false
    @Flag(help: "Print one JSON object.") var json = false
    @Argument(help: "Which log.") var log: String
    @Argument(help: "One SELECT of one truth value.") var statement: String

    struct Report: Encodable {
        /// The first sequence at which it holds.
        var sequence: LogSequence
        var time: String
        var type: String
        var actor: String
        var words: String
        var data: JSONText?
        /// Whether there is no earlier change; else there may be.
        var isFirst: Bool
        /// How often the statement was asked.
        var statements: Int

        enum CodingKeys: String, CodingKey {
            case sequence, time, type, actor, words, data, statements
            case isFirst = "first"
        }
    }

    func run() async throws {
        let report = try await LogPlace.with(log) { log in try await search(log) }
        if json { return try Terminal.say(json: report) }
        Terminal.say("\(report.sequence)  \(report.time)  \(report.type)")
        Terminal.say(report.words)
        Terminal.say(
            report.isFirst
                ? "the first change from false to true; \(report.statements) statements asked"
                : "one change from false to true, maybe not the first (--first); \(report.statements) statements asked")
    }

    private func search(_ log: any AskedLog) async throws -> Report {
        var bisection = Bisection(log: log, statement: statement)
        let progress = ProgressLine()
        defer { progress.end() }
        let found =
            first
            ? try await bisection.firstChange { if Terminal.showsProgress { progress.show("at sequence \($0)") } }
            : try await bisection.anyChange()
        guard let event = try await log.events(where: "e.sequence = \(found)").first else {
            throw CommandStop(.failed, "drover: the views of \(log.name) have no event \(found): verify the log")
        }
        return Report(
            sequence: found, time: event.time, type: event.type, actor: event.frame.header.actor.description,
            words: event.words, data: event.data, isFirst: first, statements: bisection.statements)
    }
}
