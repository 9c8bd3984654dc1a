import Crypto
import Foundation
import Testing

/// Generated code says in its last two lines what it was made from and what it was then; `tools/generate --check` makes it
/// again and compares, which takes a compiler and a minute.
@Suite struct GeneratedTests {
    private static let schema = "Schemas/events.proto"

    @Test func theSchemaIsTheOneItWasMadeFrom() throws {
        let schema = try Data(contentsOf: Tree.root.appending(path: Self.schema))
        let files = try Tree.sources(below: "Sources").filter(\.isGenerated)
        #expect(!files.isEmpty)
        for file in files {
            let problem = try Self.problem(
                in: Data(contentsOf: Tree.root.appending(path: file.path)), madeFrom: schema)
            #expect(problem == nil, "\(file.path): \(problem ?? "") (run tools/generate)")
        }
    }

    /// The check can fail: of another schema, edited by hand, or without its lines.
    @Test func staleAndEditedFilesAreSeen() throws {
        let schema = try Data(contentsOf: Tree.root.appending(path: Self.schema))
        let path = "Sources/Codec/Generated/events.pb.swift"
        let file = try Data(contentsOf: Tree.root.appending(path: path))
        #expect(Self.problem(in: file, madeFrom: schema) == nil)
        #expect(Self.problem(in: file, madeFrom: schema + Data(" ".utf8)) != nil)
        #expect(Self.problem(in: Data(" ".utf8) + file, madeFrom: schema) != nil)
        #expect(Self.problem(in: Data("import Foundation\n".utf8), madeFrom: schema) != nil)
    }

    private static func problem(in file: Data, madeFrom schema: Data) -> String? {
        let lines = file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count > 3, lines[lines.count - 1].isEmpty else { return "it does not say what it was made from" }
        let signed = lines.suffix(3).dropLast()
        let above = file.prefix(file.count - signed.map { $0.count + 1 }.reduce(0, +))
        let said = signed.map { String(decoding: $0.suffix(64), as: UTF8.self) }
        guard said[0] == digest(schema) else { return "it was made from another schema" }
        return said[1] == digest(above) ? nil : "it was edited after it was made"
    }

    private static func digest(_ bytes: some DataProtocol) -> String {
        SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
    }
}
