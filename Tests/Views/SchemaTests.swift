import Domain
import Foundation
import GRDB
import Testing

@testable import Views

/// The documented schema, the code's and the file's are one. `DROVER_REWRITE=1` writes the documented one anew, below
/// its introduction.
struct SchemaTests {
    private static let documented = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Schemas/views.sql")

    @Test func theDocumentedSchemaIsTheCodes() throws {
        if ProcessInfo.processInfo.environment["DROVER_REWRITE"] == "1" { try Self.rewrite() }
        let text = try String(contentsOf: Self.documented, encoding: .utf8)
        #expect(text.hasSuffix("\n" + ViewSchema.document), "Schemas/views.sql must end with:\n\(ViewSchema.document)")
    }

    private static func rewrite() throws {
        let text = try String(contentsOf: documented, encoding: .utf8)
        let introduction = text.components(separatedBy: "-- ---- ")[0]
        try (introduction + ViewSchema.document).write(to: documented, atomically: true, encoding: .utf8)
    }

    @Test func theFilesSchemaIsTheDocumented() throws {
        let scratch = try Scratch()
        try scratch.views("global").close()
        try scratch.regionalViews("regional").close()
        let text = try String(contentsOf: Self.documented, encoding: .utf8)
        let parts = text.components(separatedBy: "-- ---- ").dropFirst().map(Self.statements)
        try #require(parts.count == 3)
        #expect(try Self.live(scratch.file("global")) == (parts[0] + parts[1]).sorted())
        #expect(try Self.live(scratch.file("regional")) == (parts[0] + parts[2]).sorted())
    }

    /// Statements without comments, blanks made one.
    private static func statements(_ text: String) -> [String] {
        let lines = text.components(separatedBy: "\n").dropFirst().filter { !$0.hasPrefix("--") }
        return lines.joined(separator: "\n").components(separatedBy: ";").map(normal).filter { !$0.isEmpty }
    }

    private static func normal(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func live(_ path: String) throws -> [String] {
        try DatabaseQueue(path: path).read { database in
            try String.fetchAll(database, sql: "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").map(normal)
                .sorted()
        }
    }

    @Test(arguments: [ViewSchema.global, ViewSchema.regional])
    func everyTableSaysHowItsRowsHaveTime(schema: ViewSchema) {
        let names: Set = ["actors", "event_types", "view_state"]
        for statement in schema.tables.map(ViewSchema.bare) where statement.hasPrefix("CREATE TABLE") {
            let name = String(statement.split(separator: " ")[2])
            let isVersioned = statement.contains(" from_sequence ") && statement.contains(" to_sequence ")
            #expect(isVersioned != statement.contains("\n  sequence ") || names.contains(name), "\(name)")
        }
    }
}
