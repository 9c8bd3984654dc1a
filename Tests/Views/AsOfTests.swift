import Codec
import Domain
import Testing

@testable import Views

/// The views at every sequence against the state folded to it.
struct AsOfTests {
    @Test(arguments: seeds(6))
    func everySequenceSaysWhatTheFoldSays(seed: UInt64) async throws {
        let history = try GlobalHistory.random(seed: seed, steps: 160)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        #expect(views.position == history.log.head())
        for (sequence, state) in history.states.enumerated() {
            let at = LogSequence(rawValue: UInt64(sequence))
            for (sql, expected) in Expected.all(state) {
                let found = try await views.query(sql, at: at)
                try #require(found.lines == expected, "seed \(seed), sequence \(sequence): \(sql)")
                #expect(found.sequence == at)
            }
        }
        for (sql, expected) in Expected.all(history.state) {
            let found = try await views.query(sql)
            #expect(found.lines == expected, "seed \(seed), now: \(sql)")
            #expect(found.sequence == history.log.head().sequence)
        }
        #expect(history.state.impossible == 0)
        #expect(try await views.difference(from: history.log) == nil)
    }

    @Test(arguments: seeds(3))
    func aTimeIsItsLastEventAtOrBefore(seed: UInt64) async throws {
        let history = try GlobalHistory.random(seed: seed, steps: 120)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        #expect(try await views.place(of: .zero) == TimePlace(sequence: nil, first: nil, last: nil))
        try await views.catchUp(from: history.log)
        let headers = history.log.all.flatMap(\.frames).map(\.header)
        let (first, last) = (headers.first?.time, headers.last?.time)
        let moments = headers.map(\.time) + [.zero, .distantFuture]
        for time in Set(moments.flatMap { [$0, $0.adding(milliseconds: -1), $0.adding(milliseconds: 1)] }) {
            let wanted = headers.last { $0.time <= time }?.sequence
            #expect(try await views.place(of: time) == TimePlace(sequence: wanted, first: first, last: last))
        }
    }

    /// The histories above hold every kind of event that changes rows.
    @Test func theHistoriesLeaveNothingOut() throws {
        let types = try Set(
            seeds(6).flatMap { seed in
                try GlobalHistory.random(seed: seed, steps: 160).log.all.flatMap(\.frames).map(\.type)
            })
        let numbers = Array(101...111) + Array(201...202) + Array(301...304) + Array(401...406) as [UInt16]
        let missing = numbers.filter { !types.contains($0) }.map { eventTypeName($0) ?? "\($0)" }
        #expect(missing == [])
    }

    /// A view that forgets to look at the sequence would be seen by the property above: this is such a view.
    @Test func aViewThatShowsThePresentIsNoticed() async throws {
        let history = try GlobalHistory.random(seed: 3, steps: 160)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        let half = history.states[history.states.count / 2]
        let now = try await views.query(Expected.jobs)
        #expect(now.lines != Expected.all(half).first { $0.0 == Expected.jobs }?.1)
    }

    @Test func randomEventsNeitherFailNorDiffer() async throws {
        for seed in seeds(6) {
            var random = SplitMix64(seed: seed)
            let source = try GlobalHistory.random(seed: seed, steps: 120)
            var events = try source.log.all.flatMap(\.frames).compactMap { frame in
                try source.codec.decode(frame)?.event
            }
            events.shuffle(using: &random)
            var history = GlobalHistory(codec: source.codec)
            for event in events {
                history.wait(milliseconds: 1)
                try history.take([event], by: .person("eve"))
                if random.chance(1, in: 3) { try history.commit() }
            }
            try history.commit()
            let scratch = try Scratch()
            let views = try scratch.views()
            defer { views.close() }
            try await views.catchUp(from: history.log)
            for (sequence, state) in history.states.enumerated() where sequence.isMultiple(of: 7) {
                for (sql, expected) in Expected.withoutDeployments(state) {
                    let found = try await views.query(sql, at: LogSequence(rawValue: UInt64(sequence)))
                    try #require(found.lines == expected, "seed \(seed), sequence \(sequence): \(sql)")
                }
            }
        }
    }

