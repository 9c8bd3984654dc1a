/// What the views of both kinds of log hold.
enum SharedSchema {
    static let tables = [
        """
        -- One row: whose file this is, and the position that every row is true at.
        CREATE TABLE view_state (
          one INTEGER PRIMARY KEY CHECK (one = 1),
          kind TEXT NOT NULL,
          schema TEXT NOT NULL,
          log TEXT,
          epoch INTEGER NOT NULL,
          end_sequence INTEGER NOT NULL,
          chain TEXT NOT NULL
        )
        """,
        """
        -- Names of actors, `kind:name`.
        CREATE TABLE actors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)
        """,
        """
        -- Names of event types, as in `job-claimed`.
        CREATE TABLE event_types (number INTEGER PRIMARY KEY, name TEXT NOT NULL)
        """,
        """
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
        )
        """,
        "CREATE INDEX event_jobs ON event_rows (job) WHERE job IS NOT NULL",
        "CREATE INDEX event_settings ON event_rows (sequence) WHERE type = 6",
        """
        -- Refused calls about an attempt, appended.
        CREATE TABLE refusal_rows (
          sequence INTEGER PRIMARY KEY,
          time INTEGER NOT NULL,
          job INTEGER NOT NULL,
          attempt INTEGER NOT NULL,
          command TEXT NOT NULL,
          code TEXT NOT NULL,
          count INTEGER NOT NULL
        )
        """,
        """
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
        ) WITHOUT ROWID
        """,
    ]

    static let views = [
        """
        -- The log: one row an event. `data` is JSON.
        CREATE VIEW events AS
        SELECT e.sequence, \(utc("e.time")) AS time, e.epoch,
          (SELECT t.name FROM event_types t WHERE t.number = e.type) AS type,
          (SELECT a.name FROM actors a WHERE a.id = e.actor) AS actor, e.command, e.cause, e.key, e.derived,
          e.job, e.app, e.region, e.worker, e.peer,
          event_data(e.type, e.revision, e.payload) AS data
        FROM event_rows e
        """,
        """
        -- Refused calls: the first of its kind, then one a minute with the count of those since.
        CREATE VIEW refusals AS
        SELECT sequence, \(utc("time")) AS time, job, attempt, command, code, count FROM refusal_rows
        """,
        current("current_targets", of: "target_versions"),
        """
        -- What every app should run, the current target of each scope (in a regional log: of each app).
        CREATE VIEW targets AS
        SELECT
        \(targetColumns)
        FROM current_targets t
        """,
        """
        -- Every target there was, with the sequences between which it was the current one.
        CREATE VIEW target_history AS
        SELECT
        \(targetColumns),
          t.from_sequence, t.to_sequence
        FROM target_versions t
        """,
    ]

    private static let targetColumns = """
          t.app, t.scope, t.build AS current_build, \(revision("t.epoch", "t.number")) AS revision,
          \(revision("t.deployment_epoch", "t.deployment_number")) AS deployment, t.previous_build, t.base_build,
          lower(hex(t.manifest)) AS manifest, t.selector, t.admitted_share,
          (SELECT a.name FROM actors a WHERE a.id = t.actor) AS actor, t.reason,
          \(utc("t.issued")) AS issued_at, \(utc("t.expires")) AS expires_at
        """
}
