import ArgumentParser
import Domain
import Wire

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "What differs between two moments: jobs, builds, deployments, targets, regions, workers.",
        discussion: """
            A moment is a sequence of the log (0 is before its first event), or an RFC 3339 time in UTC, of which the \
            last event at or before it counts. + is a row that came, - one that went, * one that changed, with each \
            column's value before and after. Signs of life alone are no change. --json prints one object a row.

            \(LogPlace.help)
            """)

    @Option(help: ArgumentHelp("Which log; the running system's if not given.", valueName: "log")) var log = "."
    @Option(help: ArgumentHelp("Which log the second moment is of; the same if not given.", valueName: "log"))
    var with: String?
    @Flag(help: "Print JSON, one object a row.") var json = false
    @Argument(help: ArgumentHelp("From this moment.", valueName: "a")) var before: LogMoment
    @Argument(help: ArgumentHelp("To this one.", valueName: "b")) var after: LogMoment

    struct Report: Encodable {
        struct Values: Encodable {
            var before: WireValue
            var after: WireValue
        }

        var change: LogDifference.Change.Kind
        var view: String
        var key: String
        var columns: [String: Values]

        init(_ change: LogDifference.Change) {
            (self.change, view, key) = (change.kind, change.view, change.key)
            columns = Dictionary(
                change.columns.map { ($0.name, Values(before: $0.before, after: $0.after)) },
                uniquingKeysWith: { first, _ in first })
        }
    }

    func run() async throws {
        try await LogPlace.with(log) { log in
            guard let with else { return try await show(log, log) }
            try await LogPlace.with(with) { try await show(log, $0) }
        }
    }

    private func show(_ first: any AskedLog, _ second: any AskedLog) async throws {
        let (from, to) = (try await first.sequence(of: before), try await second.sequence(of: after))
        Terminal.complain("from sequence \(from) to sequence \(to)\(with.map { " of \($0)" } ?? "")")
        var table = Table(["", "VIEW", "ROW", "WHAT"])
        try await LogDifference(before: (first, from), after: (second, to)).changes { change in
            if json { return try Terminal.say(json: Report(change)) }
            for row in Self.rows(change) { table.add(row) }
        }
        if !json { table.show(emptyNote: "nothing differs") }
    }

    /// One row for what came or went; one a column for what changed.
    static func rows(_ change: LogDifference.Change) -> [[String]] {
        let (view, key) = (change.view, change.key)
        switch change.kind {
        case .added: return [["+", view, key, values(change.columns) { $0.after }]]
        case .removed: return [["-", view, key, values(change.columns) { $0.before }]]
        case .changed:
            return change.columns.map { column in
                ["*", view, key, "\(column.name): \(shown(column.before)) -> \(shown(column.after))"]
            }
        }
    }

    private static func values(
        _ columns: [LogDifference.Column], _ side: (LogDifference.Column) -> WireValue
    ) -> String {
        columns.filter { side($0) != .text("") }.map { "\($0.name) \(shown(side($0)))" }.joined(separator: ", ")
    }

    /// On one line, and not without end.
    private static func shown(_ value: WireValue) -> String {
        if value == .null { return "nothing" }
        let line = value.words.split(whereSeparator: \.isNewline).joined(separator: " / ")
        if line.isEmpty { return "\"\"" }
        return line.count > 100 ? line.prefix(97) + "..." : line
    }
}
