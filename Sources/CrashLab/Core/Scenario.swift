/// Something that the product does and that is attacked at every step of it, and what must be so afterwards. One more
/// path of the product is one more line of `all`.
package struct Scenario: Hashable, Sendable, Codable {
    /// A name in braces stands for a path in the scenario's own directory; `{event}` for the first event with free text.
    package enum Act: Hashable, Sendable, Codable {
        /// An engine over `{log}` that is given so many commands.
        case engine(commands: Int, mapBytes: Int)
        /// The same; it keeps snapshots of its state in `{snapshots}`.
        case snapshots(commands: Int)
        /// A verb of `drover`.
        case drover([String])
        /// What `--keep-log` does, to the end of `{log}`: `{store}` seals it, and it is taken away, so many frames at once.
        case trim(frames: Int)
        /// A mutation in a verb's place, for control.
        case mutant(Mutant)

        /// Whether what it left undone is done by the same act again.
        var canBeRepeated: Bool {
            switch self {
            case .drover, .trim: true
            case .engine, .snapshots, .mutant: false
            }
        }
    }

    package enum Claim: String, Hashable, Sendable, Codable {
        /// What was answered is in `{log}`, what was answered to be nowhere is not, and the engine goes on.
        case answered
        /// The same, and every snapshot is what the log amounts to at its place.
        case snapshots
        /// `{out}` is the whole log's text, or not there.
        case text
        /// `{out}` is the whole log, or not there.
        case log
        /// `{out}` is an engine's directory with the whole log, or not there.
        case directory
        /// `{out}` is an export that restores to the whole log, or not there.
        case segments
        /// `{store}` restores to a beginning of `{log}`, with all that it was said to hold, and the next round follows.
        case backup
        /// `{log}` is the old one or the redacted one, and the backup follows either.
        case redaction
        /// `{log}` with `{store}` for its archive is the whole log, and begins where it was said to.
        case trimmed
    }

    package var name: String
    /// What is done before, undisturbed.
    package var before: [Act]
    package var act: Act
    package var claim: Claim
    /// What may stand in the way of a second try, and is removed by hand.
    package var leftovers: [String] = []
    /// Calls count that touch these; empty for all that the act touches below the scenario's directory.
    package var paths: [String] = []
    /// Images of a loss of power are made of it too.
    package var hasImages = false

    private static let logFiles = ["{log}", "{log}/data.mdb", "{log}/creating", "{log}/creating/data.mdb"]
    private static let filled = Act.engine(commands: 4, mapBytes: 1 << 17)
    private static let backedUp = Act.drover(["backup", "{log}", "--to", "{store}", "--once", "--json"])

    package static let all = [
        Scenario(
            name: "creation", before: [], act: .engine(commands: 1, mapBytes: 1 << 20), claim: .answered,
            paths: logFiles),
        Scenario(
            name: "append and commit", before: [filled], act: .engine(commands: 5, mapBytes: 1 << 20),
            claim: .answered, paths: logFiles),
        Scenario(
            name: "growth", before: [filled], act: .engine(commands: 5, mapBytes: 1 << 15), claim: .answered,
            paths: logFiles),
        Scenario(
            name: "snapshots", before: [filled], act: .snapshots(commands: 6), claim: .snapshots,
            paths: ["{snapshots}", "{snapshots}/writing"], hasImages: true),
        Scenario(
            name: "export of text", before: [filled],
            act: .drover(["export", "{log}", "--output", "{out}", "--json"]), claim: .text,
            leftovers: ["{out}.partial"], hasImages: true),
        Scenario(
            name: "import", before: [filled, .drover(["export", "{log}", "--output", "{text}"])],
            act: .drover(["import", "{text}", "--output", "{out}", "--json"]), claim: .log,
            leftovers: ["{out}.partial"], hasImages: true),
        Scenario(
            name: "export of segments", before: [filled],
            act: .drover(["export", "{log}", "--format", "segments", "--output", "{out}", "--json"]), claim: .segments,
            leftovers: ["{out}.partial"], hasImages: true),
        Scenario(name: "backup", before: [filled], act: backedUp, claim: .backup, hasImages: true),
        Scenario(
            name: "backup, later", before: [filled, backedUp, filled], act: backedUp, claim: .backup, hasImages: true),
        Scenario(
            name: "restore", before: [filled, backedUp],
            act: .drover(["restore", "{store}", "--output", "{out}", "--json"]), claim: .directory,
            leftovers: ["{out}.partial"], hasImages: true),
        Scenario(
            name: "redaction", before: [filled, backedUp],
            act: .drover(["redact", "{log}", "{event}", "--reason", "asked for", "--json"]), claim: .redaction,
            hasImages: true),
        Scenario(name: "trim", before: [filled], act: .trim(frames: 4), claim: .trimmed, hasImages: true),
    ]

    package static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

    /// How many acts say where they came to before the one that is attacked.
    var words: Int {
        before.count {
            if case .drover(let arguments) = $0 { arguments.contains("--json") } else { false }
        }
    }

    /// The calls that change a disk, and the one that names files.
    package static let calls = [
        "write", "pwrite64", "pwritev", "writev", "fdatasync", "fsync", "ftruncate", "rename", "renameat2", "linkat",
        "link", "unlink", "unlinkat", "rmdir", "mkdir", "openat",
    ]

    package enum Fault: String, Hashable, Sendable, CaseIterable {
        case io = "EIO"
        case full = "ENOSPC"
        case killed = "KILL"

        /// As `strace` wants to have it.
        package var injection: String { self == .killed ? "signal=KILL" : "error=\(rawValue)" }
    }
}

/// A verb with a mutation, in the laboratory's own process.
package enum Mutant: String, Hashable, Sendable, Codable {
    /// A backup whose segments reach the store behind the index that names them.
    case indexFirst = "index-first"
}
