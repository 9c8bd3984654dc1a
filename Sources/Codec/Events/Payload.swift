import Domain
import SwiftProtobuf

/// What a frame leaves for a payload beside the longest header, key and actor. Longer events are refused.
package let maximumPayloadBytes = maximumFrameBytes - 64 - maximumKeyBytes - 64

extension EventType {
    /// The event with this message as its payload.
    func seal(
        _ message: some SwiftProtobuf.Message, revision: UInt16 = 1
    ) throws(CodecFailure) -> EncodedEvent {
        let payload: [UInt8]
        do {
            payload = try message.serializedBytes()
        } catch {
            throw .malformed("\(name ?? "\(number)")", "cannot be encoded (\(error))")
        }
        return try seal(payload, revision: revision)
    }

    /// The event with these bytes of its message as its payload.
    func seal(_ payload: [UInt8], revision: UInt16 = 1) throws(CodecFailure) -> EncodedEvent {
        guard payload.count <= maximumPayloadBytes else {
            throw CodecFailure(
                .tooLarge,
                "\(name ?? "\(number)") would take \(payload.count) bytes, the limit is \(maximumPayloadBytes): "
                    + "shorten its texts")
        }
        return EncodedEvent(type: number, schemaRevision: revision, payload: payload)
    }

    /// The payload as this type's message.
    func open<Message: SwiftProtobuf.Message>(_ payload: [UInt8]) throws(CodecFailure) -> Message {
        let message: Message
        do {
            message = try Message(serializedBytes: payload)
        } catch {
            throw .malformed("payload of \(name ?? "\(number)")", "is not its message (\(error))")
        }
        try message.checkFields(name ?? "\(number)")
        return message
    }
}

extension SwiftProtobuf.Message {
    /// Fails when the message holds fields that this revision of it has not.
    func checkFields(_ field: String) throws(CodecFailure) {
        guard unknownFields.data.isEmpty else { throw .malformed(field, "has fields of no known revision") }
    }
}

/// The message in a field that must be there.
func required<Message: SwiftProtobuf.Message>(
    _ isPresent: Bool, _ message: Message, _ field: String
) throws(CodecFailure) -> Message {
    guard isPresent else { throw .malformed(field, "is missing") }
    try message.checkFields(field)
    return message
}

func name<Name: NameIdentifier>(_ text: String, _ field: String) throws(CodecFailure) -> Name {
    guard let name = Name(rawValue: text) else {
        throw .malformed(field, "is not 1 to \(maximumNameBytes) of a-z 0-9 . _ -")
    }
    return name
}

/// A domain enumeration's message counterpart.
protocol WireEnum: SwiftProtobuf.Enum {
    associatedtype Value: RawRepresentable<String> & CaseIterable

    init(_ value: Value)
    /// Nil for zero and for numbers this version does not know.
    var value: Value? { get }
}

extension WireEnum {
    func value(_ field: String) throws(CodecFailure) -> Value {
        guard let value else { throw .malformed(field, "has the unknown value \(rawValue)") }
        return value
    }
}
