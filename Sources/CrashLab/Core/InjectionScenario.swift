/// Something whose system calls are made to fail, one by one, and what must be so afterwards. One more path of the
/// product is one more line of `all`.
package struct InjectionScenario: Hashable, Sendable {
    /// What stands there before; a name in braces stands for a path in the scenario's own directory.
    package enum Start: Hashable, Sendable {
        case nothing
        /// `{log}`: a log that a workload wrote.
        case log
        /// Also `{text}`: the same log as NDJSON.
        case text
    }

    package enum Act: Hashable, Sendable {
        /// An engine over `{log}` that is given so many commands.
        case engine(commands: Int, mapBytes: Int)
        /// A verb of `drover`.
        case drover([String])
    }

    package enum Promise: Hashable, Sendable {
        /// What was answered is in `{log}`, what was answered to be nowhere is not, and the engine goes on.
        case answered
        /// The path is whole (what it is without a fault) or not there, and whole if the act said that it was done;
        /// `{log}` is as it was. Repeated without a fault, after the leftovers named are removed, it is done.
        case wholeOrNothing(String, leftovers: [String])
    }

    package var name: String
    package var start: Start
    package var act: Act
    package var promise: Promise
    /// Calls count that touch these.
    package var paths: [String]

    private static let logFiles = ["{log}", "{log}/data.mdb", "{log}/creating", "{log}/creating/data.mdb"]

    package static let all = [
        InjectionScenario(
            name: "creation", start: .nothing, act: .engine(commands: 1, mapBytes: 1 << 20), promise: .answered,
            paths: logFiles),
        InjectionScenario(
            name: "append and commit", start: .log, act: .engine(commands: 5, mapBytes: 1 << 20), promise: .answered,
            paths: logFiles),
        InjectionScenario(
            name: "growth", start: .log, act: .engine(commands: 5, mapBytes: 1 << 15), promise: .answered,
            paths: logFiles),
        InjectionScenario(
            name: "export", start: .log, act: .drover(["export", "{log}", "--output", "{out}"]),
            promise: .wholeOrNothing("{out}", leftovers: ["{out}.partial"]),
            paths: ["{out}", "{out}.partial", "{place}"]),
        InjectionScenario(
            name: "import", start: .text, act: .drover(["import", "{text}", "--output", "{out}"]),
            promise: .wholeOrNothing("{out}", leftovers: ["{out}.partial"]),
            paths: ["{out}", "{out}.partial", "{out}.partial/data.mdb", "{out}.partial/creating/data.mdb", "{place}"]),
    ]

    /// The calls that change a disk.
    package static let calls = [
        "write", "pwrite64", "pwritev", "writev", "fdatasync", "fsync", "ftruncate", "rename", "renameat2", "linkat",
        "link", "unlink", "mkdir",
    ]

    package enum Fault: String, Hashable, Sendable, CaseIterable {
        case io = "EIO"
        case full = "ENOSPC"
        case killed = "KILL"

        /// As `strace` wants to have it.
        package var injection: String { self == .killed ? "signal=KILL" : "error=\(rawValue)" }
    }
}
