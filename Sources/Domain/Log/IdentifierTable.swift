/// Rows by ids that are small numbers and grow: found without hashing, and always in the order of their ids.
///
/// Rows lie in pages of consecutive ids. A row is changed where it lies; a copy of a table that changes shares all pages
/// but those it changes.
package struct IdentifierTable<Key: NumericIdentifier, Row: Sendable>: Sendable {
    private struct Page: Sendable {
        var rows: [Row?]
        /// Rows that are there: one at least.
        var count: Int

        @inline(__always) func look<Value>(_ index: Int, _ body: (Row?) -> Value) -> Value {
            let rows = rows.span
            return body(rows[index])
        }
    }

    private static var shift: UInt64 { 5 }
    private static var pageRows: Int { 1 << 5 }

    /// Each page's number, an id divided by the rows of a page; ascending.
    private var numbers: [UInt64] = []
    private var pages: [Page] = []
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    package subscript(key: Key) -> Row? {
        get { look(key) { $0 } }
        set { change(key) { $0 = newValue } }
    }

    /// Looks at a row where it lies: nothing of it is copied but what is returned.
    @inline(__always) package func look<Value>(_ key: Key, _ body: (Row?) -> Value) -> Value {
        guard let page = place(of: key.rawValue >> Self.shift) else { return body(nil) }
        let pages = pages.span
        return pages[page].look(Self.index(key), body)
    }

    /// Changes a row where it lies. What an accessor lends by a call of its own is kept in memory that is allocated for
    /// it: much of what a replay would cost.
    @inline(__always) @discardableResult
    package mutating func change<Value>(_ key: Key, _ body: (inout Row?) -> Value) -> Value {
        let number = key.rawValue >> Self.shift
        guard let page = place(of: number) else {
            var row: Row?
            let value = body(&row)
            if let row { insert(row, key, number) }
            return value
        }
        let index = Self.index(key)
        let wasThere = pages[page].rows[index] != nil
        let value = body(&pages[page].rows[index])
        settle(page, wasThere, isThere: pages[page].rows[index] != nil)
        return value
    }

    private static func index(_ key: Key) -> Int { Int(truncatingIfNeeded: key.rawValue) & (pageRows - 1) }

    /// Where the page lies. Without gaps between the pages it is found at once.
    private func place(of number: UInt64) -> Int? {
        guard let first = numbers.first, number >= first else { return nil }
        let guess = number - first
        if guess < UInt64(numbers.count), numbers[Int(guess)] == number { return Int(guess) }
        let place = firstPlace(notBelow: number)
        return place < numbers.count && numbers[place] == number ? place : nil
    }

    private func firstPlace(notBelow number: UInt64) -> Int {
        var (low, high) = (0, numbers.count)
        while low < high {
            let middle = (low + high) / 2
            if numbers[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func insert(_ row: Row, _ key: Key, _ number: UInt64) {
        let place = numbers.last.map { $0 < number } ?? true ? numbers.count : firstPlace(notBelow: number)
        var page = Page(rows: Array(repeating: nil, count: Self.pageRows), count: 1)
        page.rows[Self.index(key)] = row
        numbers.insert(number, at: place)
        pages.insert(page, at: place)
        count += 1
    }

    private mutating func settle(_ page: Int, _ wasThere: Bool, isThere: Bool) {
        guard wasThere != isThere else { return }
        let change = isThere ? 1 : -1
        count += change
        pages[page].count += change
        guard pages[page].count == 0 else { return }
        numbers.remove(at: page)
        pages.remove(at: page)
    }
}

extension IdentifierTable: Sequence {
    package struct Iterator: IteratorProtocol {
        fileprivate let table: IdentifierTable
        private var page = 0
        private var index = 0

        fileprivate init(_ table: IdentifierTable) { self.table = table }

        package mutating func next() -> (key: Key, value: Row)? {
            while page < table.pages.count {
                while index < IdentifierTable.pageRows {
                    defer { index += 1 }
                    guard let row = table.pages[page].rows[index] else { continue }
                    return (Key(rawValue: table.numbers[page] << IdentifierTable.shift | UInt64(index)), row)
                }
                (page, index) = (page + 1, 0)
            }
            return nil
        }
    }

    package var underestimatedCount: Int { count }

    package func makeIterator() -> Iterator { Iterator(self) }

    /// Ascending.
    package var keys: [Key] { map(\.key) }
    /// In the order of their ids.
    package var values: [Row] { map(\.value) }

    package func filter(_ isWanted: ((key: Key, value: Row)) throws -> Bool) rethrows -> IdentifierTable {
        var table = IdentifierTable()
        for entry in self where try isWanted(entry) { table[entry.key] = entry.value }
        return table
    }
}

extension IdentifierTable: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (Key, Row)...) {
        for (key, row) in elements { self[key] = row }
    }
}

extension IdentifierTable: Equatable where Row: Equatable {
    package static func == (left: IdentifierTable, right: IdentifierTable) -> Bool {
        left.count == right.count && left.elementsEqual(right) { $0.key == $1.key && $0.value == $1.value }
    }
}

extension IdentifierTable: Hashable where Row: Hashable {
    package func hash(into hasher: inout Hasher) {
        for (key, row) in self {
            hasher.combine(key)
            hasher.combine(row)
        }
    }
}

/// As a dictionary is encoded.
extension IdentifierTable: Codable where Row: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: TextCodingKey.self)
        let keys = try container.allKeys.map { name in
            guard let key = Key(codingKey: name) else {
                throw DecodingError.dataCorruptedError(
                    forKey: name, in: container, debugDescription: "no number: \(name.stringValue)")
            }
            return key
        }
        // In their order no page has to make room for another.
        for key in keys.sorted() {
            self[key] = try container.decode(Row.self, forKey: TextCodingKey(text: key.description))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TextCodingKey.self)
        for (key, row) in self { try container.encode(row, forKey: TextCodingKey(text: key.description)) }
    }
}
