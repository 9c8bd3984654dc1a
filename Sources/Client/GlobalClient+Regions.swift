package import Domain
package import Wire

extension GlobalClient {
    // MARK: Regions

    package func regions(at moment: LogMoment? = nil) async throws(ClientFailure) -> RegionList {
        try await connection.get("/v1/regions", query: Self.query(("at", moment)))
    }

    package func joinRegion(
        _ name: RegionName, endpoint: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/regions/\(name)/join", RegionJoinBody(endpoint: endpoint), key: key)
    }

    package func reportRegion(
        _ name: RegionName, _ levels: [RegionLevel]
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/regions/\(name)/report", RegionReportBody(levels: levels))
    }

    package enum RegionChange: String, Sendable, CaseIterable {
        case suspend, resume, remove
    }

    package func changeRegion(
        _ name: RegionName, _ change: RegionChange, reason: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/regions/\(name)/\(change.rawValue)", ReasonBody(reason: reason), key: key)
    }

    package func packStored(
        _ region: RegionName, _ build: BuildID, _ attempt: AttemptNumber, manifest: Digest, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post(
            "/v1/regions/\(region)/packs/\(build)/stored", PackStoredBody(attempt: attempt, manifest: manifest),
            key: key)
    }

    package func packLost(
        _ region: RegionName, _ build: BuildID, detail: String, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post(
            "/v1/regions/\(region)/packs/\(build)/lost", DetailBody(detail: detail), key: key)
    }

    package func packRemoved(
        _ region: RegionName, _ build: BuildID, key: String? = nil
    ) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/regions/\(region)/packs/\(build)/removed", EmptyBody(), key: key)
    }

    package func reportStore(_ region: RegionName, _ store: StoreLevel) async throws(ClientFailure) -> DoneAnswer {
        try await connection.post("/v1/regions/\(region)/store", RegionStoreBody(store))
    }

    /// The region's own list of its peers, as of a moment of the global log if one is named.
    package func peers(
        of region: RegionName, at moment: LogMoment? = nil
    ) async throws(ClientFailure) -> PeerList {
        try await connection.get("/v1/regions/\(region)/peers", query: Self.query(("at", moment)))
    }

    /// What concerns one peer in its region's log, as the region says.
    package func events(of peer: PeerName, in region: RegionName) async throws(ClientFailure) -> PeerEventsAnswer {
        try await connection.get("/v1/regions/\(region)/peers/\(peer)/events")
    }

    /// The next part of the feed behind a position (nil: from the log's start). A problem `forked` names the position
    /// to go back to.
    package func feed(
        for region: RegionName, after position: LogPosition?, wait: WireDuration
    ) async throws(ClientFailure) -> FeedAnswer {
        let query = Self.query(
            ("region", region), ("log", position?.log), ("epoch", position?.epoch), ("sequence", position?.sequence),
            ("chain", position?.chain))
        return try await connection.get("/v1/feed", query: query, wait: wait)
    }

    package func feedSnapshot(for region: RegionName) async throws(ClientFailure) -> FeedSnapshotAnswer {
        try await connection.get("/v1/feed/snapshot", query: Self.query(("region", region)))
    }

    // MARK: The whole

    package func status(at moment: LogMoment? = nil) async throws(ClientFailure) -> StatusBody {
        try await connection.get("/v1/status", query: Self.query(("at", moment)))
    }

    /// One SELECT over the views, now or at a moment; the answer names the sequence that it is true at.
    package func query(_ sql: String, at moment: LogMoment? = nil) async throws(ClientFailure) -> QueryAnswer {
        try await connection.post("/v1/query", QueryBody(sql: sql, at: moment))
    }

    /// Whether the process may be sent work; a problem `not-ready` says why not.
    package func ready() async throws(ClientFailure) -> HealthBody { try await connection.get("/readyz") }

    /// The log behind a sequence: to the head of now, or with `follow` without end, over broken connections.
    package func events(after sequence: LogSequence, follow: Bool) -> EventStream {
        EventStream(connection: connection, after: sequence, follow: follow)
    }
}
