import Domain
import Foundation
import Wire

/// What the state of today answers in memory, as of a sequence: out of the views' versioned rows.
struct PastReading: Sendable {
    let reading: ViewReading
    let sequence: LogSequence

    init(views: any GlobalReads, sequence: LogSequence) {
        reading = ViewReading(views: views, sequence: sequence)
        self.sequence = sequence
    }

    /// Newest first.
    func builds(app: AppName?, before: UInt64?, limit: Int) async throws(Problem) -> BuildList {
        var (conditions, arguments) = (["1"], [WireValue]())
        if let app {
            arguments.append(.text(app.rawValue))
            conditions.append("b.app = ?\(arguments.count)")
        }
        if let before {
            arguments.append(.integer(Int64(clamping: before)))
            conditions.append("b.id < ?\(arguments.count)")
        }
        let rows = try await reading.rows(
            """
            SELECT b.id, b.app, b.commit_sha, b.attempt, b.manifest, b.raw_bytes, b.packed_bytes, b.built_at,
              s.replication_status, s.stored, s.missing, b.pinned_by, b.pin_reason, b.retired_at, b.retirement_cause,
              b.remove_after, p.time AS pinned_at
            FROM builds b LEFT JOIN current_pins p ON p.build = b.id JOIN build_replication_status s ON s.build = b.id
            WHERE \(conditions.joined(separator: " AND ")) ORDER BY b.id DESC LIMIT \(limit + 1)
            """, arguments, limit + 1
        ).rows
        var builds: [BuildBody] = []
        for row in rows.prefix(limit) { builds.append(try build(ViewRow(row))) }
        return BuildList(builds: builds, next: rows.count > limit ? builds.last?.id : nil, sequence: sequence)
    }

    private func build(_ row: ViewRow) throws(Problem) -> BuildBody {
        guard let id = row.id("id", as: BuildID.self), let app = row.text("app").flatMap({ AppName(rawValue: $0) }),
            let commit = row.text("commit_sha").flatMap({ CommitID(rawValue: $0) }),
            let attempt = row.id("attempt", as: AttemptNumber.self),
            let manifest = row.text("manifest").flatMap({ Digest(hex: $0) }), let raw = row.number("raw_bytes"),
            let packed = row.number("packed_bytes"), let built = row.time("built_at"),
            let replication = row.text("replication_status").flatMap({ ReplicationStatus(rawValue: $0) })
        else { throw Self.unreadable("builds") }
        return BuildBody(
            id: id, app: app, commit: commit, attempt: attempt, manifest: manifest, rawBytes: raw, packedBytes: packed,
            succeededAt: built, replication: replication, stored: row.names("stored"), missing: row.names("missing"),
            pinned: Self.pin(row), retired: Self.retirement(row), sequence: sequence)
    }

    private static func pin(_ row: ViewRow) -> PinBody? {
        guard let actor = row.text("pinned_by"), let at = row.integer("pinned_at") else { return nil }
        return PinBody(
            actor: actor, reason: row.text("pin_reason") ?? "", at: WireTime(Timestamp(milliseconds: at)))
    }

    private static func retirement(_ row: ViewRow) -> RetirementBody? {
        guard let at = row.time("retired_at"), let end = row.time("remove_after"),
            let cause = row.text("retirement_cause").flatMap({ RetirementCause(rawValue: $0) })
        else { return nil }
        return RetirementBody(at: at, cause: cause, removeAfter: end)
    }

    func regions() async throws(Problem) -> RegionList {
        let records = try await records()
        return RegionList(
            regions: records.sorted { $0.key < $1.key }.map { RegionBody(name: $0.key, $0.value) }, sequence: sequence)
    }

    func workers() async throws(Problem) -> WorkerList {
        let rows = try await all(
            """
            SELECT c.name, c.region, c.waiting_since, c.draining, w.job
            FROM current_workers c JOIN workers w ON w.name = c.name ORDER BY c.name
            """)
        var workers: [WorkerBody] = []
        for row in rows {
            guard let name = row.text("name").flatMap({ WorkerName(rawValue: $0) }),
                let region = row.text("region").flatMap({ RegionName(rawValue: $0) })
            else { throw Self.unreadable("workers") }
            let job = row.id("job", as: JobID.self)
            let record = WorkerRecord(
                region: region, waitingSince: row.integer("waiting_since").map { Timestamp(milliseconds: $0) },
                isDraining: row.integer("draining") == 1, job: job)
            workers.append(WorkerBody(name: name, record, job: job))
        }
        return WorkerList(workers: workers, sequence: sequence)
    }

