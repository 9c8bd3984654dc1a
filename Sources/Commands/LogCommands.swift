import ArgumentParser
import Client
import Domain
import Foundation
import Wire

struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Print the log's events, one JSON object a line.")

    @OptionGroup var server: ServerOptions
    @Option(help: "Only events after this sequence.") var after = LogSequence.zero
    @Flag(name: [.short, .long], help: "Go on as events come.") var follow = false

    func run() async throws {
        for try await event in try server.client().events(after: after, follow: follow) { Terminal.say(event.json) }
    }
}

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Ask the SQL views; Schemas/views.sql names them.",
        discussion: """
            --at takes a sequence of the log, or an RFC 3339 time in UTC such as 2026-01-31T12:00:00Z: the last event at \
            or before it counts. --json prints one object a row, and the sequence that all of it is true at on standard \
            error.
            """)

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions
    @Argument(help: "One SELECT.") var sql: String

    func run() async throws {
        let answer = try await server.client().query(sql, at: past.at)
        if answer.isTruncated {
            Terminal.complain("only the first \(answer.rows.count) rows: add LIMIT and OFFSET, or a WHERE")
        }
        if server.json {
            Terminal.complain("sequence \(answer.sequence)")
            for row in answer.rows {
                try Terminal.say(json: Dictionary(zip(answer.columns, row)) { first, _ in first })
            }
            return
        }
        past.say(answer.sequence)
        var table = Table(answer.columns)
        for row in answer.rows { table.add(row.map(Self.text)) }
        table.show(emptyNote: "no rows (at sequence \(answer.sequence))")
    }

    private static func text(_ value: WireValue) -> String {
        switch value {
        case .null: ""
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        }
    }
}
