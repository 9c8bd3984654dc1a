import Domain
import Foundation
import Testing

/// What stands under `seeds/`, and places to work in.
enum Seeds {
    /// This file stands in Tests/Scenario.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "seeds")

    /// `DROVER_REWRITE=1` writes the expected files anew instead of comparing; recordings and golden logs never change.
    static let rewrites = ProcessInfo.processInfo.environment["DROVER_REWRITE"] == "1"

    /// Every log of every scenario, and of every shrunk incident, in order.
    static let logs: [RecordedLog] = ["scenarios", "regressions"].flatMap { place in
        folders(in: folder.appending(path: place)).flatMap { scenario in
            folders(in: folder.appending(path: "\(place)/\(scenario)")).map {
                RecordedLog(scenario: scenario, name: $0, place: place)
            }
        }
    }

    /// What `drover shrink` wrote.
    static let shrunk = logs.filter(\.isShrunk)

    static func folders(in folder: URL) -> [String] {
        names(in: folder).filter { folder.appending(path: $0).isFolder }
    }

    static func names(in folder: URL) -> [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        return (names ?? []).filter { !$0.hasPrefix(".") && !$0.hasSuffix(".md") }.sorted()
    }
}

/// One log of a scenario: `log.ndjson`, the expected `end.json` and the expected `views/`.
struct RecordedLog: Sendable, CustomTestStringConvertible {
    var scenario: String
    /// `global`, or `region-NAME`.
    var name: String
    /// The folder of `seeds/` that it stands in.
    var place = "scenarios"

    static let global = "global"

    var testDescription: String { "\(scenario)/\(name)" }
    var folder: URL { Seeds.folder.appending(path: "\(place)/\(scenario)/\(name)") }
    var isGlobal: Bool { name == Self.global }
    var isShrunk: Bool { place == "regressions" }

    func bytes() throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: "log.ndjson"))) }

    /// Calls with the log's kind.
    func check(_ check: any KindCheck) async throws {
        if isGlobal { try await check.run(self, GlobalKind.self) } else { try await check.run(self, RegionalKind.self) }
    }
}

/// A directory for one test, removed when it is over.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/drover-scenario-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func inside(_ name: String) -> String { "\(path)/\(name)" }
}

extension URL {
    fileprivate var isFolder: Bool { (try? resourceValues(forKeys: [.isDirectoryKey]).isDirectory) == true }
}
