-- Drover's SQL views: what `drover query` and the API's reads answer from.
--
-- Every engine has one file, `views.sqlite`, beside its log: the views of the global log, or of a region's own. It is
-- made from the log and nothing else, brought up to date behind every commit, and made again when it is missing,
-- damaged or of another version; so it may be deleted, and must not be written to. While a file of another version is
-- made again, beside it, people's SQL is answered from the old one, with the sequence that is true at. The file is
-- SQLite 3 in WAL mode.
--
-- Tables whose names end in `_versions` hold rows with the time they are true in: from the event `from_sequence` up to
-- before the event `to_sequence`, NULL for rows that are true now. Tables that end in `_rows` (and `job_requests`) are
-- only appended to; their rows are true from `sequence` on. The views named `current_...` are the versions that are true
-- now, and the views without such a name are what people read. Read those; the tables may change with any version.
--
-- At a sequence (`drover query --at N`) the very same SQL is run over the same names, each table showing its rows as
-- they were right after event N. There `main.NAME` is refused, for it would show what came later.
--
-- Times in views are RFC 3339 UTC text with milliseconds (in tables: milliseconds since 1970). Revisions and the ids of
-- deployments are `EPOCH.NUMBER`, scopes `global` or `region/NAME`, actors `KIND:NAME`, digests lowercase hexadecimal,
-- lists names in ascending order by comma. `event_data(type, revision, payload)` is Drover's own function, so a plain
-- sqlite3 reads every view but `events`.
--
-- The statements below are the code's own; a test compares them.

-- ---- Both kinds of log

-- One row: whose file this is, and the position that every row is true at.
CREATE TABLE view_state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  kind TEXT NOT NULL,
  schema TEXT NOT NULL,
  log TEXT,
  epoch INTEGER NOT NULL,
  end_sequence INTEGER NOT NULL,
  chain TEXT NOT NULL
);

-- Names of actors, `kind:name`.
CREATE TABLE actors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- Names of event types, as in `job-claimed`.
CREATE TABLE event_types (number INTEGER PRIMARY KEY, name TEXT NOT NULL);

-- The log's events, appended. `payload` is protobuf; `events` shows it as JSON. `job` is a build too.
CREATE TABLE event_rows (
  sequence INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  time INTEGER NOT NULL,
  type INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  command INTEGER NOT NULL,
  cause INTEGER,
  key TEXT,
  derived INTEGER NOT NULL,
  job INTEGER,
  app TEXT,
  region TEXT,
  worker TEXT,
  peer TEXT,
  payload BLOB NOT NULL
);

CREATE INDEX event_jobs ON event_rows (job) WHERE job IS NOT NULL;

CREATE INDEX event_settings ON event_rows (sequence) WHERE type = 6;

-- Refused calls about an attempt, appended.
CREATE TABLE refusal_rows (
  sequence INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  job INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  command TEXT NOT NULL,
  code TEXT NOT NULL,
  count INTEGER NOT NULL
);

-- Targets. In a regional log the effective one of each app.
CREATE TABLE target_versions (
  app TEXT NOT NULL,
  scope TEXT NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  deployment_epoch INTEGER NOT NULL,
  deployment_number INTEGER NOT NULL,
  build INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  base_build INTEGER,
  base_manifest BLOB,
  previous_build INTEGER,
  previous_manifest BLOB,
  selector TEXT NOT NULL,
  admitted_share INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  reason TEXT NOT NULL,
  issued INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (app, scope, from_sequence)
) WITHOUT ROWID;

-- The log: one row an event. `data` is JSON.
CREATE VIEW events AS
SELECT e.sequence, strftime('%Y-%m-%dT%H:%M:%fZ', e.time / 1000.0, 'unixepoch') AS time, e.epoch,
  (SELECT t.name FROM event_types t WHERE t.number = e.type) AS type,
  (SELECT a.name FROM actors a WHERE a.id = e.actor) AS actor, e.command, e.cause, e.key, e.derived,
  e.job, e.app, e.region, e.worker, e.peer,
  event_data(e.type, e.revision, e.payload) AS data
FROM event_rows e;

-- Refused calls: the first of its kind, then one a minute with the count of those since.
CREATE VIEW refusals AS
SELECT sequence, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time, job, attempt, command, code, count FROM refusal_rows;

CREATE VIEW current_targets AS
SELECT * FROM target_versions WHERE to_sequence IS NULL;

-- What every app should run, the current target of each scope (in a regional log: of each app).
CREATE VIEW targets AS
SELECT
  t.app, t.scope, t.build AS current_build, t.epoch || '.' || t.number AS revision,
  t.deployment_epoch || '.' || t.deployment_number AS deployment, t.previous_build, t.base_build,
  lower(hex(t.manifest)) AS manifest, t.selector, t.admitted_share,
  (SELECT a.name FROM actors a WHERE a.id = t.actor) AS actor, t.reason,
  strftime('%Y-%m-%dT%H:%M:%fZ', t.issued / 1000.0, 'unixepoch') AS issued_at, strftime('%Y-%m-%dT%H:%M:%fZ', t.expires / 1000.0, 'unixepoch') AS expires_at
