import Foundation
import Glibc
import Synchronization

/// Where a command's words go: results to standard output, progress and complaints to standard error.
enum Terminal {
    static func say(_ text: String) { write(Data((text + "\n").utf8)) }

    static func complain(_ text: String) {
        guard !text.isEmpty else { return }
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Ends the process where nobody reads any more, as in `drover log | head`: by the status that a shell gives for it. On
    /// any other failure, a full disk for one, it says so.
    static func write(_ bytes: Data) {
        do {
            try FileHandle.standardOutput.write(contentsOf: bytes)
        } catch {
            let isClosed = errno == EPIPE
            if !isClosed { complain("drover: standard output cannot be written: \(error.localizedDescription)") }
            exit(isClosed ? 128 + SIGPIPE : 1)
        }
    }

    static let showsProgress = isatty(STDERR_FILENO) == 1
    static let usesColor =
        isatty(STDOUT_FILENO) == 1 && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty

    /// One value as one line of JSON, keys sorted.
    static func say(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        write(try encoder.encode(value) + Data("\n".utf8))
    }

    /// A word in the colour of what it means: green for done, red for failed, yellow for on the way.
    static func colored(_ word: String) -> String {
        guard usesColor else { return word }
        let code =
            switch word {
            case "succeeded", "complete", "live", "healthy", "yes": "32"
            case "failed", "gone", "lost", "removed": "31"
            case "queued", "running", "partial", "pending", "silent", "suspended", "waiting", "draining": "33"
            default: ""
            }
        return code.isEmpty ? word : "\u{1b}[\(code)m\(word)\u{1b}[0m"
    }
}

extension Terminal {
    /// A state in the colour of its first word.
    static func colored(state: String) -> String {
        let word = state.prefix { $0 != " " && $0 != "," }
        return colored(String(word)) + state.dropFirst(word.count)
    }

    /// A line that the next one takes the place of.
    static func prompt(_ text: String) { write(Data("\r\u{1b}[K\(dimmed(text))".utf8)) }

    /// A line's less important part.
    static func dimmed(_ text: String) -> String { usesColor && !text.isEmpty ? "\u{1b}[2m\(text)\u{1b}[0m" : text }

    /// In a colour of the terminal's, by its number.
    static func painted(_ text: String, _ color: String) -> String {
        usesColor ? "\u{1b}[\(color)m\(text)\u{1b}[0m" : text
    }

    /// A line's most important part.
    static func bold(_ text: String) -> String { usesColor && !text.isEmpty ? "\u{1b}[1m\(text)\u{1b}[0m" : text }
}

/// Rows under a header, columns aligned.
struct Table {
    private var rows: [[String]]
    private let header: [String]

    init(_ header: [String]) { (self.header, rows) = (header, []) }

    mutating func add(_ row: [String]) { rows.append(row) }

    func show(emptyNote: String) {
        guard !rows.isEmpty else { return Terminal.complain(emptyNote) }
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        for row in [header] + rows {
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = column == row.count - 1 ? 0 : widths[column] - cell.count + 2
                line += Terminal.colored(cell) + String(repeating: " ", count: padding)
            }
            Terminal.say(line)
        }
    }
}

/// One line on a terminal that shows how far something is; nothing where nobody looks.
final class ProgressLine: Sendable {
    private let shown = Mutex("")
    private let start = ContinuousClock.now

    func show(_ text: String) {
        guard Terminal.showsProgress else {
            let isNew = shown.withLock { shown in
                defer { shown = text }
                return shown != text
            }
            if isNew { Terminal.complain(text) }
            return
        }
        let seconds = start.duration(to: .now).components.seconds
        let line = "\(text)  \(seconds / 60)m\(String(format: "%02d", seconds % 60))s"
        try? FileHandle.standardError.write(contentsOf: Data("\r\u{1b}[K\(line)".utf8))
        shown.withLock { $0 = text }
    }

    func end() {
        if shown.withLock({ !$0.isEmpty }) { Self.clear() }
    }

    /// Takes the line off the terminal.
    static func clear() {
        if Terminal.showsProgress { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }

    static func bar(_ done: UInt64, of all: UInt64, width: Int = 20) -> String {
        let filled = all == 0 ? 0 : Int(min(done, all) * UInt64(width) / all)
        return "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled) + "]"
    }
}

/// `45 s`, `12 min`, `3 h`, `2 d`.
func readable(seconds: Int64) -> String {
    switch seconds {
    case ..<120: "\(seconds) s"
    case ..<7200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3600) h"
    default: "\(seconds / 86_400) d"
    }
}

/// `12.3 MB`.
func readable(bytes: UInt64) -> String {
    var value = Double(bytes)
    var unit = "B"
    for next in ["kB", "MB", "GB", "TB"] where value >= 1000 {
        value /= 1000
        unit = next
    }
    return unit == "B" ? "\(bytes) B" : String(format: "%.1f %@", value, unit)
}
