package import Domain
package import Foundation
package import HTTPTypes
package import Hummingbird
package import Wire

/// Header names as the HTTP library wants them.
package enum ServingHeader {
    package static let sequence = name(WireHeader.sequence)
    package static let actor = name(WireHeader.actor)
    package static let idempotencyKey = name(WireHeader.idempotencyKey)
    package static let lastEventID = name("Last-Event-ID")

    private static func name(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("not a header name: \(text)") }
        return name
    }
}

/// A request's query: every parameter known, given once, of its type.
package struct QueryParameters {
    private var values: [String: String] = [:]

    package init(_ request: Request, allowed: [String]) throws(Problem) {
        for (key, value) in request.uri.queryParameters {
            let name = String(key)
            guard allowed.contains(name) else {
                let known = allowed.isEmpty ? "none" : allowed.joined(separator: ", ")
                throw Problem(.badQuery, "this route has no such query parameter: it has \(known)")
            }
            guard values.updateValue(String(value), forKey: name) == nil else {
                throw Problem(.badQuery, "\(name) is given twice: give it once")
            }
        }
    }

    /// Nil when absent or empty.
    package func text(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    package func number(_ name: String) throws(Problem) -> UInt64? {
        guard let text = text(name) else { return nil }
        guard let number = plainDecimal(text) else {
            throw Problem(.badQuery, "\(name) must be a whole number that is not negative")
        }
        return number
    }

    package func flag(_ name: String) throws(Problem) -> Bool {
        switch text(name) {
        case nil, "false": return false
        case "true": return true
        default: throw Problem(.badQuery, "\(name) must be true or false")
        }
    }

    package func value<Value>(_ name: String, _ words: String, _ parse: (String) -> Value?) throws(Problem) -> Value? {
        guard let text = text(name) else { return nil }
        guard let value = parse(text) else { throw Problem(.badQuery, "\(name) must be \(words)") }
        return value
    }

    package func app(_ name: String = "app") throws(Problem) -> AppName? {
        try value(name, "an app's name: 1 to 63 of a-z 0-9 . _ -") { AppName(rawValue: $0) }
    }

    /// `?wait=`, capped, in milliseconds; zero when absent.
    package func waitMilliseconds(_ settings: ServingSettings) throws(Problem) -> Int64 {
        let wait = try value("wait", "a duration such as 500ms, 10s or 3m", WireDuration.init(_:))
        return min(wait?.milliseconds ?? 0, settings.maximumWaitSeconds * 1000)
    }

    /// `?limit=`, between 1 and the most rows of a page.
    package func limit(_ settings: ServingSettings) throws(Problem) -> Int {
        guard let limit = try number("limit") else { return settings.defaultListRows }
        guard limit > 0 else { throw Problem(.badQuery, "limit must be at least 1") }
        return Int(min(limit, UInt64(settings.maximumListRows)))
    }
}

extension ServingContext {
    /// A numeric part of the path.
    package func id<ID: NumericIdentifier>(_ name: String, as type: ID.Type = ID.self) throws(Problem) -> ID {
        guard let id = parameters.get(name).flatMap({ ID($0) }) else {
            throw Problem(.badPath, "\(name) must be a whole number")
        }
        return id
    }

    /// A name in the path.
    package func name<Name: NameIdentifier>(_ name: String, as type: Name.Type = Name.self) throws(Problem) -> Name {
        guard let value = parameters.get(name).flatMap({ Name(rawValue: $0) }) else {
            throw Problem(
                .badPath, "\(name) must be a name: 1 to 63 of a-z 0-9 . _ -, starting with a letter or digit")
        }
        return value
    }
}

extension Request {
    /// The whole body; a problem above the limit, whatever its declared length.
    package func bytes(maximum: Int) async throws -> Data {
        if let declared = headers[.contentLength].flatMap({ plainDecimal($0) }), declared > UInt64(maximum) {
            throw Problem(.tooLarge, "the body is longer than \(maximum) bytes")
        }
        var bytes = Data()
        for try await chunk in body {
            guard bytes.count + chunk.readableBytes <= maximum else {
                throw Problem(.tooLarge, "the body is longer than \(maximum) bytes")
            }
            bytes.append(contentsOf: chunk.readableBytesView)
        }
        return bytes
    }

    /// The body as one of the requests that the wire knows.
    package func strictBody<Body: WireRequest>(_ type: Body.Type, _ settings: ServingSettings) async throws -> Body {
        try await strictBody(type, maximum: settings.maximumBodyBytes)
    }

    /// The same, for a request that may have more bytes than others.
    package func strictBody<Body: WireRequest>(_ type: Body.Type, maximum: Int) async throws -> Body {
        try WireJSON.decodeStrictly(type, from: await bytes(maximum: maximum))
    }

    /// Who says it is calling; anonymous people may.
    package func actor() throws(Problem) -> EventActor {
        guard let text = headers[ServingHeader.actor] else { return .person("anonymous") }
        guard let actor = WireActor.parse(text) else {
            throw Problem(
                .badHeader,
                "\(WireHeader.actor) must be person:NAME, worker:NAME, region:NAME or peer:NAME, with a plain name")
        }
        return actor
    }

    /// The caller's idempotency key; nil when it sends none.
    package func idempotencyKey() throws(Problem) -> String? {
        guard let key = headers[ServingHeader.idempotencyKey] else { return nil }
        guard WireActor.isPrintable(key, maximumBytes: WireHeader.maximumIdempotencyKeyBytes) else {
            throw Problem(
                .badHeader,
                "\(WireHeader.idempotencyKey) must be 1 to \(WireHeader.maximumIdempotencyKeyBytes) printable ASCII "
                    + "characters without spaces")
        }
        return key
    }

    /// `If-Match: "EPOCH.NUMBER"`; nil when absent.
    package func expectedRevision() throws(Problem) -> Revision? {
        guard let text = headers[.ifMatch] else { return nil }
        guard text.count > 2, text.hasPrefix("\""), text.hasSuffix("\""),
            let revision = Revision(String(text.dropFirst().dropLast()))
        else { throw Problem(.badHeader, "If-Match must be a quoted revision, as in \"1.7\"") }
        return revision
    }
}
