extension ViewSchema {
    /// The views of the global log.
    package static let global = ViewSchema(
        kind: .global,
        tables: GlobalSchema.queueTables + GlobalSchema.replicationTables + GlobalSchema.deploymentTables
            + GlobalSchema.fleetTables + GlobalSchema.retentionTables,
        views: GlobalSchema.currentViews + GlobalSchema.queueViews + GlobalSchema.replicationViews
            + GlobalSchema.deploymentViews + GlobalSchema.fleetViews + GlobalSchema.retentionViews)
}

enum GlobalSchema {
    static let queueTables = [
        """
        -- What was asked for, appended; a job's id is its number in the queue.
        CREATE TABLE job_requests (
          id INTEGER PRIMARY KEY,
          sequence INTEGER NOT NULL,
          time INTEGER NOT NULL,
          commit_sha TEXT NOT NULL,
          app TEXT NOT NULL,
          repository TEXT NOT NULL,
          recipe TEXT NOT NULL,
          priority INTEGER NOT NULL,
          forced INTEGER NOT NULL,
          actor INTEGER NOT NULL
        )
        """,
        "CREATE INDEX job_apps ON job_requests (app, id)",
        """
        -- What became of it. `attempt` and `worker` are the current or last attempt's, NULL while queued.
        CREATE TABLE job_versions (
          job INTEGER NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          status TEXT NOT NULL,
          failure_reason TEXT,
          failure_detail TEXT,
          attempt INTEGER,
          attempts INTEGER NOT NULL,
          lost_attempts INTEGER NOT NULL,
          worker TEXT,
          claimed_at INTEGER,
          cancel_requested_at INTEGER,
          cancel_reason TEXT,
          ended_at INTEGER,
          manifest BLOB,
          raw_bytes INTEGER,
          packed_bytes INTEGER,
          region TEXT,
          PRIMARY KEY (job, from_sequence)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX job_status ON job_versions (status, job) WHERE to_sequence IS NULL",
        """
        -- Signs of life of attempts, appended: the claim (counter 0), heartbeats, reports.
        CREATE TABLE heartbeat_rows (
          job INTEGER NOT NULL,
          attempt INTEGER NOT NULL,
          sequence INTEGER NOT NULL,
          time INTEGER NOT NULL,
          counter INTEGER NOT NULL,
          stage TEXT NOT NULL,
          PRIMARY KEY (job, attempt, sequence)
        ) WITHOUT ROWID
        """,
    ]

    static let replicationTables = [
        """
        -- The first report of a stored pack fixes its manifest; appended.
        CREATE TABLE pack_rows (
          build INTEGER PRIMARY KEY,
          sequence INTEGER NOT NULL,
          attempt INTEGER NOT NULL,
          manifest BLOB NOT NULL
        )
        """,
        """
        -- Where packs are: `stored`, or `lost` or `removed` after that.
        CREATE TABLE pack_region_versions (
          build INTEGER NOT NULL,
          region TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          status TEXT NOT NULL,
          time INTEGER NOT NULL,
          detail TEXT NOT NULL,
          PRIMARY KEY (build, region, from_sequence)
        ) WITHOUT ROWID
        """,
    ]

    static let deploymentTables = [
        """
        -- Deployments as they were begun, appended.
        CREATE TABLE deployment_rows (
          epoch INTEGER NOT NULL,
          number INTEGER NOT NULL,
          sequence INTEGER NOT NULL,
          time INTEGER NOT NULL,
          app TEXT NOT NULL,
          scope TEXT NOT NULL,
          build INTEGER NOT NULL,
          manifest BLOB NOT NULL,
          selector TEXT NOT NULL,
          reason TEXT NOT NULL,
          actor INTEGER NOT NULL,
          deadline INTEGER NOT NULL,
          when_replicated INTEGER NOT NULL,
          allow_empty INTEGER NOT NULL,
          PRIMARY KEY (epoch, number)
        ) WITHOUT ROWID
        """,
        """
        -- Their status, and the latest revision of their target.
        CREATE TABLE deployment_versions (
          epoch INTEGER NOT NULL,
          number INTEGER NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          status TEXT NOT NULL,
          revision_epoch INTEGER NOT NULL,
          revision_number INTEGER NOT NULL,
          ended_at INTEGER,
          detail TEXT NOT NULL,
          PRIMARY KEY (epoch, number, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- Regions that converged, appended.
        CREATE TABLE deployment_region_rows (
          epoch INTEGER NOT NULL,
          number INTEGER NOT NULL,
          region TEXT NOT NULL,
          sequence INTEGER NOT NULL,
          PRIMARY KEY (epoch, number, region)
        ) WITHOUT ROWID
        """,
    ]

    static let fleetTables = [
        """
        -- Regions: live, silent, suspended, removed.
        CREATE TABLE region_versions (
          name TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          status TEXT NOT NULL,
          endpoint TEXT NOT NULL,
          change TEXT NOT NULL,
          reason TEXT NOT NULL,
          time INTEGER NOT NULL,
          PRIMARY KEY (name, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- What regions report of an app: numbers of peers, no row a peer.
        CREATE TABLE region_level_versions (
          region TEXT NOT NULL,
          app TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          epoch INTEGER NOT NULL,
          number INTEGER NOT NULL,
          selected INTEGER NOT NULL,
          healthy INTEGER NOT NULL,
          failed INTEGER NOT NULL,
          silent INTEGER NOT NULL,
          detail TEXT NOT NULL,
          time INTEGER NOT NULL,
          PRIMARY KEY (region, app, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- Workers. `job` is the last they claimed.
        CREATE TABLE worker_versions (
          name TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          region TEXT NOT NULL,
          waiting_since INTEGER,
          draining INTEGER NOT NULL,
          job INTEGER,
          PRIMARY KEY (name, from_sequence)
        ) WITHOUT ROWID
        """,
    ]

    static let retentionTables = [
        """
        -- Builds that people want kept.
        CREATE TABLE pin_versions (
          build INTEGER NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          actor INTEGER NOT NULL,
          reason TEXT NOT NULL,
          time INTEGER NOT NULL,
          PRIMARY KEY (build, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- Retired builds: `unused`, or `space` where a store was full.
        CREATE TABLE retirement_versions (
          build INTEGER NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          cause TEXT NOT NULL,
          time INTEGER NOT NULL,
          remove_after INTEGER NOT NULL,
          PRIMARY KEY (build, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- How full the regions' stores are.
        CREATE TABLE region_store_versions (
          region TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          used_bytes INTEGER NOT NULL,
          free_bytes INTEGER NOT NULL,
          size_bytes INTEGER NOT NULL,
          time INTEGER NOT NULL,
          PRIMARY KEY (region, from_sequence)
        ) WITHOUT ROWID
        """,
        """
        -- The numbers that retention decides by, and whose full store stops the claims; one row at a time, of id 1.
        CREATE TABLE retention_versions (
          id INTEGER NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          kept_builds INTEGER,
          kept_seconds INTEGER,
          grace_seconds INTEGER,
          full_percent INTEGER,
          claims_stopped_by TEXT,
          PRIMARY KEY (id, from_sequence)
        ) WITHOUT ROWID
        """,
    ]

    static let currentViews = [
        current("current_jobs", of: "job_versions"),
        current("current_pack_regions", of: "pack_region_versions"),
        current("current_deployments", of: "deployment_versions"),
        current("current_regions", of: "region_versions"),
        current("current_region_levels", of: "region_level_versions"),
        current("current_workers", of: "worker_versions"),
        current("current_pins", of: "pin_versions"),
        current("current_retirements", of: "retirement_versions"),
        current("current_region_stores", of: "region_store_versions"),
        current("current_retention", of: "retention_versions"),
    ]

    static let queueViews = [
        """
        -- Signs of life: the claim (counter 0), heartbeats, reports.
        CREATE VIEW heartbeats AS
        SELECT job, attempt, sequence, \(utc("time")) AS time, counter, stage FROM heartbeat_rows
        """,
        """
        -- Every job. status: queued, running, succeeded, failed. name: APP/ID, the key of its build in a store.
        CREATE VIEW jobs AS
        SELECT r.id, \(utc("r.time")) AS created_at, r.commit_sha, r.app || '/' || r.id AS name, r.app, r.repository,
          r.recipe, r.priority, v.status, v.failure_reason, v.failure_detail, v.attempt, v.attempts, v.worker,
          CASE WHEN v.status = 'running' THEN h.stage END AS stage, \(utc("v.claimed_at")) AS claimed_at,
          \(utc("h.time")) AS last_heartbeat, \(utc("v.ended_at")) AS ended_at,
          CASE WHEN v.manifest IS NOT NULL THEN lower(hex(v.manifest)) END AS manifest, v.raw_bytes, v.packed_bytes, v.region,
          (SELECT a.name FROM actors a WHERE a.id = r.actor) AS actor, v.lost_attempts,
          \(utc("v.cancel_requested_at")) AS cancel_requested_at, v.cancel_reason
        FROM job_requests r
        JOIN current_jobs v ON v.job = r.id
        LEFT JOIN heartbeat_rows h ON h.job = v.job AND h.attempt = v.attempt AND h.sequence =
          (SELECT max(l.sequence) FROM heartbeat_rows l WHERE l.job = v.job AND l.attempt = v.attempt)
        """,
    ]

    static let replicationViews = [
        """
        -- Succeeded jobs over the regions that are live: pending, partial, complete, gone (all copies lost or removed). stored, missing: names, by comma.
        CREATE VIEW build_replication_status AS
        SELECT app || '/' || build AS binary_name, build, app,
          CASE
            WHEN NOT has_pack THEN 'pending'
            WHEN NOT is_held THEN 'gone'
            WHEN missing = '' AND live > 0 THEN 'complete'
            WHEN lacking = live THEN 'pending'
            ELSE 'partial'
          END AS replication_status, stored, missing
        FROM (
          SELECT v.job AS build, r.app,
            EXISTS (SELECT 1 FROM pack_rows k WHERE k.build = v.job) AS has_pack,
            EXISTS (SELECT 1 FROM current_pack_regions p WHERE p.build = v.job AND p.status = 'stored' AND NOT EXISTS (
              SELECT 1 FROM current_regions l WHERE l.name = p.region AND l.status = 'removed')) AS is_held,
            (SELECT coalesce(group_concat(region, ','), '') FROM (
              SELECT p.region FROM current_pack_regions p WHERE p.build = v.job AND p.status = 'stored'
              ORDER BY p.region)) AS stored,
            (SELECT count(*) FROM current_regions l WHERE l.status = 'live') AS live,
            (SELECT count(*) FROM current_regions l WHERE l.status = 'live' AND NOT EXISTS (
              SELECT 1 FROM current_pack_regions p
              WHERE p.build = v.job AND p.region = l.name AND p.status = 'stored')) AS lacking,
            (SELECT coalesce(group_concat(name, ','), '') FROM (
              SELECT l.name FROM current_regions l WHERE l.status = 'live' AND NOT EXISTS (
                SELECT 1 FROM current_pack_regions p
                WHERE p.build = v.job AND p.region = l.name AND p.status = 'stored')
              ORDER BY l.name)) AS missing
          FROM current_jobs v
          JOIN job_requests r ON r.id = v.job
          WHERE v.status = 'succeeded')
        """,
        """
        -- Succeeded jobs.
        CREATE VIEW builds AS
        SELECT j.id, j.name, j.app, j.commit_sha, j.repository, j.recipe, j.attempt, j.worker, j.manifest, j.raw_bytes,
          j.packed_bytes, j.region, j.created_at, j.ended_at AS built_at, j.actor,
          (SELECT s.replication_status FROM build_replication_status s WHERE s.build = j.id) AS replication_status,
          (SELECT a.name FROM actors a WHERE a.id = p.actor) AS pinned_by, p.reason AS pin_reason,
          \(utc("x.time")) AS retired_at, x.cause AS retirement_cause, \(utc("x.remove_after")) AS remove_after
        FROM jobs j
        LEFT JOIN current_pins p ON p.build = j.id
        LEFT JOIN current_retirements x ON x.build = j.id
        WHERE j.status = 'succeeded'
        """,
        """
        -- Each build in each region: pending, stored, lost, removed.
        CREATE VIEW build_regions AS
        SELECT v.job AS build, r.app, g.name AS region, coalesce(p.status, 'pending') AS status,
          g.status AS region_status, \(utc("p.time")) AS changed_at, coalesce(p.detail, '') AS detail
        FROM current_jobs v
        JOIN job_requests r ON r.id = v.job
        JOIN current_regions g
        LEFT JOIN current_pack_regions p ON p.build = v.job AND p.region = g.name
        WHERE v.status = 'succeeded' AND (g.status <> 'removed' OR p.status IS NOT NULL)
        """,
    ]

    static let deploymentViews = [
        """
        -- The ways from one target to the next: waiting, running, succeeded, failed, superseded. converged: names, by comma.
        CREATE VIEW deployments AS
        SELECT \(revision("d.epoch", "d.number")) AS id, d.app, d.scope, d.build, v.status, d.reason,
          (SELECT a.name FROM actors a WHERE a.id = d.actor) AS actor,
          \(utc("d.time")) AS started_at, \(utc("d.deadline")) AS deadline, \(utc("v.ended_at")) AS ended_at, v.detail,
          (SELECT coalesce(group_concat(region, ','), '') FROM (
            SELECT c.region FROM deployment_region_rows c WHERE c.epoch = d.epoch AND c.number = d.number
            ORDER BY c.region)) AS converged,
          \(revision("v.revision_epoch", "v.revision_number")) AS revision, d.selector, d.when_replicated, d.allow_empty
        FROM deployment_rows d
        JOIN current_deployments v ON v.epoch = d.epoch AND v.number = d.number
        """
    ]

    static let retentionViews = [
        """
        -- How full the regions' stores are: what packs take, what is left for more, what they may take at most (NULL: not
        -- told), and the first over what they could take now.
        CREATE VIEW region_stores AS
        SELECT region, used_bytes, free_bytes, nullif(size_bytes, 0) AS size_bytes,
          iif(size_bytes > 0 AND used_bytes + free_bytes = 0, 100, used_bytes * 100 / max(1,
            iif(size_bytes > 0, min(size_bytes, used_bytes + free_bytes), used_bytes + free_bytes))) AS percent,
          \(utc("time")) AS reported_at
        FROM current_region_stores
        """,
        """
        -- The numbers that retention decides by (NULL: as this version has them), and whose full store stops the claims.
        CREATE VIEW retention AS
        SELECT kept_builds, kept_seconds, grace_seconds, full_percent, claims_stopped_by FROM current_retention
        """,
    ]

    static let fleetViews = [
        """
        -- Regions: live, silent, suspended, removed.
        CREATE VIEW regions AS
        SELECT name, status, endpoint, \(utc("time")) AS changed_at, change, reason FROM current_regions
        """,
        """
        -- The latest numbers of each region and app: live selected peers, and of these the healthy and failed.
        CREATE VIEW region_levels AS
        SELECT region, app, \(revision("epoch", "number")) AS revision, selected, healthy, failed, silent, detail,
          \(utc("time")) AS reported_at
        FROM current_region_levels
        """,
        """
        -- Machines that build: draining, working, waiting, idle.
        CREATE VIEW workers AS
        SELECT w.name, w.region,
          CASE
            WHEN w.draining THEN 'draining'
            WHEN j.job IS NOT NULL THEN 'working'
            WHEN w.waiting_since IS NOT NULL THEN 'waiting'
            ELSE 'idle'
          END AS status, j.job, \(utc("w.waiting_since")) AS waiting_since
        FROM current_workers w
        LEFT JOIN current_jobs j ON j.job = w.job AND j.status = 'running' AND j.worker = w.name
        """,
    ]
}
