import Codec
import Domain

/// The text of an event's data, as `data` has it in the log's NDJSON: type, schema revision and payload in, JSON out.
/// Nil for what this version cannot name. Made when somebody reads it, so that the file holds payloads only.
typealias EventData = @Sendable (UInt16, UInt16, [UInt8]) -> String?

let eventData: EventData = { type, revision, payload in
    NDJSON.data(EncodedEvent(type: type, schemaRevision: revision, payload: payload))
}
