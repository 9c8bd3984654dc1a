import Domain
import Foundation
import SwiftProtobuf
import Testing

@testable import Codec

/// `Schemas/events.proto` and the code agree about every event type.
struct SchemaTests {
    private struct Line {
        var name: String
        var number: UInt16
        var comment: String
    }

    @Test func everyTypeIsUniqueNamedAndDocumented() throws {
        let lines = try typeLines()
        #expect(lines.count == knownEventTypes.count)
        #expect(Set(lines.map(\.number)).count == lines.count)
        #expect(Set(lines.map(\.name)).count == lines.count)
        for line in lines {
            #expect(eventTypeName(line.number) == line.name)
            #expect(eventType(named: line.name) == line.number)
            let message = EventType(rawValue: Int(line.number))?.message?.protoMessageName.split(separator: ".").last
            let documented = line.comment.split(separator: ":").first?.split(separator: " ").last
            #expect(message == documented, "\(line.name) is documented as \(line.comment)")
            #expect(line.comment.split(separator: ":").count >= 2, "\(line.name) has no explanation")
        }
    }

    @Test func knownTypesAscendAndZeroIsNone() {
        #expect(knownEventTypes == knownEventTypes.sorted())
        #expect(eventTypeName(0) == nil)
        #expect(eventType(named: "unspecified") == nil)
    }

    @Test func informativeTypesAreDecidedDeliberately() {
        let informative = knownEventTypes.filter { eventWeight($0) == .informative }.compactMap(eventTypeName)
        #expect(
            informative == ["refused", "enqueue-reused", "state-hashed", "backup-proved", "payload-redacted"])
    }

    /// The lines of `enum EventType`, but for its zero.
    private func typeLines() throws -> [Line] {
        let schema = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Schemas/events.proto")
        let text = try String(contentsOf: schema.standardizedFileURL, encoding: .utf8)
        let body = try #require(text.split(separator: "enum EventType {").last?.split(separator: "\n}").first)
        return try body.split(separator: "\n").filter { $0.contains("EVENT_TYPE_") && !$0.contains("= 0;") }.map {
            line in
            let parts = line.split(separator: "//", maxSplits: 1)
            try #require(parts.count == 2, "\(line) has no comment")
            let words = parts[0].split(whereSeparator: { " =;".contains($0) })
            let name = words[0].dropFirst("EVENT_TYPE_".count).lowercased().replacing("_", with: "-")
            return Line(name: name, number: try #require(UInt16(words[1])), comment: String(parts[1]))
        }
    }
}
