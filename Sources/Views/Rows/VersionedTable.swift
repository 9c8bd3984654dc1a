/// Writes the SQL that changes rows of a versioned table: a copy of the current row with other values, then the end of
/// the row it was copied from. In all of it `?1` is the sequence, and the key's values follow from `?2` on.
struct VersionedTable {
    let name: String
    let keys: [String]
    let values: [String]

    init(_ name: String, keys: [String], values: [String]) {
        (self.name, self.keys, self.values) = (name, keys, values)
    }

    /// `a = ?2 AND b = ?3`
    var keyCondition: String {
        keys.enumerated().map { "\($1) = ?\($0 + 2)" }.joined(separator: " AND ")
    }

    /// A new current row, all values given: `?` numbers go on behind the key's. Nothing where `condition` does not hold.
    func insert(_ expressions: [String: String] = [:], where condition: String? = nil) -> String {
        var place = keys.count + 1
        let given = values.map { value in
            if let expression = expressions[value] { return expression }
            place += 1
            return "?\(place)"
        }
        let places = keys.indices.map { "?\($0 + 2)" }
        let all = (places + ["?1", "NULL"] + given).joined(separator: ", ")
        return "INSERT OR IGNORE INTO \(name) (\(columns)) SELECT \(all)" + (condition.map { " WHERE \($0)" } ?? "")
    }

    /// A copy of the current row with some values changed. Nothing where there is none or the guard does not hold;
    /// then nothing must be closed either.
    func change(_ changes: [String: String], where condition: String? = nil) -> String {
        let given = keys + ["?1", "NULL"] + values.map { changes[$0] ?? $0 }
        return "INSERT OR IGNORE INTO \(name) (\(columns)) SELECT \(given.joined(separator: ", ")) FROM \(name) "
            + "WHERE \(keyCondition) AND to_sequence IS NULL" + (condition.map { " AND \($0)" } ?? "")
    }

    /// Ends the row that was current before this sequence.
    var close: String {
        "UPDATE \(name) SET to_sequence = ?1 WHERE \(keyCondition) AND to_sequence IS NULL AND from_sequence < ?1"
    }

    private var columns: String { (keys + ["from_sequence", "to_sequence"] + values).joined(separator: ", ") }
}
