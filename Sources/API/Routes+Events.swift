import Codec
import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Serving
import Wire

extension GlobalAPI {
    func addEventRoutes(to router: Router<ServingContext>) {
        router.get("/v1/events", use: events)
    }

    /// The log behind a sequence, one JSON object a line, or as server-sent events. Ends at the head of now, or with
    /// `follow=true` only when the caller or this process goes.
    @Sendable private func events(_ request: Request, _ context: ServingContext) async throws -> Response {
        let query = try QueryParameters(request, allowed: ["after", "follow"])
        let isEventSource = request.headers[.accept]?.contains("text/event-stream") ?? false
        let resumed = request.headers[ServingHeader.lastEventID].flatMap { plainDecimal($0) }
        let after = LogSequence(rawValue: try resumed ?? query.number("after") ?? 0)
        let follow = try query.flag("follow")
        try await log.requireStored(after: after)
        let head = engine.head.sequence
        let lines: EventLines = isEventSource ? .serverSentEvents : .ndjson
        var response = Response(
            status: .ok,
            body: ResponseBody { writer in
                try await write(after: after, end: follow ? nil : head, lines, to: &writer)
                try await writer.finish(nil)
            })
        response.headers[.contentType] = isEventSource ? "text/event-stream" : "application/x-ndjson"
        response.headers[.cacheControl] = "no-store"
        response.headers[ServingHeader.sequence] = head.description
        return response
    }

    private func write(
        after: LogSequence, end: LogSequence?, _ lines: EventLines, to writer: inout any ResponseBodyWriter
    ) async throws {
        var last = after
        while true {
            let head = engine.head.sequence
            while last < min(head, end ?? head) {
                guard let (buffer, next) = try await part(after: last, upTo: min(head, end ?? head), lines) else {
                    break
                }
                try await writer.write(buffer)
                last = next
            }
            guard end == nil, !isEnding else { return }
            let deadline = ContinuousClock.now.advanced(by: .seconds(settings.streamKeepAliveSeconds))
            if await !waitForChange(after: head, until: deadline) {
                if isEnding { return }
                try await writer.write(ByteBuffer(string: lines.keepAlive))
            }
        }
    }

    /// The next lines, none past `end` (which is a batch's), and the sequence they reach; nil when there are none.
    private func part(
        after sequence: LogSequence, upTo end: LogSequence, _ lines: EventLines
    ) async throws -> (ByteBuffer, LogSequence)? {
        let batches = try await log.read(after: sequence, maximumFrames: settings.logFramesAtOnce)
            .filter { $0.end.sequence <= end }
        guard let last = batches.last else { return nil }
        var buffer = ByteBuffer()
        for batch in batches { lines.write(batch, to: &buffer) }
        return (buffer, last.end.sequence)
    }
}

/// How events stand in the stream.
private enum EventLines: Sendable {
    /// A line an event; behind a batch's last, a line with the position at its end.
    case ndjson
    /// The id is the sequence, so that a browser that comes back says where it was.
    case serverSentEvents

    /// What says nothing but that the stream lives.
    var keepAlive: String {
        switch self {
        case .ndjson: "\n"
        case .serverSentEvents: ":\n\n"
        }
    }

    func write(_ batch: FrameBatch, to buffer: inout ByteBuffer) {
        switch self {
        case .ndjson: buffer.writeBytes(NDJSON.lines(batch))
        case .serverSentEvents:
            for frame in batch.frames {
                buffer.writeString("id: \(frame.header.sequence)\ndata: ")
                buffer.writeBytes(NDJSON.line(frame))
                buffer.writeString("\n\n")
            }
        }
    }
}
