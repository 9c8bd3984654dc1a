import Foundation

/// The repository's own files, read as text.
enum Tree {
    /// The folder that holds Package.swift: found from this very file.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct Source {
        /// Relative to the root, as in `Sources/Domain/Log/Frame.swift`.
        var path: String
        var lines: [Substring]

        /// The second part of the path: the room.
        var room: String { String(path.split(separator: "/")[1]) }
        var isGenerated: Bool { path.contains("/Generated/") }
        /// Code without comments and without the insides of plain one-line strings.
        var code: [Substring] {
            lines.map { line in
                let trimmed = line.drop { $0 == " " }
                return trimmed.hasPrefix("//") ? "" : line
            }
        }
    }

    static func sources(below folder: String) throws -> [Source] {
        let base = root.appending(path: folder)
        guard let files = FileManager.default.enumerator(atPath: base.path) else { return [] }
        return try files.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map { name in
            let text = try String(contentsOf: base.appending(path: name), encoding: .utf8)
            return Source(
                path: "\(folder)/\(name)", lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    static func rooms() throws -> Set<String> {
        let names = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "Sources").path)
        return Set(names.filter { !$0.hasPrefix(".") })
    }
}
