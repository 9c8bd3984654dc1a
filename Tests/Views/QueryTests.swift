import Domain
import Foundation
import Testing

@testable import Views

/// What people's SQL may do, and what it may cost.
@Suite(.serialized) struct QueryTests {
    private static func opened(_ scratch: Scratch) async throws -> GlobalSQL {
        let views = try scratch.views()
        try await views.catchUp(from: try GlobalHistory.random(seed: 5, steps: 300).log)
        return views
    }

    private static func failure(
        _ views: GlobalSQL, _ sql: String, at sequence: LogSequence? = nil, limits: QueryLimits = QueryLimits()
    ) async -> ViewsFailure? {
        do throws(ViewsFailure) {
            _ = try await views.query(sql, at: sequence, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    private static let refused = [
        "INSERT INTO actors (name) VALUES ('x')", "INSERT INTO jobs (id) VALUES (1)",
        "REPLACE INTO actors (id, name) VALUES (1, 'x')", "UPDATE job_versions SET status = 'succeeded'",
        "DELETE FROM event_rows", "WITH x AS (SELECT 1) DELETE FROM event_rows", "DROP TABLE event_rows",
        "DROP VIEW jobs", "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "CREATE TEMP VIEW t AS SELECT 1",
        "CREATE VIRTUAL TABLE t USING fts5 (a)", "CREATE INDEX i ON job_versions (worker)",
        "ALTER TABLE actors RENAME TO a",
        "CREATE TEMP TRIGGER t AFTER INSERT ON actors BEGIN SELECT 1; END",
        "ATTACH '/tmp/drover-attached.sqlite' AS other", "ATTACH ':memory:' AS other", "DETACH main",
        "PRAGMA writable_schema = 1", "PRAGMA query_only = 0", "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 7",
        "PRAGMA database_list", "PRAGMA main.wal_checkpoint", "PRAGMA trusted_schema = 1",
        "SELECT * FROM pragma_database_list", "PRAGMA temp_store_directory = '/tmp'",
        "VACUUM", "VACUUM INTO '/tmp/drover-vacuumed.sqlite'", "REINDEX", "ANALYZE", "BEGIN", "COMMIT", "ROLLBACK",
        "SAVEPOINT s", "RELEASE s", "SELECT load_extension('x')", "SELECT fts3_tokenizer('simple')",
        "EXPLAIN DELETE FROM event_rows",
        "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM event_rows", "SELECT 1; /* */ nonsense",
        "SELECT 1;; -- x\n ; DROP TABLE actors",
    ]

    @Test func whateverIsNotReadingIsRefused() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let before = try Data(contentsOf: URL(fileURLWithPath: views.path))
        for sql in Self.refused {
            for sequence in [nil, LogSequence(rawValue: 9)] {
                let failure = await Self.failure(views, sql, at: sequence)
                // Of the past everything is a view, which SQLite may say first.
                let isRefused = failure?.code == .refused || sequence != nil && failure?.code == .badSQL
                #expect(isRefused, "\(sql) gave \(failure.map(\.description) ?? "an answer")")
            }
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: views.path)) == before)
        for path in ["/tmp/drover-attached.sqlite", "/tmp/drover-vacuumed.sqlite"] {
            #expect(!FileManager.default.fileExists(atPath: path))
        }
        #expect(await Self.failure(views, "SELECT count(*) FROM jobs") == nil)
    }

