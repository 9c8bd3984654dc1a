import Codec
import Domain
import Foundation
import GRDB
import Logging

@testable import Views

typealias GlobalSQL = Views<GlobalViews>
typealias RegionalSQL = Views<RegionalViews>

/// A directory of its own for the time of a test.
final class Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "drover-views-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String = "views.sqlite") -> String { path + "/" + name }

    func views(_ name: String = "views.sqlite", settings: ViewSettings = ViewSettings()) throws -> GlobalSQL {
        try GlobalSQL.open(path: file(name), codec: GlobalCodec(), settings: settings, logger: Self.quiet)
    }

    func regionalViews(
        _ name: String = "views.sqlite", settings: ViewSettings = ViewSettings()
    ) throws -> RegionalSQL {
        try RegionalSQL.open(path: file(name), codec: RegionalCodec(), settings: settings, logger: Self.quiet)
    }

    private static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

/// Every row of every table of a file, and its indexes, as text.
func dump(_ path: String) throws -> [String] {
    try DatabaseQueue(path: path).read { database in
        let names = "SELECT name FROM sqlite_schema WHERE type = ? ORDER BY name"
        let tables = try String.fetchAll(database, sql: names, arguments: ["table"])
        let indexes = try String.fetchAll(database, sql: names, arguments: ["index"])
        return try indexes
            + tables.flatMap { table in
                try Row.fetchAll(database, sql: "SELECT * FROM \(table)").map { "\(table) \($0)" }.sorted()
            }
    }
}

/// The rows as text, columns by `|`, NULL as nothing.
extension QueryResult {
    var lines: [String] {
        rows.map { row in
            row.map { value in
                switch value {
                case .null: ""
                case .integer(let number): "\(number)"
                case .real(let number): "\(number)"
                case .text(let text): text
                case .blob(let bytes): hexadecimal(bytes)
                }
            }.joined(separator: "|")
        }
    }
}
