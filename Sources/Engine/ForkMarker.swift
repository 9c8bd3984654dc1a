import Foundation

/// A file that says that a follower has seen more of this log than is left, and what: while it is there no command is
/// accepted, restarts included. A new epoch removes it.
package struct ForkMarker: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    /// What was seen; nil while the log is whole.
    package var text: String? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.isEmpty ? "this log was found to be off its followers' chain: restart with --new-epoch" : text
    }

    /// Returns when the file is durable.
    func write(_ text: String) throws {
        let file = URL(filePath: path)
        try Data(text.utf8).write(to: file, options: .atomic)
        try flushFile(path)
        try flushFile(file.deletingLastPathComponent().path)
    }

    func remove() throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        try FileManager.default.removeItem(atPath: path)
        try flushFile(URL(filePath: path).deletingLastPathComponent().path)
    }
}
