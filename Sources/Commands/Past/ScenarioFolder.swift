import Codec
package import Domain
package import Foundation
import Ports
import Views

/// What a recorded log amounts to: `end.json` beside it.
package struct RecordedEnd: Codable, Equatable {
    package var end: LogPosition
    /// The SHA-256 of the state's canonical bytes.
    package var state: Digest

    package init(end: LogPosition, state: Digest) { (self.end, self.state) = (end, state) }

    package init(in folder: URL) throws {
        self = try JSONDecoder().decode(RecordedEnd.self, from: Data(contentsOf: Self.file(folder)))
    }

    package func write(in folder: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try (encoder.encode(self) + Data("\n".utf8)).write(to: Self.file(folder))
    }

    private static func file(_ folder: URL) -> URL { folder.appending(path: "end.json") }
}

/// A shrunk incident as the tests replay it: its log, what that amounts to, and a page that tells it.
struct ScenarioFolder {
    var log: AlternativeLog
    /// What holds at its end.
    var statement: String
    /// What it was shrunk from.
    var origin: String

    static let readme = "README.md"
    static let predicate = "predicate.sql"

    /// Writes a new directory, whole or not at all.
    func write(to directory: String, told: [ToldEvent], views: ViewDump) throws {
        guard !FileManager.default.fileExists(atPath: directory) else {
            throw CommandStop(.refused, "drover: \(directory) is there already: remove it, or name another place")
        }
        let part = directory + ".partial"
        try? FileManager.default.removeItem(atPath: part)
        do {
            let folder = URL(filePath: part)
            let global = folder.appending(path: "global")
            try FileManager.default.createDirectory(at: global, withIntermediateDirectories: true)
            try Data(log.batches.flatMap { NDJSON.lines($0) }).write(to: global.appending(path: "log.ndjson"))
            try RecordedEnd(end: log.head, state: try StateCodec.stateHash(log.state)).write(in: global)
            try views.write(to: global.appending(path: "views"))
            try Data((statement + "\n").utf8).write(to: folder.appending(path: Self.predicate))
            try Data(page(told, at: directory).utf8).write(to: folder.appending(path: Self.readme))
            try FileManager.default.moveItem(atPath: part, toPath: directory)
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw CommandStop(.failed, "drover: \(directory) cannot be written: \(error.localizedDescription)")
        }
    }

    private func page(_ told: [ToldEvent], at directory: String) -> String {
        let name = URL(filePath: directory).lastPathComponent
        let rows = told.map { event in
            "| \(event.sequence) | \(event.time.dropFirst(11).dropLast()) | \(event.words.replacing("|", with: "\\|")) |"
        }
        return """
            # \(name)

            The fewest events found, decided by the system itself, after which this holds:

                \(statement)

            Shrunk by `drover shrink` from \(origin). Signs of life are left out and times shortened as far as it still
            holds.

            | sequence | time | what happened |
            |---|---|---|
            \(rows.joined(separator: "\n"))

            See it: `drover replay \(directory)/global/log.ndjson`
            """ + "\n"
    }
}
