package import Domain
package import Wire

/// What differs in the global views between two moments, of one log or of two.
package struct LogDifference {
    /// One row that came, went or changed.
    package struct Change: Hashable, Sendable {
        package enum Kind: String, Sendable, Codable {
            case added, removed, changed
        }

        package var kind: Kind
        package var view: String
        /// The row's name there: a job's id, a target's app and scope.
        package var key: String
        /// Columns with their value before and after, in the view's order: all that are not NULL for a row that came or
        /// went.
        package var columns: [Column]
    }

    package struct Column: Hashable, Sendable {
        package var name: String
        package var before: WireValue
        package var after: WireValue
    }

    /// A view that is compared: its rows are told apart by `key`, an SQL expression, and read in parts of `part`.
    private struct Compared {
        var view: String
        var key: String
        /// Whether rows are read by ranges of their number, as there may be very many.
        var isNumbered = false
        /// Columns that change all the time and say nothing of what happened.
        var ignored: Set<String> = []
    }

    private static let compared = [
        Compared(view: "jobs", key: "id", isNumbered: true, ignored: ["last_heartbeat"]),
        Compared(view: "builds", key: "id", isNumbered: true), Compared(view: "deployments", key: "id"),
        Compared(view: "targets", key: "app || ' ' || scope"), Compared(view: "regions", key: "name"),
        Compared(view: "workers", key: "name"),
    ]
    private static let rowsAtOnce: UInt64 = 5000

    package typealias Place = (log: any AskedLog, sequence: LogSequence)

    private let before: Place
    private let after: Place

    /// From one moment to another, of the same log or of two.
    package init(before: Place, after: Place) { (self.before, self.after) = (before, after) }

    /// Gives every change, in the order of views and their keys.
    package func changes(_ body: (Change) throws -> Void) async throws {
        try before.log.requireGlobal()
        try after.log.requireGlobal()
        for compared in Self.compared {
            for condition in try await conditions(compared) {
                let (old, new) = (
                    try await rows(compared, condition, at: before), try await rows(compared, condition, at: after)
                )
                for change in changes(compared, old, new) { try body(change) }
            }
        }
    }

    /// What divides a view into parts that one answer can hold.
    private func conditions(_ compared: Compared) async throws -> [String] {
        guard compared.isNumbered else { return ["1"] }
        let sql = "SELECT coalesce(max(\(compared.key)), 0) AS last FROM \(compared.view)"
        var last: UInt64 = 0
        for place in [before, after] {
            last = max(last, try await place.log.all(sql, at: place.sequence).first?["last"]?.number ?? 0)
        }
        return stride(from: 0, to: last, by: UInt64.Stride(Self.rowsAtOnce)).map { start in
            "\(compared.key) > \(start) AND \(compared.key) <= \(start + Self.rowsAtOnce)"
        }
    }

    private struct Rows {
        var columns: [String]
        /// By key, in order.
        var keys: [String] = []
        var values: [String: [WireValue]] = [:]
    }

    private func rows(_ compared: Compared, _ condition: String, at place: Place) async throws -> Rows {
        let answer = try await place.log.query(
            "SELECT \(compared.key) AS compared_key, * FROM \(compared.view) WHERE \(condition) ORDER BY 1",
            at: place.sequence)
        guard !answer.isTruncated else {
            throw CommandStop(
                .failed, "drover: \(compared.view) has more than \(answer.rows.count) rows, too many to compare here")
        }
        var rows = Rows(columns: Array(answer.columns.dropFirst()))
        for row in answer.rows {
            let key = row.first?.words ?? ""
            rows.keys.append(key)
            rows.values[key] = Array(row.dropFirst())
        }
        return rows
    }

    private func changes(_ compared: Compared, _ old: Rows, _ new: Rows) -> [Change] {
        let gone = old.keys.filter { new.values[$0] == nil }
        return (gone + new.keys).compactMap { key in
            let (before, after) = (old.values[key], new.values[key])
            let kind: Change.Kind = before == nil ? .added : after == nil ? .removed : .changed
            let columns = new.columns.indices.compactMap { place -> Column? in
                let column = Column(
                    name: new.columns[place], before: before?[place] ?? .null, after: after?[place] ?? .null)
                return column.before == column.after || compared.ignored.contains(column.name) ? nil : column
            }
            return columns.isEmpty ? nil : Change(kind: kind, view: compared.view, key: key, columns: columns)
        }
    }
}
