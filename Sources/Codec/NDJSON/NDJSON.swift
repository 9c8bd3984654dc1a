package import Domain
import Foundation
import SwiftProtobuf

/// A log as text for people, exports and event streams: one JSON object a line (`Schemas/formats.md`).
///
/// An event's line holds its header and its fields by name. A payload that its message would not give again byte for
/// byte (a type or revision this version does not know, damage) is kept as hexadecimal instead, so that every frame
/// comes back from its line.
package enum NDJSON {
    package enum Line: Hashable, Sendable {
        case event(Frame)
        /// The events since the last such line are one batch, and this is the proved position at its end.
        case batch(end: LogPosition)
    }

    /// A line, without its line feed.
    package static func line(_ frame: Frame) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        write(frame.header, to: &writer)
        if let redaction = frame.redaction {
            writer.member("redacted", redaction.digest.hex)
            writer.member("redacted_bytes", UInt64(redaction.payloadBytes))
        }
        write(frame, to: &writer)
        writer.endObject()
        return writer.bytes
    }

    /// A line, without its line feed.
    package static func line(batchEnd position: LogPosition) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("batch", BatchField(position: Drover_V1_LogPosition(position)))
        writer.endObject()
        return writer.bytes
    }

    /// The batch's lines, each with its line feed: its events, then its end.
    package static func lines(_ batch: FrameBatch) -> [UInt8] {
        var bytes: [UInt8] = []
        for frame in batch.frames {
            bytes.append(contentsOf: line(frame))
            bytes.append(UInt8(ascii: "\n"))
        }
        bytes.append(contentsOf: line(batchEnd: batch.end))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    /// What a line says. Any bytes give a line or a failure.
    package static func parse(_ line: some Collection<UInt8>) throws(CodecFailure) -> Line {
        do {
            return try JSONDecoder().decode(ParsedLine.self, from: Data(line)).line
        } catch let failure as CodecFailure {
            throw failure
        } catch let error as DecodingError {
            throw .malformed("line", "is not an event's (\(reason(error)))")
        } catch {
            throw .malformed("line", "is not JSON (\(error))")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.map(\.stringValue).joined(separator: ".") + ": " + context.debugDescription
        @unknown default: "\(error)"
        }
    }

    private static func write(_ header: FrameHeader, to writer: inout JSONWriter) {
        writer.member("sequence", header.sequence.rawValue)
        writer.member("epoch", header.epoch.rawValue)
        writer.member("time", header.time.rfc3339)
        writer.member("command", header.command.rawValue)
        writer.member("cause", header.cause.rawValue)
        writer.member("actor", actorText(header.actor))
        if let key = header.key { writer.member("key", key) }
        writer.member("derived", header.isDerived)
    }

    private static func write(_ frame: Frame, to writer: inout JSONWriter) {
        writer.member("type", TypeField(number: frame.type))
        if let message = message(of: frame) {
            writer.member("data", message)
        } else {
            writer.member("schema", UInt64(frame.schemaRevision))
            writer.member("payload", hexadecimal(frame.payload))
        }
    }

    /// An event's fields alone, as they stand in its line's `data`; nil where the line has the payload in hexadecimal.
    package static func data(_ event: EncodedEvent) -> String? {
        let header = FrameHeader(epoch: .first, sequence: .zero, time: .zero, command: .zero, actor: .system)
        let frame = Frame(
            header: header, type: event.type, schemaRevision: event.schemaRevision, payload: event.payload)
        guard let message = message(of: frame) else { return nil }
        var writer = JSONWriter()
        message.write(to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The payload's message, if the event it holds has this very payload.
    private static func message(of frame: Frame) -> (any NamedMessage)? {
        guard let type = EventType(rawValue: Int(frame.type)), let messageType = type.message,
            let again = try? type.reencoded(frame.payload), again.payload == frame.payload,
            again.schemaRevision == frame.schemaRevision
        else { return nil }
        return try? messageType.init(serializedBytes: frame.payload)
    }
}

/// `kind:name`, as in `person:ada`.
func actorText(_ actor: EventActor) -> String { "\(Drover_V1_ActorKind(actor.kind).word):\(actor.name)" }

func actor(_ text: String) -> EventActor? {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = Drover_V1_ActorKind.allCases.first(where: { $0.word == parts[0] })?.value else {
        return nil
    }
    return EventActor(kind: kind, name: String(parts[1]))
}

extension Drover_V1_ActorKind {
    var word: String {
        switch self {
        case .system: "system"
        case .person: "person"
        case .worker: "worker"
        case .region: "region"
        case .peer: "peer"
        case .projector: "projector"
        case .unspecified, .UNRECOGNIZED: "unspecified"
        }
    }
}
