import Domain
import Foundation
import SwiftProtobuf

/// A line as it is read; its members may stand in any order.
struct ParsedLine: Decodable {
    let line: NDJSON.Line

    init(from decoder: any Swift.Decoder) throws {
        let object = try decoder.container(keyedBy: TextCodingKey.self)
        var reader = FieldReader(object)
        if object.contains(TextCodingKey(text: "batch")) {
            var batch = BatchField()
            try reader.field("batch", &batch)
            line = .batch(end: try batch.position.value())
        } else {
            let header = try Self.header(&reader)
            let redaction = try Self.redaction(&reader)
            var frame = try Self.frame(object, header, &reader)
            frame.redaction = redaction
            line = .event(frame)
        }
        try reader.finish()
    }

    private static func header(_ reader: inout FieldReader) throws -> FrameHeader {
        var (sequence, epoch, command, cause): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var (time, actor, key, isDerived) = (Int64(0), Drover_V1_Actor(), String?.none, false)
        try reader.field("sequence", &sequence)
        try reader.field("epoch", &epoch)
        try reader.time("time", &time)
        try reader.field("command", &command)
        try reader.field("cause", &cause)
        try reader.field("actor", &actor)
        try reader.optional("key", &key)
        try reader.field("derived", &isDerived)
        return FrameHeader(
            epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
            time: Timestamp(milliseconds: time), command: LogSequence(rawValue: command),
            cause: LogSequence(rawValue: cause), actor: try actor.value(), key: key, isDerived: isDerived)
    }

    private static func redaction(_ reader: inout FieldReader) throws -> Redaction? {
        var (text, bytes) = (String?.none, UInt64?.none)
        try reader.optional("redacted", &text)
        try reader.optional("redacted_bytes", &bytes)
        guard text != nil || bytes != nil else { return nil }
        guard let digest = text.flatMap({ Digest(hex: $0) }), let bytes = bytes.flatMap({ UInt16(exactly: $0) }) else {
            throw CodecFailure.malformed("redacted", "is not a digest beside a number of bytes")
        }
        return Redaction(digest: digest, payloadBytes: bytes)
    }

    private static func frame(
        _ object: JSONObject, _ header: FrameHeader, _ reader: inout FieldReader
    ) throws -> Frame {
        var type = TypeField(number: 0)
        try reader.field("type", &type)
        guard object.contains(TextCodingKey(text: "data")) else {
            var (schema, payload) = (UInt64(0), Data())
            try reader.field("schema", &schema)
            try reader.field("payload", &payload)
            guard let revision = UInt16(exactly: schema) else {
                throw CodecFailure.malformed("schema", "is not below 65536")
            }
            return Frame(header: header, type: type.number, schemaRevision: revision, payload: Array(payload))
        }
        guard let known = EventType(rawValue: Int(type.number)), let message = known.message else {
            throw CodecFailure(.upgradeNeeded, "event type \(type.number) is not known to this version: upgrade Drover")
        }
        let event = try read(message, known, &reader)
        return Frame(
            header: header, type: event.type, schemaRevision: event.schemaRevision, payload: event.payload)
    }

    /// The event in `data`, encoded anew: it is what its type's codec accepts.
    private static func read<Message: NamedMessage>(
        _ message: Message.Type, _ type: EventType, _ reader: inout FieldReader
    ) throws -> EncodedEvent {
        var message = Message()
        try reader.field("data", &message)
        return try type.reencoded(try type.seal(message).payload)
    }
}

/// `{"end": POSITION}`.
struct BatchField: JSONField {
    var position = Drover_V1_LogPosition()

    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("end", position)
        writer.endObject()
    }

    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> BatchField {
        var member = BatchField()
        var reader = FieldReader(try object.nestedContainer(keyedBy: TextCodingKey.self, forKey: key))
        try reader.field("end", &member.position)
        try reader.finish()
        return member
    }
}

/// An event's type: its name, or its number where it has none.
struct TypeField: JSONField {
    var number: UInt16

    func write(to writer: inout JSONWriter) {
        if let name = eventTypeName(number) { writer.string(name) } else { writer.number(number) }
    }

    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> TypeField {
        if let number = try? object.decode(UInt16.self, forKey: key) { return TypeField(number: number) }
        let name = try object.decode(String.self, forKey: key)
        guard let number = eventType(named: name) else {
            throw CodecFailure(.upgradeNeeded, "event type \(name) is not known to this version: upgrade Drover")
        }
        return TypeField(number: number)
    }
}
