import Domain

/// The columns of a versioned table that are neither its key nor its sequences, in their order. A case's name in snake
/// case is the column's.
protocol RowColumn: RawRepresentable, CaseIterable where RawValue == Int {}

/// What a row is about: one value or two, integers or texts.
struct RowKey: Hashable {
    let first: SQLValue
    let second: SQLValue?

    init(_ first: SQLValue, _ second: SQLValue? = nil) { (self.first, self.second) = (first, second) }

    /// Dictionaries ask for this one: every event looks rows up, and the standard library's hash costs more than the rest.
    func _rawHashValue(seed: Int) -> Int {
        var hash = TableHash(seed: seed)
        first.feed(&hash)
        second?.feed(&hash)
        return Int(truncatingIfNeeded: hash.value)
    }
}

extension SQLValue {
    /// A key's part.
    fileprivate func feed(_ hash: inout TableHash) {
        switch self {
        case .integer(let number): hash.feed(UInt64(bitPattern: number))
        case .text(let text): hash.feed(text)
        case .null, .real, .blob: hash.feed(0)
        }
    }
}

/// One version's values; NULL where nothing is said.
struct RowValues<Column: RowColumn>: Hashable {
    fileprivate var values: [SQLValue]

    init() { values = Array(repeating: .null, count: Column.allCases.count) }

    /// Takes another one's values over, each to its place: nothing is allocated.
    fileprivate mutating func copy(_ other: RowValues) {
        for place in values.indices { values[place] = other.values[place] }
    }

    subscript(column: Column) -> SQLValue {
        get { values[column.rawValue] }
        set { values[column.rawValue] = newValue }
    }

    subscript(number column: Column) -> Int64? {
        if case .integer(let number) = self[column] { number } else { nil }
    }
}

/// A versioned table, written a version at a time. A row that is current is held back: most end before anybody can see
/// them, within a transaction or within a whole rebuild, and are written once, with their end.
///
/// Of one connection, and used as that is. What is held back is in the file after `flush`; `forget` drops it instead.
final class VersionedRows<Column: RowColumn> {
    /// Changed where it lies.
    private final class Current {
        var row: RowValues<Column>
        var since: UInt64
        /// Whether the file has it, without an end.
        var isStored: Bool

        init(_ row: RowValues<Column>, since: UInt64, isStored: Bool) {
            (self.row, self.since, self.isStored) = (row, since, isStored)
        }
    }

    private let table: String
    private let insertion, ending, search: PreparedStatement
    private var rows: [RowKey: Current] = [:]
    /// What a change makes of a row, until it is taken.
    private var draft = RowValues<Column>()
    /// Keys of rows that the file does not have; some of them may have gone since.
    private var unstored: [RowKey] = []
    /// Whether what is not in memory is not in the file either.
    private var isWhole: Bool
    private let maximumRows: Int

    /// `isNew`: the file has no rows yet.
    init(
        _ table: String, keys: [String], on connection: SQLiteHandle, isNew: Bool, maximumRows: Int
    ) throws(ViewsFailure) {
        (self.table, isWhole, self.maximumRows) = (table, isNew, maximumRows)
        let columns = Column.allCases.map { snakeCase("\($0)") }
        let places = (1...(keys.count + 2 + columns.count)).map { "?\($0)" }
        insertion = try PreparedStatement(
            "INSERT INTO \(table) (\((keys + ["from_sequence", "to_sequence"] + columns).joined(separator: ", "))) "
                + "VALUES (\(places.joined(separator: ", ")))", on: connection)
        let condition = keys.enumerated().map { "\($1) = ?\($0 + 1)" }.joined(separator: " AND ")
        ending = try PreparedStatement(
            "UPDATE \(table) SET to_sequence = ?\(keys.count + 2) "
                + "WHERE \(condition) AND from_sequence = ?\(keys.count + 1) AND to_sequence IS NULL", on: connection)
        // By the newest version, not by its open end: a key may have as many as there are events.
        search = try PreparedStatement(
            "SELECT \((["to_sequence", "from_sequence"] + columns).joined(separator: ", ")) FROM \(table) "
                + "WHERE \(condition) ORDER BY from_sequence DESC LIMIT 1", on: connection)
    }

    /// The row that is current now.
    func current(_ key: RowKey) throws(ViewsFailure) -> RowValues<Column>? { try known(key)?.row }