    @Test func aSequenceThatIsNotThereYetIsBehind() async throws {
        let history = try GlobalHistory.random(seed: 1, steps: 20)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        let next = history.log.head().sequence.next
        await #expect { try await views.query("SELECT 1", at: next) } throws: { ($0 as? ViewsFailure)?.code == .behind }
    }
}

/// What the views should say of a state, by SQL.
enum Expected {
    static let jobs = """
        SELECT id, name, app, commit_sha, priority, status, attempt, attempts, worker, stage, last_heartbeat, manifest,
          lost_attempts, cancel_reason FROM jobs WHERE status IN ('queued', 'running') ORDER BY id
        """
    private static let builds = "SELECT id, name, commit_sha, attempt, manifest, raw_bytes FROM builds ORDER BY id"
    private static let ended = "SELECT count(*), max(id) FROM jobs"
    private static let replication = """
        SELECT binary_name, build, replication_status, stored, missing FROM build_replication_status ORDER BY build
        """
    private static let targets = """
        SELECT app, scope, current_build, revision, deployment, previous_build, base_build, manifest, selector,
          admitted_share, actor, reason, issued_at, expires_at FROM targets ORDER BY app, scope
        """
    private static let deployments = """
        SELECT id, app, scope, build, status, actor, started_at, deadline, converged, revision FROM deployments
        WHERE status IN ('waiting', 'running') ORDER BY started_at, id
        """
    private static let regions = "SELECT name, status, endpoint FROM regions ORDER BY name"
    private static let levels = """
        SELECT region, app, revision, selected, healthy, failed, silent, detail FROM region_levels ORDER BY region, app
        """
    private static let workers = "SELECT name, region, status, job, waiting_since FROM workers ORDER BY name"

    private static let retained = """
        SELECT id, pinned_by, pin_reason, retired_at, retirement_cause, remove_after FROM builds ORDER BY id
        """
    private static let stores = "SELECT region, used_bytes, free_bytes, percent FROM region_stores ORDER BY region"
    private static let numbers = "SELECT coalesce((SELECT claims_stopped_by FROM retention), '')"

    static func all(_ state: GlobalState) -> [(String, [String])] {
        withoutDeployments(state) + [(deployments, openDeployments(state))]
    }

    static func withoutDeployments(_ state: GlobalState) -> [(String, [String])] {
        let last = state.queue.enqueued.rawValue
        return [
            (jobs, openJobs(state)), (builds, allBuilds(state)), (ended, ["\(last)|\(last == 0 ? "" : "\(last)")"]),
            (replication, replications(state)), (targets, currentTargets(state)),
            (
                regions,
                state.fleet.regions.sorted { $0.key < $1.key }.map { "\($0)|\($1.status.rawValue)|\($1.endpoint)" }
            ),
            (levels, regionLevels(state)), (workers, fleetWorkers(state)), (retained, retention(state)),
            (stores, regionStores(state)), (numbers, retentionNumbers(state)),
        ]
    }

    private static func retention(_ state: GlobalState) -> [String] {
        state.queue.builds.map { id, _ in
            let (pin, retired) = (state.retention.pins[id], state.retention.retired[id])
            let fields: [String?] = [
                "\(id)", pin.map { "\($0.actor)" }, pin?.reason, retired.map { time($0.at) }, retired?.cause.rawValue,
                retired.map { time($0.removeAfter) },
            ]
            return fields.map { $0 ?? "" }.joined(separator: "|")
        }
    }

    private static func regionStores(_ state: GlobalState) -> [String] {
        state.fleet.regions.sorted { $0.key < $1.key }.compactMap { name, region in
            region.store.map { "\(name)|\($0.usedBytes)|\($0.freeBytes)|\($0.percent)" }
        }
    }

    private static func retentionNumbers(_ state: GlobalState) -> [String] {
        [state.retention.claimsStoppedBy?.rawValue ?? ""]
    }