    @Test(arguments: [
        "", "  ", "-- nothing", "SELEC 1", "SELECT", "SELECT * FROM nowhere", "SELECT colour FROM jobs", "SELECT 'open",
        "SELECT \"colour\" FROM jobs", "SELECT ?1", "SELECT abs('a', 'b')", "SELECT 1\u{0}; DROP TABLE actors",
        "SELECT json_extract('{', '$')", "SELECT zeroblob(-1) FROM jobs WHERE id = abs(-9223372036854775808)",
    ])
    func whatSQLiteDoesNotUnderstandIsBad(sql: String) async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let failure = await Self.failure(views, sql)
        #expect(failure?.code == .badSQL, "\(failure.map(\.description) ?? "an answer")")
    }

    @Test func aBadStatementNamesItsPlace() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let failure = await Self.failure(views, "SELECT id, colour FROM jobs")
        #expect(failure?.offset == 11)
        #expect(failure?.message == "no such column: colour (at byte 11)")
    }

    @Test(arguments: [
        "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
        "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT x FROM t WHERE x < 0",
        "SELECT count(*) FROM events a, events b, events c, events d",
    ])
    func aRunawayIsStopped(sql: String) async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        var limits = QueryLimits()
        limits.timeoutMilliseconds = 100
        #expect(await Self.failure(views, sql, limits: limits)?.code == .tooSlow)
        let past = await Self.failure(views, sql, at: LogSequence(rawValue: 99), limits: limits)
        #expect(past?.code == .tooSlow, "\(past.map(\.description) ?? "an answer")")
    }

    @Test(arguments: [
        "SELECT randomblob(1000000000)", "SELECT hex(zeroblob(900000000))",
        "SELECT replace(hex(zeroblob(1000000)), '0', 'aaaaaaaaaa')",
        """
        WITH RECURSIVE t(x, y) AS (SELECT 1, 'a' UNION ALL SELECT x + 1, y || y FROM t) SELECT max(length(y)) FROM t
        """,
        """
        WITH RECURSIVE t(x) AS (SELECT randomblob(1000000) UNION SELECT randomblob(1000000) FROM t) SELECT count(*) FROM t
        """,
    ])
    func whatIsTooLargeIsStopped(sql: String) async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        var limits = QueryLimits()
        limits.timeoutMilliseconds = 60_000
        limits.maximumMemoryBytes = 64 << 20
        let failure = await Self.failure(views, sql, limits: limits)
        #expect(failure?.code == .tooLarge, "\(failure.map(\.description) ?? "an answer")")
    }

    @Test func aCancelledQueryStops() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let task = Task {
            var limits = QueryLimits()
            limits.timeoutMilliseconds = 600_000
            return await Self.failure(
                views, "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
                limits: limits)
        }
        task.cancel()
        #expect(await task.value?.code == .cancelled)
    }

    @Test func rowsAndBytesAreCutOffAndSaidSo() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        var limits = QueryLimits()
        limits.maximumRows = 3
        let few = try await views.query("SELECT sequence FROM events ORDER BY sequence", limits: limits)
        #expect(few.lines == ["1", "2", "3"] && few.isTruncated)
        #expect(try await !views.query("SELECT sequence FROM events LIMIT 3", limits: limits).isTruncated)
        limits.maximumRows = 1000
        limits.maximumBytes = 100
        let narrow = try await views.query("SELECT 'ten bytes!' FROM events", limits: limits)
        #expect(narrow.rows.count == 10 && narrow.isTruncated)
    }

    @Test func valuesKeepTheirTypesAndArgumentsStayValues() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let values: [SQLValue] = [
            .null, .integer(.min), .real(0.5), .text("'; DROP TABLE jobs; --"), .text(""), .blob([0, 255]),
        ]
        let found = try await views.query("SELECT ?1, ?2, ?3, ?4 AS four, ?5, ?6", arguments: values)
        #expect(found.rows == [values])
        #expect(found.columns[3] == "four")
        await #expect { try await views.query("SELECT ?1, ?2", arguments: [.null]) } throws: {
            ($0 as? ViewsFailure)?.code == .badSQL
        }
    }

    @Test func theSchemaMayBeReadButNotThePresentAtASequence() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        defer { views.close() }
        let past = LogSequence(rawValue: 20)
        for sql in [
            "SELECT name FROM sqlite_schema", "PRAGMA table_info(jobs)", "SELECT name FROM pragma_table_info('jobs')",
            "PRAGMA table_list", "EXPLAIN QUERY PLAN SELECT * FROM jobs", "SELECT count(*) FROM jobs",
            "SELECT count(*) FROM event_rows", "SELECT count(*) FROM builds", "SELECT 1 FROM build_regions",
            "SELECT a.name FROM actors a", "SELECT value FROM json_each('[1]')",
            "WITH x AS (SELECT * FROM jobs) SELECT count(*) FROM x",
            "SELECT (SELECT count(*) FROM jobs), count(*) FROM targets JOIN builds",
        ] {
            #expect(await Self.failure(views, sql) == nil, "\(sql)")
            #expect(await Self.failure(views, sql, at: past) == nil, "\(sql)")
        }
        for sql in [
            "SELECT id FROM main.jobs", "SELECT max(sequence) FROM main.event_rows",
            "SELECT job FROM main.job_versions", "SELECT * FROM jobs JOIN main.job_versions v ON v.job = id",
        ] {
            #expect(await Self.failure(views, sql) == nil, "\(sql)")
            #expect(await Self.failure(views, sql, at: past)?.code == .refused, "\(sql)")
        }
    }

    @Test func aClosedViewAnswersSo() async throws {
        let scratch = try Scratch()
        let views = try await Self.opened(scratch)
        views.close()
        views.close()
        #expect(await Self.failure(views, "SELECT 1")?.code == .closed)
        #expect(throws: ViewsFailure.self) { try views.apply([]) }
    }
}
