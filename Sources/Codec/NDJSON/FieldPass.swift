import Domain
import SwiftProtobuf

/// One pass over a message's fields by name, to write or to read them: each message lists its fields once for both.
protocol FieldPass {
    mutating func field<Value: JSONField>(_ name: String, _ value: inout Value) throws
    /// A member that is left out where there is no value.
    mutating func optional<Value: JSONField>(_ name: String, _ value: inout Value?) throws
}

extension FieldPass {
    mutating func time(_ name: String, _ milliseconds: inout Int64) throws {
        var field = TimeField(milliseconds: milliseconds)
        try self.field(name, &field)
        milliseconds = field.milliseconds
    }

    mutating func choice<Choice: WireEnum>(_ name: String, _ choice: inout Choice) throws {
        var field = ChoiceField(choice: choice)
        try self.field(name, &field)
        choice = field.choice
    }

    /// One of several members, of which exactly one is there. `current` is what it holds now.
    mutating func alternative<Value: JSONField, OneOf>(
        _ name: String, _ oneOf: inout OneOf?, _ current: Value?, _ wrap: (Value) -> OneOf
    ) throws {
        var value = current
        try optional(name, &value)
        guard let value else { return }
        if oneOf != nil, current == nil { throw CodecFailure.malformed(name, "stands beside another alternative") }
        oneOf = wrap(value)
    }
}

/// Writes members; it never fails.
struct FieldWriter: FieldPass {
    var writer: JSONWriter

    mutating func field<Value: JSONField>(_ name: String, _ value: inout Value) { writer.member(name, value) }

    mutating func optional<Value: JSONField>(_ name: String, _ value: inout Value?) {
        if let value { writer.member(name, value) }
    }
}

/// Reads members, and knows whether it has read all of them.
struct FieldReader: FieldPass {
    private let object: JSONObject
    /// Members read so far: in the end, all there are.
    private var count = 0

    init(_ object: JSONObject) { self.object = object }

    mutating func field<Value: JSONField>(_ name: String, _ value: inout Value) throws {
        value = try Value.read(object, TextCodingKey(text: name))
        count += 1
    }

    mutating func optional<Value: JSONField>(_ name: String, _ value: inout Value?) throws {
        let key = TextCodingKey(text: name)
        guard object.contains(key) else { return value = nil }
        value = try Value.read(object, key)
        count += 1
    }

    /// Fails when there are members that no field has asked for.
    func finish() throws {
        guard object.allKeys.count == count else {
            throw CodecFailure.malformed(object.codingPath.last?.stringValue ?? "line", "has members of no known name")
        }
    }
}

/// A message that JSON shows by its fields' names.
protocol NamedMessage: SwiftProtobuf.Message, JSONField {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws
}

extension NamedMessage {
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        var (copy, pass) = (self, FieldWriter(writer: writer))
        writer = JSONWriter()
        try? copy.fields(&pass)
        writer = pass.writer
        writer.endObject()
    }

    static func read(_ object: JSONObject, _ key: TextCodingKey) throws -> Self {
        var message = Self()
        var reader = FieldReader(try object.nestedContainer(keyedBy: TextCodingKey.self, forKey: key))
        try message.fields(&reader)
        try reader.finish()
        return message
    }
}