FROM current_targets t;

-- Every target there was, with the sequences between which it was the current one.
CREATE VIEW target_history AS
SELECT
  t.app, t.scope, t.build AS current_build, t.epoch || '.' || t.number AS revision,
  t.deployment_epoch || '.' || t.deployment_number AS deployment, t.previous_build, t.base_build,
  lower(hex(t.manifest)) AS manifest, t.selector, t.admitted_share,
  (SELECT a.name FROM actors a WHERE a.id = t.actor) AS actor, t.reason,
  strftime('%Y-%m-%dT%H:%M:%fZ', t.issued / 1000.0, 'unixepoch') AS issued_at, strftime('%Y-%m-%dT%H:%M:%fZ', t.expires / 1000.0, 'unixepoch') AS expires_at,
  t.from_sequence, t.to_sequence
FROM target_versions t;

-- ---- The global log

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
);

CREATE INDEX job_apps ON job_requests (app, id);

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
) WITHOUT ROWID;

CREATE INDEX job_status ON job_versions (status, job) WHERE to_sequence IS NULL;

-- Signs of life of attempts, appended: the claim (counter 0), heartbeats, reports.
CREATE TABLE heartbeat_rows (
  job INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  time INTEGER NOT NULL,
  counter INTEGER NOT NULL,
  stage TEXT NOT NULL,
  PRIMARY KEY (job, attempt, sequence)
) WITHOUT ROWID;

-- The first report of a stored pack fixes its manifest; appended.
CREATE TABLE pack_rows (
  build INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  manifest BLOB NOT NULL
);

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
) WITHOUT ROWID;

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
) WITHOUT ROWID;

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
) WITHOUT ROWID;

-- Regions that converged, appended.
CREATE TABLE deployment_region_rows (
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  region TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (epoch, number, region)
) WITHOUT ROWID;

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
) WITHOUT ROWID;

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
) WITHOUT ROWID;

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
) WITHOUT ROWID;

-- Builds that people want kept.
CREATE TABLE pin_versions (
  build INTEGER NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  actor INTEGER NOT NULL,
  reason TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (build, from_sequence)
) WITHOUT ROWID;

-- Retired builds: `unused`, or `space` where a store was full.
CREATE TABLE retirement_versions (
  build INTEGER NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  cause TEXT NOT NULL,
  time INTEGER NOT NULL,
  remove_after INTEGER NOT NULL,
  PRIMARY KEY (build, from_sequence)
) WITHOUT ROWID;

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
) WITHOUT ROWID;

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
) WITHOUT ROWID;

CREATE VIEW current_jobs AS
SELECT * FROM job_versions WHERE to_sequence IS NULL;

CREATE VIEW current_pack_regions AS
SELECT * FROM pack_region_versions WHERE to_sequence IS NULL;

CREATE VIEW current_deployments AS
SELECT * FROM deployment_versions WHERE to_sequence IS NULL;

CREATE VIEW current_regions AS
SELECT * FROM region_versions WHERE to_sequence IS NULL;

CREATE VIEW current_region_levels AS
SELECT * FROM region_level_versions WHERE to_sequence IS NULL;

CREATE VIEW current_workers AS
SELECT * FROM worker_versions WHERE to_sequence IS NULL;

CREATE VIEW current_pins AS
SELECT * FROM pin_versions WHERE to_sequence IS NULL;

CREATE VIEW current_retirements AS
SELECT * FROM retirement_versions WHERE to_sequence IS NULL;

CREATE VIEW current_region_stores AS
SELECT * FROM region_store_versions WHERE to_sequence IS NULL;

CREATE VIEW current_retention AS
SELECT * FROM retention_versions WHERE to_sequence IS NULL;

-- Signs of life: the claim (counter 0), heartbeats, reports.
CREATE VIEW heartbeats AS
SELECT job, attempt, sequence, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time, counter, stage FROM heartbeat_rows;

