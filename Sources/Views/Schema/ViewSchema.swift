import Domain

/// The tables and views of one kind of log, as SQL text that is the same in the file, in `Schemas/views.sql` and, for
/// views, in the temporary schema that shows the past. Each statement may begin with comment lines.
///
/// Three kinds of tables, told apart by their columns:
/// * versioned: `from_sequence` and `to_sequence`; a row is true from the one up to before the other, NULL for ever;
/// * appended: `sequence`; a row is true from there on;
/// * names: neither; ids that other tables use.
package struct ViewSchema: Sendable {
    package let kind: ViewKind
    /// `CREATE TABLE` and `CREATE INDEX`, in order.
    package let tables: [String]
    package let views: [String]

    /// What both kinds of log have, then what this one has.
    init(kind: ViewKind, tables: [String], views: [String]) {
        self.kind = kind
        self.tables = SharedSchema.tables + tables
        self.views = SharedSchema.views + views
    }

    /// The `CREATE INDEX` statements, which can run after rows are in.
    var indexes: [String] { tables.filter(Self.isIndex) }

    var tablesWithoutIndexes: [String] { tables.filter { !Self.isIndex($0) } }

    private static func isIndex(_ statement: String) -> Bool { bare(statement).hasPrefix("CREATE INDEX") }

    /// Grows when rows are written otherwise although no statement changed.
    private static let foldVersion: UInt64 = 1

    /// What a file must have been made by to be used.
    package var fingerprint: String {
        var fingerprint = Fingerprint()
        fingerprint.feed(Self.foldVersion)
        for statement in tables + views { fingerprint.feed(statement) }
        return String(fingerprint.value, radix: 16)
    }

    /// Every statement as people read it: `Schemas/views.sql` ends with this text.
    package static var document: String {
        [
            part("Both kinds of log", SharedSchema.tables + SharedSchema.views),
            part("The global log", global.ownStatements), part("A regional log", regional.ownStatements),
        ].joined(separator: "\n")
    }

    private static func part(_ title: String, _ statements: [String]) -> String {
        "-- ---- \(title)\n\n" + statements.map { $0 + ";\n" }.joined(separator: "\n")
    }

    private var ownStatements: [String] {
        Array(tables.dropFirst(SharedSchema.tables.count) + views.dropFirst(SharedSchema.views.count))
    }

    /// A statement without its comment lines.
    static func bare(_ statement: String) -> Substring {
        var rest = statement[...]
        while rest.hasPrefix("--"), let end = rest.firstIndex(of: "\n") { rest = rest[rest.index(after: end)...] }
        return rest
    }
}

/// Which log a file is a view of.
package enum ViewKind: String, Hashable, Sendable, CaseIterable {
    case global
    case regional
}

/// The SQL for a column of milliseconds as RFC 3339 UTC text.
func utc(_ column: String) -> String { "strftime('%Y-%m-%dT%H:%M:%fZ', \(column) / 1000.0, 'unixepoch')" }

/// The SQL for a revision's text, `EPOCH.NUMBER`.
func revision(_ epoch: String, _ number: String) -> String { "\(epoch) || '.' || \(number)" }

/// The view of a versioned table's rows that are true now.
func current(_ name: String, of table: String) -> String {
    "CREATE VIEW \(name) AS\nSELECT * FROM \(table) WHERE to_sequence IS NULL"
}