    func targets() async throws(Problem) -> TargetList {
        let fleet = try await fleet()
        let rows = try await all(
            """
            SELECT t.*, a.name AS actor_name FROM current_targets t JOIN actors a ON a.id = t.actor
            ORDER BY t.app, t.scope
            """)
        var targets: [TargetBody] = []
        for row in rows {
            let target = try target(row)
            let regions = fleet.progress(target.app, target.scope, wanted: target.revision)
            targets.append(TargetBody(target, regions: regions, sequence: sequence))
        }
        return TargetList(targets: targets, sequence: sequence)
    }

    /// One page of everything. The chain's hash is known at the ends of batches only.
    func status(log: LogIdentity, position: LogPosition?, version: String) async throws(Problem) -> StatusBody {
        let (counts, fleet) = (try await reading.counts(), try await fleet())
        let epochs = try await all("SELECT epoch FROM event_rows WHERE sequence = as_of()")
        let jobs = StatusBody.Jobs(
            queued: counts[.queued] ?? 0, running: counts[.running] ?? 0, succeeded: counts[.succeeded] ?? 0,
            failed: counts[.failed] ?? 0)
        var status = StatusBody(
            log: log, epoch: epochs.first?.id("epoch") ?? .first, sequence: sequence, chain: position?.chain,
            version: version, jobs: jobs, builds: jobs.succeeded, regions: try await regions().regions,
            workers: try await workers().workers, targets: try await targets().targets,
            deployments: try await openDeployments(fleet))
        status.claimsStopped = try await claimsStopped(fleet)
        return status
    }

    private func claimsStopped(_ fleet: PastFleet) async throws(Problem) -> ClaimsStoppedBody? {
        let row = try await all("SELECT claims_stopped_by FROM current_retention").first
        guard let region = row?.text("claims_stopped_by").flatMap({ RegionName(rawValue: $0) }) else { return nil }
        let isOfPacks = fleet.regions[region]?.store.map { $0.isFilled(by: $0.usedBytes) } ?? true
        return ClaimsStoppedBody(
            region: region, detail: RegionRecord.storeFull(region, isOfPacks: isOfPacks).message)
    }

    /// Newest first.
    private func openDeployments(_ fleet: PastFleet) async throws(Problem) -> [DeploymentBody] {
        let rows = try await all(
            """
            SELECT epoch, number, revision_epoch, revision_number FROM current_deployments
            WHERE status IN ('waiting', 'running')
            """)
        var wanted: [Revision: Revision] = [:]
        for row in rows {
            if let id = row.revision("epoch", "number") {
                wanted[id] = row.revision("revision_epoch", "revision_number")
            }
        }
        let list = try await reading.deployments(app: nil, isOpen: true, limit: ViewReading.maximumRows)
        return list.deployments.map { deployment in
            var deployment = deployment
            deployment.regions = fleet.progress(
                deployment.app, deployment.scope, wanted: wanted[deployment.id] ?? deployment.id)
            return deployment
        }
    }

    private func target(_ row: ViewRow) throws(Problem) -> Target {
        guard let app = row.text("app").flatMap({ AppName(rawValue: $0) }),
            let scope = row.text("scope").flatMap({ TargetScope($0) }), let revision = row.revision("epoch", "number"),
            let deployment = row.revision("deployment_epoch", "deployment_number"),
            let current = row.build("build", "manifest"), let selector = row.text("selector"),
            let labels = try? JSONDecoder().decode([String: String].self, from: Data(selector.utf8)),
            let share = row.number("admitted_share"), let actor = row.text("actor_name").flatMap({ EventActor($0) }),
            let issued = row.integer("issued"), let expires = row.integer("expires")
        else { throw Self.unreadable("targets") }
        return Target(
            app: app, scope: scope, revision: revision, deployment: deployment, current: current,
            base: row.build("base_build", "base_manifest"), previous: row.build("previous_build", "previous_manifest"),
            selector: PeerSelector(labels: labels), admittedShare: UInt32(clamping: share), actor: actor,
            reason: row.text("reason") ?? "", issued: Timestamp(milliseconds: issued),
            expires: Timestamp(milliseconds: expires))
    }

