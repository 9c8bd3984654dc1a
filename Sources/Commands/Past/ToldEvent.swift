import Domain
import Wire

/// One event of a log for a person, and for `--json`.
struct ToldEvent: Sendable {
    var frame: Frame
    /// As in `job-claimed`.
    var type: String
    /// The event's fields; nil where this version does not know them.
    var data: JSONText?
    /// A sentence.
    var words: String
    /// The job that it is about; nil for none.
    var job: JobID?

    var sequence: LogSequence { frame.header.sequence }
    var time: String { frame.header.time.rfc3339 }
}

extension AskedLog {
    private static var eventsAtOnce: Int { 2000 }

    /// All its frames, in order.
    func frames() async throws -> [Frame] {
        var frames: [Frame] = []
        while true {
            let page = try await page("1", after: frames.last?.header.sequence ?? .zero, withData: false)
            for row in page { frames.append(try frame(row)) }
            if page.count < Self.eventsAtOnce { return frames }
        }
    }

    /// The events for which a condition on the columns of `event_rows e` holds, in order.
    func events(where condition: String) async throws -> [ToldEvent] {
        var events: [ToldEvent] = []
        while true {
            let page = try await page(condition, after: events.last?.sequence ?? .zero, withData: true)
            events += try page.map(told)
            if page.count < Self.eventsAtOnce { return events }
        }
    }

    private func page(
        _ condition: String, after sequence: LogSequence, withData: Bool
    ) async throws -> [[String: WireValue]] {
        try await all(
            """
            SELECT e.sequence, e.epoch, e.time, e.type, e.revision, a.name AS actor, e.command, e.cause, e.key,
              e.derived, e.payload, e.job, coalesce(t.name, 'type ' || e.type) AS name,
              \(withData ? "event_data(e.type, e.revision, e.payload)" : "NULL") AS data
            FROM event_rows e JOIN actors a ON a.id = e.actor LEFT JOIN event_types t ON t.number = e.type
            WHERE e.sequence > \(sequence) AND (\(condition))
            ORDER BY e.sequence LIMIT \(Self.eventsAtOnce)
            """)
    }

    private func told(_ row: [String: WireValue]) throws -> ToldEvent {
        let frame = try frame(row)
        return ToldEvent(
            frame: frame, type: row["name"]?.text ?? "", data: row["data"]?.text.map(JSONText.init),
            words: words(frame), job: row["job"]?.number.map { JobID(rawValue: $0) })
    }

    private func frame(_ row: [String: WireValue]) throws -> Frame {
        func number(_ column: String) -> UInt64 { row[column]?.number ?? 0 }
        guard let sequence = row["sequence"]?.number, let time = row["time"]?.integer,
            let actor = row["actor"]?.text.flatMap({ EventActor($0) }),
            let payload = bytesFromHex(row["payload"]?.text ?? "")
        else { throw CommandStop(.failed, "drover: \(name) has an event that cannot be read: upgrade drover") }
        let header = FrameHeader(
            epoch: Epoch(rawValue: number("epoch")), sequence: LogSequence(rawValue: sequence),
            time: Timestamp(milliseconds: time), command: LogSequence(rawValue: number("command")),
            cause: LogSequence(rawValue: number("cause")), actor: actor, key: row["key"]?.text,
            isDerived: number("derived") == 1)
        return Frame(
            header: header, type: UInt16(clamping: number("type")),
            schemaRevision: UInt16(clamping: number("revision")),
            payload: payload)
    }
}
