internal import Domain
package import Foundation

/// A request's body: its fields' names are all known, so that a misspelt one is refused instead of passed over.
package protocol WireRequest: Codable, Sendable {
    static var fields: [String] { get }
}

/// JSON as this API speaks it.
package enum WireJSON {
    /// Sorted keys, so that equal values are equal bytes.
    package static func encode(_ value: some Encodable) throws -> Data { try encoder.encode(value) }

    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()
    private static let decoder = JSONDecoder()

    /// An answer's value. Unknown fields are passed over: a newer server may say more.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: Data) throws(Problem) -> Value {
        do {
            return try decoder.decode(type, from: bytes)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw numberProblem(error, bytes) ?? problem(error)
        }
    }

    /// A request's body; an empty one counts as `{}`. Unknown fields are refused by name.
    package static func decodeStrictly<Body: WireRequest>(
        _ type: Body.Type, from bytes: Data
    ) throws(Problem) -> Body {
        try decode(Strict<Body>.self, from: bytes.isEmpty ? Data("{}".utf8) : bytes).body
    }

    /// A body whose fields are all known.
    private struct Strict<Body: WireRequest>: Decodable {
        var body: Body

        init(from decoder: any Decoder) throws {
            let names = try decoder.container(keyedBy: TextCodingKey.self).allKeys.map(\.stringValue)
            if let name = names.filter({ !Body.fields.contains($0) }).min() {
                let known = Body.fields.isEmpty ? "none" : Body.fields.joined(separator: ", ")
                throw Problem(.invalid, "\(shown(name)) is not a field of this request: it has \(known)")
            }
            body = try Body(from: decoder)
        }
    }

    private static func problem(_ error: any Error) -> Problem {
        guard let error = error as? DecodingError else { return Problem(.badJSON, "the body cannot be read as JSON") }
        switch error {
        case .keyNotFound(let key, let context):
            return Problem(.invalid, "\(name(context.codingPath + [key])) is missing")
        case .valueNotFound(let type, let context):
            return Problem(.invalid, "\(name(context.codingPath)) must be \(words(type)), not null")
        case .typeMismatch(let type, let context):
            return Problem(.invalid, "\(name(context.codingPath)) must be \(words(type))")
        case .dataCorrupted(let context):
            if context.codingPath.isEmpty {
                return Problem(.badJSON, "the body is not valid JSON: send one object, encoded as UTF-8")
            }
            return Problem(.invalid, "\(name(context.codingPath)) is not valid\(hint(context))")
        @unknown default: return Problem(.badJSON, "the body cannot be read as JSON")
        }
    }

    /// A number that is too large for its field or not whole: Foundation calls the whole document corrupt then, though
    /// its syntax is sound, and does not name the field.
    private static func numberProblem(_ error: any Error, _ bytes: Data) -> Problem? {
        guard case DecodingError.dataCorrupted(let context) = error, context.codingPath.isEmpty,
            let fields = try? decoder.decode(NumberFields.self, from: bytes)
        else { return nil }
        let place = fields.names.isEmpty ? "a number in the body" : shown(fields.names.joined(separator: " or "))
        return Problem(.invalid, "\(place) is out of bounds, or not a whole number")
    }

    /// `levels.0.app`; `the body` for the document itself.
    private static func name(_ path: [any CodingKey]) -> String {
        path.isEmpty ? "the body" : shown(path.map(\.stringValue).joined(separator: "."))
    }

    /// A caller's text, bounded and on one line.
    private static func shown(_ text: String) -> String {
        let plain = String(text.prefix(60).map { $0.isASCII && !$0.isNewline ? $0 : "?" })
        return plain.count < text.count ? plain + "..." : plain
    }

    private static func words(_ type: any Any.Type) -> String {
        if type is any FixedWidthInteger.Type { return "a whole number" }
        if type == String.self { return "a text" }
        if type == Bool.self { return "true or false" }
        if type is any KeyedType.Type || "\(type)".hasPrefix("Dictionary") { return "an object" }
        return "\(type)".hasPrefix("Array") ? "a list" : "another kind of value"
    }

    /// What the field may be, by its last name.
    private static func hint(_ context: DecodingError.Context) -> String {
        switch context.codingPath.last?.stringValue {
        case "app", "region", "worker", "name": ": a name is 1 to 63 of a-z 0-9 . _ -, starting with a letter or digit"
        case "commit": ": a commit is its full id, 40 or 64 of 0-9 a-f"
        case "manifest": ": a digest is 64 of 0-9 a-f"
        case "at": ": a moment is a sequence, or a text with an RFC 3339 time in UTC"
        case "scope": ": a scope is global or region/NAME"
        case "revision": ": a revision is EPOCH.NUMBER"
        case "stage": ": a stage is one of \(AttemptStage.allCases.map(\.rawValue).joined(separator: ", "))"
        case "reason": ": a reason is one of \(FailureReason.allCases.map(\.rawValue).joined(separator: ", "))"
        default: ""
        }
    }
}

private protocol KeyedType {}

extension Dictionary: KeyedType {}

/// The fields of a document that are numbers.
private struct NumberFields: Decodable {
    var names: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: TextCodingKey.self)
        names = container.allKeys.filter { (try? container.decode(Double.self, forKey: $0)) != nil }
            .map(\.stringValue).sorted()
    }
}