    private func fleet() async throws(Problem) -> PastFleet {
        // 6 is `settings-changed`; its rows have an index.
        let settings = try await all(
            """
            SELECT event_data(type, revision, payload) AS data FROM event_rows
            WHERE type = 6
            ORDER BY sequence DESC LIMIT 1
            """)
        var share = Settings().convergedShare
        if let row = settings.first {
            guard let text = row.text("data"),
                let data = try? JSONDecoder().decode(SettingsData.self, from: Data(text.utf8))
            else { throw Self.unreadable("events") }
            share = data.settings.convergedShare ?? 0
        }
        return PastFleet(regions: try await records(), convergedShare: share)
    }

    private func records() async throws(Problem) -> [RegionName: RegionRecord] {
        var records: [RegionName: RegionRecord] = [:]
        for row in try await all("SELECT name, status, endpoint FROM current_regions") {
            guard let name = row.text("name").flatMap({ RegionName(rawValue: $0) }),
                let status = row.text("status").flatMap({ RegionStatus(rawValue: $0) })
            else { throw Self.unreadable("regions") }
            records[name] = RegionRecord(status: status, endpoint: row.text("endpoint") ?? "", levels: [:])
        }
        for row in try await all("SELECT * FROM current_region_levels") {
            guard let region = row.text("region").flatMap({ RegionName(rawValue: $0) }),
                let app = row.text("app").flatMap({ AppName(rawValue: $0) }),
                let revision = row.revision("epoch", "number")
            else { throw Self.unreadable("region_levels") }
            func count(_ column: String) -> UInt32 { UInt32(clamping: row.number(column) ?? 0) }
            records[region]?.levels[app] = RegionLevel(
                app: app, revision: revision, selected: count("selected"), healthy: count("healthy"),
                failed: count("failed"), silent: count("silent"), detail: row.text("detail") ?? "")
        }
        for row in try await all("SELECT * FROM current_region_stores") {
            guard let region = row.text("region").flatMap({ RegionName(rawValue: $0) }),
                let used = row.number("used_bytes"), let free = row.number("free_bytes"),
                let size = row.number("size_bytes")
            else { throw Self.unreadable("region_stores") }
            records[region]?.store = StoreLevel(usedBytes: used, freeBytes: free, sizeBytes: size)
        }
        return records
    }

    private func all(_ sql: String) async throws(Problem) -> [ViewRow] {
        let rows = try await reading.rows(sql, [], ViewReading.maximumRows + 1).rows
        guard rows.count <= ViewReading.maximumRows else {
            throw Problem(.tooLarge, "there are more than \(ViewReading.maximumRows) rows: ask /v1/query for parts")
        }
        return rows.map(ViewRow.init)
    }

    private static func unreadable(_ view: String) -> Problem {
        Problem(.internalFailure, "a row of the view `\(view)` cannot be read: rebuild the views")
    }
}

/// The regions of then, and what they had to report for a deployment to have converged there.
private struct PastFleet {
    var regions: [RegionName: RegionRecord]
    var convergedShare: UInt32

    func progress(_ app: AppName, _ scope: TargetScope, wanted: Revision) -> [RegionProgress] {
        regions.filter { scope.includes($0.key) && $0.value.status != .removed }.sorted { $0.key < $1.key }
            .map { name, record in
                RegionProgress(
                    region: name, status: record.status, level: record.levels[app], wanted: wanted,
                    convergedShare: convergedShare)
            }
    }
}

/// What is read of `settings-changed`.
private struct SettingsData: Decodable {
    struct Numbers: Decodable {
        var convergedShare: UInt32?

        enum CodingKeys: String, CodingKey { case convergedShare = "converged_share" }
    }

    var settings: Numbers
}

extension ViewRow {
    fileprivate func revision(_ epoch: String, _ number: String) -> Revision? {
        guard let epoch = id(epoch, as: Epoch.self), let number = self.number(number) else { return nil }
        return Revision(epoch: epoch, number: number)
    }

    fileprivate func build(_ build: String, _ manifest: String) -> ProvedBuild? {
        guard let build = id(build, as: BuildID.self), let manifest = text(manifest).flatMap({ Digest(hex: $0) }) else {
            return nil
        }
        return ProvedBuild(build: build, manifest: manifest)
    }

    /// By comma.
    fileprivate func names(_ column: String) -> [RegionName] {
        (text(column) ?? "").split(separator: ",").compactMap { RegionName(rawValue: String($0)) }
    }
}
