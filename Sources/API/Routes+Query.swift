import Domain
import Engine
import Hummingbird
import Ports
import Serving
import Wire

extension GlobalAPI {
    /// A person's SELECT over the views, now or as they were at a moment.
    @Sendable func query(_ request: Request, _ context: ServingContext) async throws -> Response {
        let body = try await request.strictBody(QueryBody.self, settings.serving)
        let sequence = try await sequence(at: body.at)
        let answer = try await world.views.query(
            body.sql, arguments: [], at: sequence, maximumRows: settings.maximumQueryRows)
        return try .json(answer, at: answer.sequence)
    }

    /// What `?at=` names; nil where it names nothing.
    func pastSequence(_ query: QueryParameters) async throws(Problem) -> LogSequence? {
        let words = "a sequence, or an RFC 3339 time in UTC such as 2026-01-31T12:00:00Z"
        return try await sequence(at: try query.value("at", words, LogMoment.init(_:)))
    }

    /// As of what `?at=` names; nil where it names nothing.
    func past(_ query: QueryParameters) async throws(Problem) -> PastReading? {
        guard query.text("at") != nil else { return nil }
        return try await pastSequence(query).map { PastReading(views: world.views, sequence: $0) }
    }

    /// The sequence that a moment means, once the views have reached it; nil without one.
    ///
    /// Fails with `invalid` for what is after the log's head (a time: after now too), and for a time before its first
    /// event.
    func sequence(at moment: LogMoment?) async throws(Problem) -> LogSequence? {
        let head = engine.head.sequence
        if case .sequence(let sequence)? = moment, sequence > head {
            throw Problem(
                .invalid, "at is \(sequence), but the log ends at \(head): leave it out to see the present",
                sequence: head)
        }
        // What views of another version know is told at once: the answer says which sequence it is true at.
        if !world.views.areOutdated { try await waitForViews() }
        switch moment {
        case nil: return nil
        case .sequence(let sequence): return sequence
        case .time(let time): return try await sequence(at: time, head: head)
        }
    }

    private func sequence(at time: Timestamp, head: LogSequence) async throws(Problem) -> LogSequence {
        let now = Timestamp(milliseconds: SystemClock().read().wallMilliseconds)
        let place = try await world.views.place(of: time)
        guard time <= max(now, place.last ?? now) else {
            throw Problem(
                .invalid, "at is \(time.rfc3339), but it is \(now.rfc3339): leave it out to see the present",
                sequence: head)
        }
        guard let sequence = place.sequence else {
            let first = place.first?.rfc3339 ?? now.rfc3339
            throw Problem(
                .invalid, "at is \(time.rfc3339), before the log's first event: name a time from \(first) on",
                sequence: head)
        }
        return sequence
    }
}
