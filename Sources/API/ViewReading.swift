import Domain
import Wire

/// Which jobs a list shows.
struct JobFilter: Sendable {
    var app: AppName?
    var status: JobStatus?
    /// Only ids below it.
    var before: JobID?
    var limit: Int
}

/// Jobs and deployments, ended ones too, from the SQL views: now, or as of a sequence.
struct ViewReading: Sendable {
    let views: any GlobalReads
    /// Nil for the present.
    var sequence: LogSequence?
    /// More rows are a problem where nothing limits them.
    static let maximumRows = 20_000

    private static let jobColumns = """
        SELECT j.id, j.app, j.repository, j.commit_sha, j.recipe, j.priority, j.status, j.failure_reason,
          j.failure_detail, j.attempt, j.worker, j.stage, j.cancel_requested_at, j.created_at, j.claimed_at, j.ended_at,
          j.last_heartbeat,
          max(v.from_sequence, coalesce((SELECT min(h.sequence) FROM heartbeats h
            WHERE h.job = j.id AND h.attempt = j.attempt AND h.stage = j.stage), 0)) AS changed
        FROM jobs j JOIN current_jobs v ON v.job = j.id
        """

    private static let deploymentColumns = """
        SELECT d.epoch, d.number, d.app, d.scope, d.build, v.status, a.name AS actor, d.reason, d.time AS started_at,
          d.deadline, v.ended_at, v.detail,
          max(v.from_sequence,
            coalesce((SELECT max(c.sequence) FROM deployment_region_rows c
              WHERE c.epoch = d.epoch AND c.number = d.number), 0),
            coalesce((SELECT max(l.from_sequence) FROM current_region_levels l
              WHERE l.app = d.app AND v.status IN ('waiting', 'running')), 0)) AS changed
        FROM deployment_rows d
        JOIN current_deployments v ON v.epoch = d.epoch AND v.number = d.number
        JOIN actors a ON a.id = d.actor
        """

    func job(_ id: JobID) async throws(Problem) -> JobBody? {
        let answer = try await rows("\(Self.jobColumns) WHERE j.id = ?1", [.integer(Int64(clamping: id.rawValue))], 1)
        return try answer.rows.first.map { row throws(Problem) in try job(row, answer.sequence) }
    }

    /// Newest first.
    func jobs(_ filter: JobFilter) async throws(Problem) -> JobList {
        var conditions: [String] = []
        var arguments: [WireValue] = []
        func add(_ condition: String, _ value: WireValue) {
            arguments.append(value)
            conditions.append("\(condition) ?\(arguments.count)")
        }
        if let app = filter.app { add("j.app =", .text(app.rawValue)) }
        if let status = filter.status { add("j.status =", .text(status.rawValue)) }
        if let before = filter.before { add("j.id <", .integer(Int64(clamping: before.rawValue))) }
        let condition = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
        let answer = try await rows(
            "\(Self.jobColumns)\(condition) ORDER BY j.id DESC LIMIT \(filter.limit + 1)", arguments, filter.limit + 1)
        var jobs: [JobBody] = []
        for row in answer.rows.prefix(filter.limit) { jobs.append(try job(row, answer.sequence)) }
        let next = answer.rows.count > filter.limit ? jobs.last?.id : nil
        return JobList(jobs: jobs, next: next, sequence: answer.sequence)
    }

    /// Who made one attempt.
    func worker(_ job: JobID, _ attempt: AttemptNumber) async throws(Problem) -> WorkerName? {
        let answer = try await rows(
            "SELECT worker FROM job_versions WHERE job = ?1 AND attempt = ?2 AND worker IS NOT NULL LIMIT 1",
            [.integer(Int64(clamping: job.rawValue)), .integer(Int64(clamping: attempt.rawValue))], 1)
        return answer.rows.first.flatMap { ViewRow($0).text("worker").flatMap { WorkerName(rawValue: $0) } }
    }

    /// How many jobs have each status.
    func counts() async throws(Problem) -> [JobStatus: Int] {
        let answer = try await rows(
            "SELECT status, count(*) AS jobs FROM current_jobs GROUP BY status", [], JobStatus.allCases.count)
        var counts: [JobStatus: Int] = [:]
        for row in answer.rows.map(ViewRow.init) {
            if let status = row.text("status").flatMap({ JobStatus(rawValue: $0) }) {
                counts[status] = row.number("jobs").map { Int(clamping: $0) }
            }
        }
        return counts
    }

    func deployment(_ id: Revision) async throws(Problem) -> DeploymentBody? {
        let answer = try await rows(
            "\(Self.deploymentColumns) WHERE d.epoch = ?1 AND d.number = ?2",
            [.integer(Int64(clamping: id.epoch.rawValue)), .integer(Int64(clamping: id.number))], 1)
        return try answer.rows.first.map { row throws(Problem) in try deployment(row, answer.sequence) }
    }

