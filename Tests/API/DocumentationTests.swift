import API
import Domain
import Foundation
import Hummingbird
import Testing
import Wire

/// `Schemas/openapi.yaml` and the router name the same routes.
struct DocumentationTests {
    /// `GET /v1/jobs/{id}` of the document's `paths`, which stand at fixed indents.
    private func documented() throws -> Set<String> {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "Schemas/openapi.yaml"), encoding: .utf8)
        var routes: Set<String> = []
        var (isInPaths, path) = (false, "")
        for line in text.components(separatedBy: "\n") {
            if !line.hasPrefix(" "), !line.isEmpty { isInPaths = line == "paths:" }
            guard isInPaths else { continue }
            let indent = line.prefix { $0 == " " }.count
            let word = String(line.dropFirst(indent).prefix { $0 != ":" })
            if indent == 2 { path = word }
            if indent == 4, ["get", "post", "put", "delete", "patch"].contains(word) {
                #expect(routes.insert("\(word.uppercased()) \(path)").inserted, "\(word) \(path) is there twice")
            }
        }
        return routes
    }

    @Test func everyRouteIsDocumentedAndNoOther() async throws {
        let fixture = try Fixture()
        let registered = Set(fixture.api.router().routes.map { "\($0.method.rawValue) \($0.path)" })
        try await fixture.close()
        let documented = try documented()
        #expect(registered.subtracting(documented).sorted() == [])
        #expect(documented.subtracting(registered).sorted() == [])
        #expect(registered.count > 30)
    }

    @Test func everyCodeIsDocumented() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "Schemas/openapi.yaml"), encoding: .utf8)
        for code in allProblemCodes { #expect(text.contains("\(code)"), "\(code)") }
    }
}

private let allProblemCodes: [String] =
    TransportCode.allCases.map(\.rawValue) + RefusalCode.allCases.map(\.rawValue)