-- Every job. status: queued, running, succeeded, failed. name: APP/ID, the key of its build in a store.
CREATE VIEW jobs AS
SELECT r.id, strftime('%Y-%m-%dT%H:%M:%fZ', r.time / 1000.0, 'unixepoch') AS created_at, r.commit_sha, r.app || '/' || r.id AS name, r.app, r.repository,
  r.recipe, r.priority, v.status, v.failure_reason, v.failure_detail, v.attempt, v.attempts, v.worker,
  CASE WHEN v.status = 'running' THEN h.stage END AS stage, strftime('%Y-%m-%dT%H:%M:%fZ', v.claimed_at / 1000.0, 'unixepoch') AS claimed_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', h.time / 1000.0, 'unixepoch') AS last_heartbeat, strftime('%Y-%m-%dT%H:%M:%fZ', v.ended_at / 1000.0, 'unixepoch') AS ended_at,
  CASE WHEN v.manifest IS NOT NULL THEN lower(hex(v.manifest)) END AS manifest, v.raw_bytes, v.packed_bytes, v.region,
  (SELECT a.name FROM actors a WHERE a.id = r.actor) AS actor, v.lost_attempts,
  strftime('%Y-%m-%dT%H:%M:%fZ', v.cancel_requested_at / 1000.0, 'unixepoch') AS cancel_requested_at, v.cancel_reason
FROM job_requests r
JOIN current_jobs v ON v.job = r.id
LEFT JOIN heartbeat_rows h ON h.job = v.job AND h.attempt = v.attempt AND h.sequence =
  (SELECT max(l.sequence) FROM heartbeat_rows l WHERE l.job = v.job AND l.attempt = v.attempt);

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
  WHERE v.status = 'succeeded');

-- Succeeded jobs.
CREATE VIEW builds AS
SELECT j.id, j.name, j.app, j.commit_sha, j.repository, j.recipe, j.attempt, j.worker, j.manifest, j.raw_bytes,
  j.packed_bytes, j.region, j.created_at, j.ended_at AS built_at, j.actor,
  (SELECT s.replication_status FROM build_replication_status s WHERE s.build = j.id) AS replication_status,
  (SELECT a.name FROM actors a WHERE a.id = p.actor) AS pinned_by, p.reason AS pin_reason,
  strftime('%Y-%m-%dT%H:%M:%fZ', x.time / 1000.0, 'unixepoch') AS retired_at, x.cause AS retirement_cause, strftime('%Y-%m-%dT%H:%M:%fZ', x.remove_after / 1000.0, 'unixepoch') AS remove_after
FROM jobs j
LEFT JOIN current_pins p ON p.build = j.id
LEFT JOIN current_retirements x ON x.build = j.id
WHERE j.status = 'succeeded';

-- Each build in each region: pending, stored, lost, removed.
CREATE VIEW build_regions AS
SELECT v.job AS build, r.app, g.name AS region, coalesce(p.status, 'pending') AS status,
  g.status AS region_status, strftime('%Y-%m-%dT%H:%M:%fZ', p.time / 1000.0, 'unixepoch') AS changed_at, coalesce(p.detail, '') AS detail
FROM current_jobs v
JOIN job_requests r ON r.id = v.job
JOIN current_regions g
LEFT JOIN current_pack_regions p ON p.build = v.job AND p.region = g.name
WHERE v.status = 'succeeded' AND (g.status <> 'removed' OR p.status IS NOT NULL);

-- The ways from one target to the next: waiting, running, succeeded, failed, superseded. converged: names, by comma.
CREATE VIEW deployments AS
SELECT d.epoch || '.' || d.number AS id, d.app, d.scope, d.build, v.status, d.reason,
  (SELECT a.name FROM actors a WHERE a.id = d.actor) AS actor,
  strftime('%Y-%m-%dT%H:%M:%fZ', d.time / 1000.0, 'unixepoch') AS started_at, strftime('%Y-%m-%dT%H:%M:%fZ', d.deadline / 1000.0, 'unixepoch') AS deadline, strftime('%Y-%m-%dT%H:%M:%fZ', v.ended_at / 1000.0, 'unixepoch') AS ended_at, v.detail,
  (SELECT coalesce(group_concat(region, ','), '') FROM (
    SELECT c.region FROM deployment_region_rows c WHERE c.epoch = d.epoch AND c.number = d.number
    ORDER BY c.region)) AS converged,
  v.revision_epoch || '.' || v.revision_number AS revision, d.selector, d.when_replicated, d.allow_empty
FROM deployment_rows d
JOIN current_deployments v ON v.epoch = d.epoch AND v.number = d.number;

-- Regions: live, silent, suspended, removed.
CREATE VIEW regions AS
SELECT name, status, endpoint, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS changed_at, change, reason FROM current_regions;

-- The latest numbers of each region and app: live selected peers, and of these the healthy and failed.
CREATE VIEW region_levels AS
SELECT region, app, epoch || '.' || number AS revision, selected, healthy, failed, silent, detail,
  strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS reported_at
FROM current_region_levels;

-- Machines that build: draining, working, waiting, idle.
CREATE VIEW workers AS
SELECT w.name, w.region,
  CASE
    WHEN w.draining THEN 'draining'
    WHEN j.job IS NOT NULL THEN 'working'
    WHEN w.waiting_since IS NOT NULL THEN 'waiting'
    ELSE 'idle'
  END AS status, j.job, strftime('%Y-%m-%dT%H:%M:%fZ', w.waiting_since / 1000.0, 'unixepoch') AS waiting_since