    private static func openJobs(_ state: GlobalState) -> [String] {
        state.queue.jobs.sorted { $0.key < $1.key }.map { id, job in
            let attempt = job.attempt
            let fields: [String?] = [
                "\(id)", "\(job.request.app)/\(id)", "\(job.request.app)", "\(job.request.commit)",
                "\(job.request.priority)", attempt == nil ? "queued" : "running", attempt.map { "\($0.number)" },
                "\(job.attempts)", attempt?.worker.rawValue, attempt?.stage.rawValue, attempt.map { time($0.heardAt) },
                attempt?.pack?.manifest.hex, "\(job.lostAttempts)", job.cancel?.reason,
            ]
            return fields.map { $0 ?? "" }.joined(separator: "|")
        }
    }

    private static func allBuilds(_ state: GlobalState) -> [String] {
        state.queue.builds.sorted { $0.key < $1.key }.map { id, build in
            "\(id)|\(build.app)/\(id)|\(build.commit)|\(build.attempt)|\(build.pack.manifest)|\(build.pack.rawBytes)"
        }
    }

    private static func replications(_ state: GlobalState) -> [String] {
        state.queue.builds.sorted { $0.key < $1.key }.map { id, build in
            let stored = state.replication.packs[id]?.stored.map(\.rawValue).joined(separator: ",") ?? ""
            let missing = state.replication.missing(id, over: state.fleet.liveRegions).map(\.rawValue)
            let status = state.replicationStatus(id).rawValue
            return "\(build.app)/\(id)|\(id)|\(status)|\(stored)|\(missing.joined(separator: ","))"
        }
    }

    private static func currentTargets(_ state: GlobalState) -> [String] {
        let targets = state.targets.apps.values.flatMap { $0.values.map(\.target) }
        return targets.sorted { ("\($0.app)", "\($0.scope)") < ("\($1.app)", "\($1.scope)") }.map { target in
            let fields: [String?] = [
                "\(target.app)", "\(target.scope)", "\(target.current.build)", "\(target.revision)",
                "\(target.deployment)", target.previous.map { "\($0.build)" }, target.base.map { "\($0.build)" },
                target.current.manifest.hex, target.selector.selectsAll ? "{}" : "{\"a\":\"b\",\"tier\":\"canary\"}",
                "\(target.admittedShare)", "\(target.actor)", target.reason, time(target.issued), time(target.expires),
            ]
            return fields.map { $0 ?? "" }.joined(separator: "|")
        }
    }

    private static func openDeployments(_ state: GlobalState) -> [String] {
        let open = state.targets.open.values
        return open.sorted { ($0.startedAt, "\($0.id)") < ($1.startedAt, "\($1.id)") }.map { deployment in
            [
                "\(deployment.id)", "\(deployment.request.app)", "\(deployment.request.scope)",
                "\(deployment.build.build)", deployment.status.rawValue, "\(deployment.actor)",
                time(deployment.startedAt), time(deployment.deadline),
                deployment.converged.map(\.rawValue).joined(separator: ","), "\(deployment.revision)",
            ].joined(separator: "|")
        }
    }

    private static func regionLevels(_ state: GlobalState) -> [String] {
        state.fleet.regions.sorted { $0.key < $1.key }.flatMap { name, region in
            region.levels.sorted { $0.key < $1.key }.map { app, level in
                "\(name)|\(app)|\(level.revision)|\(level.selected)|\(level.healthy)|\(level.failed)|\(level.silent)|"
                    + level.detail
            }
        }
    }

    private static func fleetWorkers(_ state: GlobalState) -> [String] {
        state.fleet.workers.sorted { $0.key < $1.key }.map { name, worker in
            let job = worker.job.flatMap { state.queue.jobs[$0]?.attempt?.worker == name ? $0 : nil }
            let status =
                worker.isDraining
                ? "draining" : job != nil ? "working" : worker.waitingSince != nil ? "waiting" : "idle"
            return "\(name)|\(worker.region)|\(status)|\(job.map { "\($0)" } ?? "")|"
                + (worker.waitingSince.map(time) ?? "")
        }
    }

    static func time(_ time: Timestamp) -> String { time.rfc3339 }
}
