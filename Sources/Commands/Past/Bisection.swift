package import Domain
import Wire

/// Looks for the event that made a statement true.
package struct Bisection {
    let log: any AskedLog
    /// One SELECT of one truth value.
    let statement: String
    /// How often it was asked.
    package private(set) var statements = 0
    private static let changesAtOnce = 2000

    package init(log: any AskedLog, statement: String) { (self.log, self.statement) = (log, statement) }

    /// A change from false to true between the log's start and its end, by binary search: one of them, where there are
    /// several.
    ///
    /// - Throws: `CommandStop`, where the statement already holds at the start or does not hold at the end.
    package mutating func anyChange() async throws -> LogSequence {
        let head = try await log.head()
        guard try await !holds(at: .zero) else {
            throw CommandStop(
                .failed,
                "drover: it holds at the log's start already: turn it around, or look for a change with --first")
        }
        guard try await holds(at: head) else {
            throw CommandStop(
                .failed,
                "drover: it does not hold at the log's end, sequence \(head): if it held in between, --first finds where"
            )
        }
        var (low, high) = (UInt64(0), head.rawValue)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if try await holds(at: LogSequence(rawValue: middle)) { high = middle } else { low = middle }
        }
        return LogSequence(rawValue: high)
    }

    /// The first sequence from one on at which it holds; nil where it never does.
    package mutating func firstTruth(from start: LogSequence) async throws -> LogSequence? {
        if try await holds(at: start) { return start }
        return try await change(after: start, upTo: try await log.head()) { _ in }
    }

    /// The first change from false to true, by asking at every sequence at which rows changed.
    ///
    /// - Throws: `CommandStop` where there is none.
    package mutating func firstChange(progress: (LogSequence) -> Void = { _ in }) async throws -> LogSequence {
        let head = try await log.head()
        if let change = try await change(after: .zero, upTo: head, progress: progress) { return change }
        throw CommandStop(
            .failed,
            "drover: it never changes from false to true up to the log's end, sequence \(head) "
                + "(\(statements) statements asked)")
    }

    private mutating func change(
        after start: LogSequence, upTo head: LogSequence, progress: (LogSequence) -> Void
    ) async throws -> LogSequence? {
        let changes = try await changesStatement()
        var (last, held) = (start, try await holds(at: start))
        while case let page = try await log.all(changes(last, head)), !page.isEmpty {
            for number in page.compactMap({ $0["sequence"]?.number }) {
                last = LogSequence(rawValue: number)
                progress(last)
                let holdsNow = try await holds(at: last)
                if holdsNow, !held { return last }
                held = holdsNow
            }
        }
        return nil
    }

    private mutating func holds(at sequence: LogSequence) async throws -> Bool {
        statements += 1
        return try await log.holds(statement, at: sequence)
    }

    /// A statement, from two sequences, of the sequences behind the one and up to the other at which rows changed that
    /// ours may read. The events' own table changes at every sequence: it counts only where ours may name it.
    private func changesStatement() async throws -> (LogSequence, LogSequence) -> String {
        let columns = try await log.all(
            """
            SELECT m.name AS place, c.name AS part FROM sqlite_schema m JOIN pragma_table_info(m.name) c
            WHERE m.type = 'table' AND c.name IN ('sequence', 'from_sequence', 'to_sequence')
            """)
        let text = statement.lowercased()
        let readsEvents = text.contains("event") || text.contains("as_of")
        let pairs = columns.compactMap { row -> (String, String)? in
            guard let place = row["place"]?.text, let part = row["part"]?.text else { return nil }
            return place == "event_rows" && !readsEvents ? nil : (place, part)
        }
        return { after, upTo in
            let parts = pairs.map { place, part in
                "SELECT \(part) AS sequence FROM \(place) WHERE \(part) > \(after) AND \(part) <= \(upTo)"
            }
            return "SELECT sequence FROM (\(parts.joined(separator: " UNION "))) ORDER BY sequence "
                + "LIMIT \(Self.changesAtOnce)"
        }
    }
}

extension AskedLog {
    /// Whether one SELECT of one truth value holds at a sequence. NULL is false, as in a WHERE.
    func holds(_ statement: String, at sequence: LogSequence) async throws -> Bool {
        let answer = try await query(statement, at: sequence)
        guard answer.columns.count == 1, answer.rows.count == 1, let value = answer.rows.first?.first else {
            throw CommandStop(
                .refused,
                "drover: at sequence \(sequence) the statement gives \(answer.rows.count) rows of "
                    + "\(answer.columns.count) columns, not one truth value: write SELECT EXISTS (SELECT ...)")
        }
        switch value {
        case .null: return false
        case .integer(let number): return number != 0
        case .real(let number): return number != 0
        case .text(let text):
            throw CommandStop(
                .refused,
                "drover: at sequence \(sequence) the statement gives the text \"\(text.prefix(60))\", not a truth value: "
                    + "compare it with something")
        }
    }
}