FROM current_workers w
LEFT JOIN current_jobs j ON j.job = w.job AND j.status = 'running' AND j.worker = w.name;

-- How full the regions' stores are: what packs take, what is left for more, what they may take at most (NULL: not
-- told), and the first over what they could take now.
CREATE VIEW region_stores AS
SELECT region, used_bytes, free_bytes, nullif(size_bytes, 0) AS size_bytes,
  iif(size_bytes > 0 AND used_bytes + free_bytes = 0, 100, used_bytes * 100 / max(1,
    iif(size_bytes > 0, min(size_bytes, used_bytes + free_bytes), used_bytes + free_bytes))) AS percent,
  strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS reported_at
FROM current_region_stores;

-- The numbers that retention decides by (NULL: as this version has them), and whose full store stops the claims.
CREATE VIEW retention AS
SELECT kept_builds, kept_seconds, grace_seconds, full_percent, claims_stopped_by FROM current_retention;

-- ---- A regional log

-- What was taken over from the global log, appended. `position` is LOG/EPOCH/SEQUENCE/CHAIN where a proved one was reached.
CREATE TABLE adoption_rows (
  sequence INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  global_sequence INTEGER NOT NULL,
  position TEXT NOT NULL
);

-- Packs known here: wanted, stored, lost, removed. `settled`: the job has succeeded. `since`: global.
-- `retired_since` (global) and `remove_after`: the build is retired.
CREATE TABLE pack_versions (
  build INTEGER NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  app TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  packed_bytes INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  since INTEGER NOT NULL,
  status TEXT NOT NULL,
  detail TEXT NOT NULL,
  retired_since INTEGER,
  remove_after INTEGER,
  PRIMARY KEY (build, from_sequence)
) WITHOUT ROWID;

-- Regions that may have a pack.
CREATE TABLE pack_source_versions (
  build INTEGER NOT NULL,
  region TEXT NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  PRIMARY KEY (build, region, from_sequence)
) WITHOUT ROWID;

-- Neighbour regions, as the global log names them.
CREATE TABLE region_versions (
  name TEXT NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  status TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  PRIMARY KEY (name, from_sequence)
) WITHOUT ROWID;

-- Machines of the fleet: live, silent.
CREATE TABLE peer_versions (
  name TEXT NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  labels TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  status TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (name, from_sequence)
) WITHOUT ROWID;

-- What a peer says about an app.
CREATE TABLE peer_app_versions (
  peer TEXT NOT NULL,
  app TEXT NOT NULL,
  from_sequence INTEGER NOT NULL,
  to_sequence INTEGER,
  build INTEGER,
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  health TEXT NOT NULL,
  detail TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (peer, app, from_sequence)
) WITHOUT ROWID;

CREATE VIEW current_packs AS
SELECT * FROM pack_versions WHERE to_sequence IS NULL;

CREATE VIEW current_pack_sources AS
SELECT * FROM pack_source_versions WHERE to_sequence IS NULL;

CREATE VIEW current_regions AS
SELECT * FROM region_versions WHERE to_sequence IS NULL;

CREATE VIEW current_peers AS
SELECT * FROM peer_versions WHERE to_sequence IS NULL;

CREATE VIEW current_peer_apps AS
SELECT * FROM peer_app_versions WHERE to_sequence IS NULL;

-- Packs known here: wanted, stored, lost, removed. sources: regions that may have it, by comma.
CREATE VIEW packs AS
SELECT p.build, p.app, p.status, p.attempt, p.settled, lower(hex(p.manifest)) AS manifest, p.packed_bytes, p.since,
  (SELECT coalesce(group_concat(region, ','), '') FROM (
    SELECT s.region FROM current_pack_sources s WHERE s.build = p.build ORDER BY s.region)) AS sources,
  p.detail, p.retired_since, strftime('%Y-%m-%dT%H:%M:%fZ', p.remove_after / 1000.0, 'unixepoch') AS remove_after
FROM current_packs p;

-- Neighbour regions, as the global log names them: live, silent, suspended, removed.
CREATE VIEW regions AS
SELECT name, status, endpoint FROM current_regions;

-- Machines of the fleet: live, silent. labels: JSON.
CREATE VIEW peers AS
SELECT name, labels, endpoint, status, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS changed_at FROM current_peers;

-- What each peer runs: idle, fetching, starting, healthy, failed, stale.
CREATE VIEW peer_apps AS
SELECT peer, app, build, epoch || '.' || number AS revision, health, detail,
  strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS reported_at
FROM current_peer_apps;

-- What was taken over from the global log.
CREATE VIEW adoptions AS
SELECT sequence, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time, global_sequence, position FROM adoption_rows;
