package import Domain
import Wire

/// What events changed in the state after them, row by row of the versioned tables, in words.
package struct StateChanges {
    package struct Change: Hashable, Sendable, Encodable {
        /// What `--show` calls the table.
        package var of: String
        /// As in `job 3`.
        package var subject: String
        /// Nil where it came or went.
        package var before: String?
        package var after: String?

        package var words: String {
            switch (before, after) {
            case (let before?, let after?): "\(subject): \(before) -> \(after)"
            case (nil, let after?): "\(subject): \(after)"
            case (let before?, nil): "\(subject): \(before) -> gone"
            case (nil, nil): subject
            }
        }
    }

    /// A versioned table: what a row is about and how that is, as SQL of two texts.
    private struct Told {
        var name: String
        var table: String
        var subject: String
        var state: String
    }

    private static let targets = Told(
        name: "targets", table: "target_versions", subject: "'target of ' || app || ' (' || scope || ')'",
        state: "'build ' || build || ' at revision ' || epoch || '.' || number")
    private static let regions = Told(
        name: "regions", table: "region_versions", subject: "'region ' || name", state: "status")

    private static let global = [
        Told(
            name: "jobs", table: "job_versions", subject: "'job ' || job",
            state: """
                CASE status
                  WHEN 'running' THEN 'running (attempt ' || attempt || ' on ' || worker
                    || iif(manifest IS NULL, '', ', uploaded') || ')'
                  WHEN 'failed' THEN 'failed (' || failure_reason || ')'
                  ELSE status
                END || iif(cancel_requested_at IS NULL OR status = 'failed', '', ', to be cancelled')
                """),
        Told(
            name: "packs", table: "pack_region_versions", subject: "'build ' || build || ' in region ' || region",
            state: "status"),
        Told(
            name: "deployments", table: "deployment_versions", subject: "'deployment ' || epoch || '.' || number",
            state: "status"),
        targets, regions,
        Told(
            name: "levels", table: "region_level_versions", subject: "app || ' in region ' || region",
            state: """
                healthy || ' of ' || selected || ' healthy' || iif(failed, ', ' || failed || ' failed', '')
                || iif(silent, ', ' || silent || ' silent', '') || ' at revision ' || epoch || '.' || number
                """),
        Told(
            name: "pins", table: "pin_versions", subject: "'build ' || build", state: "'pinned'"),
        Told(
            name: "retirements", table: "retirement_versions", subject: "'build ' || build",
            state: "'retired (' || cause || ')'"),
        Told(
            name: "retention", table: "retention_versions", subject: "'claims'",
            state: "coalesce('stopped by the full store of region ' || claims_stopped_by, 'given to workers')"),
        Told(
            name: "workers", table: "worker_versions", subject: "'worker ' || name",
            state: """
                CASE WHEN draining THEN 'draining' WHEN waiting_since IS NOT NULL THEN 'waiting'
                WHEN job IS NOT NULL THEN 'on job ' || job ELSE 'idle' END
                """),
    ]

    private static let regional = [
        Told(
            name: "packs", table: "pack_versions", subject: "'pack ' || build",
            state: "status || iif(settled, '', ', its job goes on')"),
        targets, regions,
        Told(name: "peers", table: "peer_versions", subject: "'peer ' || name", state: "status"),
        Told(
            name: "apps", table: "peer_app_versions", subject: "app || ' on peer ' || peer",
            state: "coalesce('build ' || build || ' ', '') || health || ' at revision ' || epoch || '.' || number"),
    ]

    private let log: any AskedLog
    private let told: [Told]

    /// - Parameter shown: names of tables; nil for all.
    /// - Throws: `CommandStop`, naming those there are, where a log of its kind has no such table.
    package init(log: any AskedLog, shown: [String]? = nil) throws {
        let all = log.isRegional ? Self.regional : Self.global
        for name in shown ?? [] where !all.contains(where: { $0.name == name }) {
            let names = all.map(\.name).joined(separator: ", ")
            throw CommandStop(.refused, "drover: \(log.name) shows no \"\(name)\": it shows \(names)")
        }
        self.log = log
        told = all.filter { shown?.contains($0.name) ?? true }
    }

    /// Each event's changes behind the one sequence and up to the other.
    package func changes(
        after first: LogSequence, upTo last: LogSequence
    ) async throws -> [LogSequence: [Change]] {
        var changes: [LogSequence: [Change]] = [:]
        for told in told {
            for (sequence, change) in try await self.changes(of: told, after: first, upTo: last) {
                changes[sequence, default: []].append(change)
            }
        }
        return changes
    }

    private func changes(
        of told: Told, after first: LogSequence, upTo last: LogSequence
    ) async throws -> [(LogSequence, Change)] {
        func rows(_ column: String) async throws -> [(sequence: UInt64, subject: String, state: String)] {
            let rows = try await log.all(
                """
                SELECT \(column) AS sequence, \(told.subject) AS subject, \(told.state) AS state FROM \(told.table)
                WHERE \(column) > \(first) AND \(column) <= \(last) ORDER BY \(column), subject
                """)
            return rows.compactMap { row in
                guard let sequence = row["sequence"]?.number, let subject = row["subject"]?.text else { return nil }
                return (sequence, subject, row["state"]?.words ?? "")
            }
        }
        let (begun, ended) = (try await rows("from_sequence"), try await rows("to_sequence"))
        let before = Dictionary(ended.map { ("\($0.sequence) \($0.subject)", $0.state) }) { $1 }
        let kept = Set(begun.map { "\($0.sequence) \($0.subject)" })
        let gone = ended.filter { !kept.contains("\($0.sequence) \($0.subject)") }
        let changes =
            begun.map { row in
                (
                    row.sequence,
                    Change(
                        of: told.name, subject: row.subject, before: before["\(row.sequence) \(row.subject)"],
                        after: row.state)
                )
            } + gone.map { ($0.sequence, Change(of: told.name, subject: $0.subject, before: $0.state, after: nil)) }
        return changes.filter { $0.1.before != $0.1.after }.map { (LogSequence(rawValue: $0.0), $0.1) }
    }
}
