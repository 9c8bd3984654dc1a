package import Domain
package import Foundation
package import Views

/// Every table and view of a log's SQL file as text: comma-separated values, one file each.
///
/// The first line names the columns; rows stand in the order of their values, whatever the query's plan. Texts are
/// quoted, `"` doubled within; NULL is nothing; blobs are `x'..'`.
package struct ViewDump: Equatable {
    /// By name; tables and views in one list, since their names differ.
    package var files: [String: String]

    package init(files: [String: String] = [:]) { self.files = files }

    /// What the views hold now, or held at a sequence; there only what has a past.
    package static func of<Mapping: ViewMapping>(
        _ views: Views<Mapping>, at sequence: LogSequence? = nil
    ) async throws -> ViewDump {
        var dump = ViewDump()
        var limits = QueryLimits()
        limits.timeoutMilliseconds = 60_000
        for name in names(Mapping.schema) where sequence == nil || !withoutPast.contains(name) {
            let result = try await views.query("SELECT * FROM \(name)", at: sequence, limits: limits)
            precondition(!result.isTruncated, "\(name) is larger than a query gives")
            dump.files[name] = csv(result)
        }
        return dump
    }

    /// Tables whose rows have no time.
    private static let withoutPast: Set = ["view_state", "actors", "event_types"]

    /// Only what has a past.
    package var past: ViewDump { ViewDump(files: files.filter { !Self.withoutPast.contains($0.key) }) }

    private static func names(_ schema: ViewSchema) -> [String] {
        (schema.tables + schema.views).compactMap { statement in
            statement.firstMatch(of: /(?m)^CREATE (?:TABLE|VIEW) (\w+)/).map { String($0.1) }
        }
    }

    /// Where two dumps differ, a line each; empty when they are equal.
    package func differences(from expected: ViewDump) -> [String] {
        Set(files.keys).union(expected.files.keys).sorted().compactMap { name in
            let (found, wanted) = (files[name], expected.files[name])
            guard found != wanted else { return nil }
            guard let found, let wanted else { return "\(name) is \(found == nil ? "missing" : "not expected")" }
            let rows = Set(found.split(separator: "\n"))
            let wantedRows = Set(wanted.split(separator: "\n"))
            let more = rows.subtracting(wantedRows).min() ?? ""
            return "\(name): found \(more), expected \(wantedRows.subtracting(rows).min() ?? "")"
        }
    }

    private static func csv(_ result: QueryResult) -> String {
        let rows = result.rows.map { row in row.map(cell).joined(separator: ",") }.sorted()
        return ([result.columns.joined(separator: ",")] + rows).map { $0 + "\n" }.joined()
    }

    private static func cell(_ value: SQLValue) -> String {
        switch value {
        case .null: ""
        case .text(let text): "\"\(text.replacing("\"", with: "\"\""))\""
        case .integer, .real, .blob: value.description
        }
    }
}

extension ViewDump {
    /// What `write` wrote.
    package init(folder: URL) throws {
        files = [:]
        let paths = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        for path in paths where path.hasSuffix(".csv") {
            files[String(path.dropLast(".csv".count))] = try String(
                contentsOf: folder.appending(path: path), encoding: .utf8)
        }
    }

    /// Makes a folder hold exactly this.
    package func write(to folder: URL) throws {
        try? FileManager.default.removeItem(at: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, text) in files {
            try text.write(to: folder.appending(path: name + ".csv"), atomically: true, encoding: .utf8)
        }
    }
}
