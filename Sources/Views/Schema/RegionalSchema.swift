extension ViewSchema {
    /// The views of a regional log.
    package static let regional = ViewSchema(
        kind: .regional,
        tables: RegionalSchema.packTables + RegionalSchema.peerTables,
        views: RegionalSchema.currentViews + RegionalSchema.views)
}

enum RegionalSchema {
    static let packTables = [
        """
        -- What was taken over from the global log, appended. `position` is LOG/EPOCH/SEQUENCE/CHAIN where a proved one was reached.
        CREATE TABLE adoption_rows (
          sequence INTEGER PRIMARY KEY,
          time INTEGER NOT NULL,
          global_sequence INTEGER NOT NULL,
          position TEXT NOT NULL
        )
        """,
        """
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
        ) WITHOUT ROWID
        """,
        """
        -- Regions that may have a pack.
        CREATE TABLE pack_source_versions (
          build INTEGER NOT NULL,
          region TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          PRIMARY KEY (build, region, from_sequence)
        ) WITHOUT ROWID
        """,
    ]

    static let peerTables = [
        """
        -- Neighbour regions, as the global log names them.
        CREATE TABLE region_versions (
          name TEXT NOT NULL,
          from_sequence INTEGER NOT NULL,
          to_sequence INTEGER,
          status TEXT NOT NULL,
          endpoint TEXT NOT NULL,
          PRIMARY KEY (name, from_sequence)
        ) WITHOUT ROWID
        """,
        """
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
        ) WITHOUT ROWID
        """,
        """
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
        ) WITHOUT ROWID
        """,
    ]

    static let currentViews = [
        current("current_packs", of: "pack_versions"),
        current("current_pack_sources", of: "pack_source_versions"),
        current("current_regions", of: "region_versions"),
        current("current_peers", of: "peer_versions"),
        current("current_peer_apps", of: "peer_app_versions"),
    ]

    static let views = [
        """
        -- Packs known here: wanted, stored, lost, removed. sources: regions that may have it, by comma.
        CREATE VIEW packs AS
        SELECT p.build, p.app, p.status, p.attempt, p.settled, lower(hex(p.manifest)) AS manifest, p.packed_bytes, p.since,
          (SELECT coalesce(group_concat(region, ','), '') FROM (
            SELECT s.region FROM current_pack_sources s WHERE s.build = p.build ORDER BY s.region)) AS sources,
          p.detail, p.retired_since, \(utc("p.remove_after")) AS remove_after
        FROM current_packs p
        """,
        """
        -- Neighbour regions, as the global log names them: live, silent, suspended, removed.
        CREATE VIEW regions AS
        SELECT name, status, endpoint FROM current_regions
        """,
        """
        -- Machines of the fleet: live, silent. labels: JSON.
        CREATE VIEW peers AS
        SELECT name, labels, endpoint, status, \(utc("time")) AS changed_at FROM current_peers
        """,
        """
        -- What each peer runs: idle, fetching, starting, healthy, failed, stale.
        CREATE VIEW peer_apps AS
        SELECT peer, app, build, \(revision("epoch", "number")) AS revision, health, detail,
          \(utc("time")) AS reported_at
        FROM current_peer_apps
        """,
        """
        -- What was taken over from the global log.
        CREATE VIEW adoptions AS
        SELECT sequence, \(utc("time")) AS time, global_sequence, position FROM adoption_rows
        """,
    ]
}
