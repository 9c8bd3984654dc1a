import Domain
import Foundation
import SwiftProtobuf

typealias JSONObject = KeyedDecodingContainer<TextCodingKey>

/// A value of one JSON member. What is written is read back as it was.
protocol JSONField {
    func write(to writer: inout JSONWriter)
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Self
}

extension JSONField where Self: FixedWidthInteger & Decodable {
    func write(to writer: inout JSONWriter) { writer.number(self) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Self {
        try object.decode(Self.self, forKey: key)
    }
}

extension UInt64: JSONField {}
extension UInt32: JSONField {}
extension Int64: JSONField {}
extension Int32: JSONField {}

extension Bool: JSONField {
    func write(to writer: inout JSONWriter) { writer.flag(self) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Bool {
        try object.decode(Bool.self, forKey: key)
    }
}

extension String: JSONField {
    func write(to writer: inout JSONWriter) { writer.string(self) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> String {
        try object.decode(String.self, forKey: key)
    }
}

/// Digests and identities, in hexadecimal.
extension Data: JSONField {
    func write(to writer: inout JSONWriter) { writer.string(hexadecimal(self)) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Data {
        guard let bytes = bytesFromHex(try object.decode(String.self, forKey: key)) else {
            throw CodecFailure.malformed(key.stringValue, "is not hexadecimal")
        }
        return Data(bytes)
    }
}

/// A time in RFC 3339.
struct TimeField: JSONField {
    var milliseconds: Int64

    func write(to writer: inout JSONWriter) { writer.string(Timestamp(milliseconds: milliseconds).rfc3339) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> TimeField {
        guard let time = Timestamp(rfc3339: try object.decode(String.self, forKey: key)) else {
            throw CodecFailure.malformed(key.stringValue, "is not a time such as 2026-01-01T00:00:00.000Z")
        }
        return TimeField(milliseconds: time.milliseconds)
    }
}

/// Labels as one object.
extension [Drover_V1_Label]: JSONField {
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        for label in self { writer.member(label.key, label.value) }
        writer.endObject()
    }

    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> [Drover_V1_Label] {
        pairs(try object.decode([String: String].self, forKey: key))
    }
}

/// An enumeration by its domain name, as in `waiting-over`.
struct ChoiceField<Choice: WireEnum>: JSONField {
    var choice: Choice

    func write(to writer: inout JSONWriter) { writer.string(choice.value?.rawValue ?? "") }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> ChoiceField {
        guard let value = Choice.Value(rawValue: try object.decode(String.self, forKey: key)) else {
            let names = Choice.Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw CodecFailure.malformed(key.stringValue, "is none of \(names)")
        }
        return ChoiceField(choice: Choice(value))
    }
}

/// As `EPOCH.NUMBER`.
extension Drover_V1_Revision: JSONField {
    func write(to writer: inout JSONWriter) { writer.string(value.description) }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Drover_V1_Revision {
        guard let revision = Revision(try object.decode(String.self, forKey: key)) else {
            throw CodecFailure.malformed(key.stringValue, "is not a revision such as 1.5")
        }
        return Drover_V1_Revision(revision)
    }
}

/// As `KIND:NAME`.
extension Drover_V1_Actor: JSONField {
    func write(to writer: inout JSONWriter) { writer.string("\(kind.word):\(name)") }
    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Drover_V1_Actor {
        guard let actor = actor(try object.decode(String.self, forKey: key)) else {
            throw CodecFailure.malformed(key.stringValue, "is not an actor such as person:ada")
        }
        return Drover_V1_Actor(actor)
    }
}
