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

    var sequence: LogSequence { frame.header.sequence }
    var time: String { frame.header.time.rfc3339 }
}

extension AskedLog {
    private static var eventsAtOnce: Int { 2000 }

    /// The events for which a condition on the columns of `event_rows e` holds, in order.
    func events(where condition: String) async throws -> [ToldEvent] {
        var events: [ToldEvent] = []
        while true {
            let page = try await all(
                """
                SELECT e.sequence, e.epoch, e.time, e.type, e.revision, a.name AS actor, e.command, e.cause, e.key,
                  e.derived, e.payload, coalesce(t.name, 'type ' || e.type) AS name,
                  event_data(e.type, e.revision, e.payload) AS data
                FROM event_rows e JOIN actors a ON a.id = e.actor LEFT JOIN event_types t ON t.number = e.type
                WHERE e.sequence > \(events.last?.sequence ?? .zero) AND (\(condition))
                ORDER BY e.sequence LIMIT \(Self.eventsAtOnce)
                """)
            events += try page.map(told)
            if page.count < Self.eventsAtOnce { return events }
        }
    }

    private func told(_ row: [String: WireValue]) throws -> ToldEvent {
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
        let frame = Frame(
            header: header, type: UInt16(clamping: number("type")),
            schemaRevision: UInt16(clamping: number("revision")),
            payload: payload)
        return ToldEvent(
            frame: frame, type: row["name"]?.text ?? "", data: row["data"]?.text.map(JSONText.init),
            words: words(frame))
    }
}