    /// Ends the current row and begins one with other values. Nothing where there is none, where it began with the same
    /// event, or where the body says no.
    @discardableResult
    func change(
        _ key: RowKey, at sequence: UInt64, _ body: (inout RowValues<Column>) -> Bool
    ) throws(ViewsFailure) -> Bool {
        guard let current = try known(key), current.since < sequence else { return false }
        draft.copy(current.row)
        guard body(&draft) else { return false }
        try end(current, key, at: sequence)
        swap(&current.row, &draft)
        begin(current, key, at: sequence)
        return true
    }

    /// Begins a row, and ends the one that was current. Nothing where that one began with the same event.
    func put(_ row: RowValues<Column>, _ key: RowKey, at sequence: UInt64) throws(ViewsFailure) {
        guard let current = try known(key) else { return begin(row, key, at: sequence) }
        guard current.since < sequence else { return }
        try end(current, key, at: sequence)
        current.row = row
        begin(current, key, at: sequence)
    }

    /// Begins the first row of a key that cannot have had one.
    func begin(_ row: RowValues<Column>, _ key: RowKey, at sequence: UInt64) {
        let current = Current(row, since: sequence, isStored: false)
        if rows.updateValue(current, forKey: key)?.isStored != false { unstored.append(key) }
    }

    private func begin(_ current: Current, _ key: RowKey, at sequence: UInt64) {
        current.since = sequence
        guard current.isStored else { return }
        current.isStored = false
        unstored.append(key)
    }

    /// Ends the current row, and nothing follows.
    func end(_ key: RowKey, at sequence: UInt64) throws(ViewsFailure) {
        guard let old = try known(key) else { return }
        try end(old, key, at: sequence)
        rows[key] = nil
    }

    /// The current row is the last of its key: nothing will ask for it soon.
    func settle(_ key: RowKey) throws(ViewsFailure) {
        guard let current = rows.removeValue(forKey: key) else { return }
        if !current.isStored { try insert(current, key, to: nil) }
        isWhole = false
        guard unstored.count > 2 * rows.count + 1024 else { return }
        unstored.removeAll { rows[$0]?.isStored != false }
    }

    /// Writes what is held back.
    func flush() throws(ViewsFailure) {
        for key in unstored {
            guard let current = rows[key], !current.isStored else { continue }
            try insert(current, key, to: nil)
            current.isStored = true
        }
        unstored.removeAll(keepingCapacity: true)
        if rows.count > maximumRows { forget() }
    }

    /// `flush`, if more is held than should be.
    func makeRoom() throws(ViewsFailure) {
        if rows.count > maximumRows { try flush() }
    }

    /// Drops what is held back and what is known of the file.
    func forget() {
        (rows, unstored, isWhole) = ([:], [], false)
    }

    private func known(_ key: RowKey) throws(ViewsFailure) -> Current? {
        if let current = rows[key] { return current }
        if isWhole { return nil }
        search.add(key)
        defer { search.finish() }
        guard try search.step(), search.value(0) == .null, case .integer(let since) = search.value(1) else {
            return nil
        }
        var row = RowValues<Column>()
        for place in row.values.indices { row.values[place] = search.value(place + 2) }
        let current = Current(row, since: UInt64(clamping: since), isStored: true)
        rows[key] = current
        return current
    }

    private func end(_ old: Current, _ key: RowKey, at sequence: UInt64) throws(ViewsFailure) {
        guard old.isStored else { return try insert(old, key, to: sequence) }
        guard try ending.add(key).add(old.since).add(sequence).run() == 1 else {
            throw ViewsFailure(.damaged, "a current row of \(table) is not in the views' file: rebuild it from the log")
        }
    }

    private func insert(_ current: Current, _ key: RowKey, to end: UInt64?) throws(ViewsFailure) {
        insertion.add(key).add(current.since).add(end)
        for value in current.row.values { insertion.add(value) }
        try insertion.run()
    }
}

extension PreparedStatement {
    @discardableResult
    fileprivate func add(_ key: RowKey) -> PreparedStatement {
        add(key.first)
        if let second = key.second { add(second) }
        return self
    }
}

/// `failureReason` as `failure_reason`.
private func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) }
}

extension SQLValue {
    static let zero = SQLValue.integer(0 as Int64)
    static let one = SQLValue.integer(1 as Int64)

    static func integer(_ value: UInt64) -> SQLValue { .integer(Int64(clamping: value)) }

    static func digest(_ value: Digest) -> SQLValue { .blob(value.bytes) }
}
