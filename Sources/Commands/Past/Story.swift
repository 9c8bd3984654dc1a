import Codec
package import Domain
import Wire

/// How one job or deployment came to be what it is: the events that touched it, and the states that they caused.
package struct Story {
    package struct Line: Hashable, Sendable, Encodable {
        package var sequence: LogSequence
        /// RFC 3339.
        package var time: String
        package var type: String
        package var actor: String
        /// The state that the event caused; nil where it changed none.
        package var state: String?
        package var words: String
    }

    package enum Subject: Hashable, Sendable {
        case job(JobID)
        case deployment(Revision)
        /// Of a region's log.
        case peer(PeerName)
    }

    let log: any AskedLog

    package init(log: any AskedLog) { self.log = log }

    /// The subject's events, in order; signs of life only where a stage begins.
    ///
    /// - Throws: `CommandStop` where the log has no such job or deployment.
    package func lines(of subject: Subject) async throws -> [Line] {
        switch subject {
        case .job(let id):
            try log.requireGlobal()
            return try await lines(ofJob: id)
        case .deployment(let id):
            try log.requireGlobal()
            return try await lines(ofDeployment: id)
        case .peer(let name): return try await lines(ofPeer: name)
        }
    }

    /// What concerns the peer: its own events, and the targets that its region took over since it is there.
    private func lines(ofPeer name: PeerName) async throws -> [Line] {
        guard log.isRegional else {
            throw CommandStop(
                .refused, "drover: \(log.name) is the global log, which has no peers: name their region's log")
        }
        let events = try await log.events(
            where: """
                e.peer = '\(name)' OR e.sequence IN (SELECT from_sequence FROM target_versions WHERE from_sequence >
                  (SELECT min(sequence) FROM event_rows WHERE peer = '\(name)'))
                """)
        guard !events.isEmpty else {
            throw CommandStop(.refused, "drover: \(log.name) has no peer \(name): drover peers lists them")
        }
        return Self.lines(ofPeer: events)
    }

    /// The same of events that are known to concern it.
    static func lines(ofPeer events: [ToldEvent]) -> [Line] {
        events.map { event in
            let decoded = try? RegionalCodec().decode(event.frame)?.event
            return Line(
                sequence: event.sequence, time: event.time, type: event.type,
                actor: event.frame.header.actor.description, state: decoded.flatMap(peerState), words: event.words)
        }
    }

    /// The peer's state that an event of its own is.
    private static func peerState(_ event: RegionEvent) -> String? {
        switch event {
        case .peerEnrolled, .peerReturned: "live"
        case .peerSilent: "silent"
        case .peerChanged(_, let app, let report):
            "\(app) \(report.build.map { "build \($0) " } ?? "")\(report.health.rawValue)"
        case .log, .taken, .followed, .refollowed, .packStored, .packLost, .packRemoved: nil
        }
    }

    private func lines(ofJob id: JobID) async throws -> [Line] {
        let events = try await log.events(where: "e.job = \(id)")
        guard !events.isEmpty else {
            throw CommandStop(.refused, "drover: \(log.name) has no job \(id): drover jobs lists them")
        }
        let stages = try await sequences(
            "SELECT min(sequence) AS sequence FROM heartbeat_rows WHERE job = \(id) GROUP BY attempt, stage")
        let told = events.filter { $0.type != "job-heartbeat" || stages.contains($0.sequence) }
        return lines(told, try await states("SELECT from_sequence, status FROM job_versions WHERE job = \(id)"))
    }

    private func lines(ofDeployment id: Revision) async throws -> [Line] {
        let isIts = "epoch = \(id.epoch) AND number = \(id.number)"
        let begun = try await log.all("SELECT app, build, sequence FROM deployment_rows WHERE \(isIts)")
        guard let row = begun.first, let app = row["app"]?.text, let build = row["build"]?.number,
            let start = row["sequence"]?.number
        else {
            throw CommandStop(.refused, "drover: \(log.name) has no deployment \(id): drover status lists open ones")
        }
        let versions = "SELECT from_sequence, status FROM deployment_versions WHERE \(isIts)"
        let states = try await states(versions)
        let end = states.filter { !["waiting", "running"].contains($0.state) }.map(\.sequence.rawValue).first
        let span = "BETWEEN \(start) AND \(end.map { "\($0)" } ?? "9223372036854775807")"
        let parts = [
            "SELECT from_sequence FROM deployment_versions WHERE \(isIts)",
            "SELECT sequence FROM deployment_region_rows WHERE \(isIts)",
            "SELECT from_sequence FROM target_versions WHERE deployment_epoch = \(id.epoch) "
                + "AND deployment_number = \(id.number)",
            "SELECT from_sequence FROM region_level_versions WHERE app = '\(app)' AND from_sequence \(span)",
            "SELECT from_sequence FROM pack_region_versions WHERE build = \(build) AND from_sequence \(span)",
            "SELECT from_sequence FROM region_versions WHERE from_sequence \(span)",
        ]
        let events = try await log.events(where: "e.sequence IN (\(parts.joined(separator: " UNION ")))")
        return lines(events, states)
    }

    /// Each state with the event that caused it, in order; a row that repeats the one before is none.
    private func states(_ sql: String) async throws -> [(sequence: LogSequence, state: String)] {
        var states: [(sequence: LogSequence, state: String)] = []
        for row in try await log.all(sql + " ORDER BY from_sequence") {
            guard let sequence = row["from_sequence"]?.number, let state = row["status"]?.text,
                state != states.last?.state
            else { continue }
            states.append((LogSequence(rawValue: sequence), state))
        }
        return states
    }

    private func sequences(_ sql: String) async throws -> Set<LogSequence> {
        Set(try await log.all(sql).compactMap { $0["sequence"]?.number }.map { LogSequence(rawValue: $0) })
    }

    private func lines(_ events: [ToldEvent], _ states: [(sequence: LogSequence, state: String)]) -> [Line] {
        let caused = Dictionary(states.map { ($0.sequence, $0.state) }) { first, _ in first }
        return events.map { event in
            Line(
                sequence: event.sequence, time: event.time, type: event.type,
                actor: event.frame.header.actor.description, state: caused[event.sequence], words: event.words)
        }
    }
}