    /// Newest first.
    func deployments(app: AppName?, isOpen: Bool, limit: Int) async throws(Problem) -> DeploymentList {
        var conditions: [String] = []
        if app != nil { conditions.append("d.app = ?1") }
        if isOpen { conditions.append("v.status IN ('waiting', 'running')") }
        let condition = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
        let answer = try await rows(
            "\(Self.deploymentColumns)\(condition) ORDER BY d.epoch DESC, d.number DESC LIMIT \(limit)",
            app.map { [.text($0.rawValue)] } ?? [], limit)
        var deployments: [DeploymentBody] = []
        for row in answer.rows { deployments.append(try deployment(row, answer.sequence)) }
        return DeploymentList(deployments: deployments, sequence: answer.sequence)
    }

    /// Each row with its columns' names.
    func rows(
        _ sql: String, _ arguments: [WireValue], _ maximum: Int
    ) async throws(Problem) -> (rows: [[String: WireValue]], sequence: LogSequence) {
        let answer = try await views.query(sql, arguments: arguments, at: sequence, maximumRows: maximum)
        let rows = answer.rows.map { row in
            Dictionary(zip(answer.columns, row), uniquingKeysWith: { first, _ in first })
        }
        return (rows, answer.sequence)
    }

    private func job(_ values: [String: WireValue], _ sequence: LogSequence) throws(Problem) -> JobBody {
        let row = ViewRow(values)
        guard let id = row.id("id", as: JobID.self), let app = row.text("app").flatMap({ AppName(rawValue: $0) }),
            let commit = row.text("commit_sha").flatMap({ CommitID(rawValue: $0) }),
            let status = row.text("status").flatMap({ JobStatus(rawValue: $0) }),
            let createdAt = row.time("created_at"), let changed = row.id("changed", as: LogSequence.self)
        else { throw Problem(.internalFailure, "a row of the view `jobs` cannot be read: rebuild the views") }
        let request = JobRequest(
            app: app, repository: row.text("repository") ?? "", commit: commit,
            recipePath: row.text("recipe") ?? "", priority: Int32(clamping: row.integer("priority") ?? 0))
        var job = JobBody(
            id: id, request: request, status: status, createdAt: createdAt, changed: changed, sequence: sequence)
        job.reason = row.text("failure_reason").flatMap { FailureReason(rawValue: $0) }
        job.detail = row.text("failure_detail")
        job.attempt = row.id("attempt")
        job.worker = row.text("worker").flatMap { WorkerName(rawValue: $0) }
        job.stage = row.text("stage").flatMap { AttemptStage(rawValue: $0) }
        job.isCancelRequested = row.text("cancel_requested_at") != nil
        job.startedAt = row.time("claimed_at")
        job.endedAt = row.time("ended_at")
        job.lastHeartbeat = row.time("last_heartbeat")
        return job
    }

    private func deployment(
        _ values: [String: WireValue], _ sequence: LogSequence
    ) throws(Problem) -> DeploymentBody {
        let row = ViewRow(values)
        guard let epoch = row.id("epoch", as: Epoch.self), let number = row.number("number"),
            let app = row.text("app").flatMap({ AppName(rawValue: $0) }),
            let scope = row.text("scope").flatMap({ TargetScope($0) }), let build = row.id("build", as: BuildID.self),
            let status = row.text("status").flatMap({ DeploymentStatus(rawValue: $0) }),
            let startedAt = row.integer("started_at"), let deadline = row.integer("deadline"),
            let changed = row.id("changed", as: LogSequence.self)
        else { throw Problem(.internalFailure, "a row of the deployments' views cannot be read: rebuild the views") }
        var deployment = DeploymentBody(
            id: Revision(epoch: epoch, number: number), app: app, scope: scope, build: build, status: status,
            actor: row.text("actor") ?? "", reason: row.text("reason") ?? "",
            startedAt: WireTime(Timestamp(milliseconds: startedAt)),
            deadline: WireTime(Timestamp(milliseconds: deadline)), changed: changed, sequence: sequence)
        deployment.endedAt = row.integer("ended_at").map { WireTime(Timestamp(milliseconds: $0)) }
        deployment.detail = row.text("detail").flatMap { $0.isEmpty ? nil : $0 }
        return deployment
    }
}

/// One row's values by column name.
struct ViewRow {
    let values: [String: WireValue]

    init(_ values: [String: WireValue]) { self.values = values }

    func text(_ column: String) -> String? {
        if case .text(let text) = values[column] { text } else { nil }
    }

    func integer(_ column: String) -> Int64? {
        if case .integer(let value) = values[column] { value } else { nil }
    }

    func number(_ column: String) -> UInt64? { integer(column).flatMap { UInt64(exactly: $0) } }

    func id<ID: NumericIdentifier>(_ column: String, as type: ID.Type = ID.self) -> ID? {
        number(column).map { ID(rawValue: $0) }
    }

    func time(_ column: String) -> WireTime? { text(column).flatMap(WireTime.init(text:)) }
}
