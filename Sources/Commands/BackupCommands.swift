import ArgumentParser
import Blobs
import Domain
import EventLog
import Foundation
import Ports

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Keep a copy of a log in another directory, at most a second behind.",
        discussion: """
            PATH is a log's directory (with data.mdb), or a data directory, whose global log is taken; without it the \
            running system's own (DROVER_DATA or ./.drover). The log may be in use. It goes on until it is interrupted, \
            and after that from where it was. The blobs that the log names (signed manifests) come along; the release \
            key does not: keep a copy of it elsewhere. One process at a time writes to a directory. \
            `projector global --backup-to DIR` does the same within the process.
            """)

    @Option(help: ArgumentHelp("The directory that holds backups, of any number of logs.", valueName: "dir"))
    var to: String
    @Flag(help: "Copy what there is now, then end.") var once = false
    @Flag(help: "Print each position that is safe as one JSON object a line.") var json = false
    @Argument(help: "A log's directory or a data directory.") var path: String?

    func run() async throws {
        let place = path ?? ProcessInfo.processInfo.environment["DROVER_DATA"] ?? ".drover"
        try await reportingFailures(to) {
            let home = try LogHome(in: place)
            let log = try await LogPlace.open(home.log)
            let store = try await StorePlace.open(to, readOnly: false)
            var backup = LogBackup(of: log, kind: home.kind, blobs: try await home.openBlobs(), to: store)
            guard !once else {
                let end = try await backup.round()
                return try say(end, "\(to): everything to sequence \(end.sequence)", json: json)
            }
            try await keep(&backup)
        }
    }

    /// A store that fails is tried again; a log that cannot be read, or has lost what the backup has, ends it.
    private func keep(_ backup: inout LogBackup) async throws {
        let line = ProgressLine()
        defer { line.end() }
        var (last, complaint, stop) = (LogSequence?.none, "", StoreFailure?.none)
        await backup.follow { result in
            switch result {
            case .success(let end):
                complaint = ""
                if json, end.sequence != last { try? say(end, "", json: true) }
                if Terminal.showsProgress, !json { line.show("\(to): everything to sequence \(end.sequence)") }
                last = end.sequence
            case .failure(let failure as StoreFailure):
                stop = failure
                return false
            case .failure(let failure):
                if complaint != "\(failure)" { Terminal.complain("drover: \(failure): trying again") }
                complaint = "\(failure)"
            }
            return true
        }
        if let stop { throw stop }
    }
}

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make an engine's data directory from a backup.",
        discussion: """
            DIR appears whole or not at all, with the log as it was backed up (same identity, batches and chain) and the \
            blobs that it names. The newest state of the backup that is whole is taken; what of newer ones was damaged is \
            said. For a global log put release.key into DIR, and start the role with --new-epoch: what followers have \
            seen beyond the backup is lost.
            """)

    @Argument(help: "The directory that holds the backup, or an export of segments.") var from: String
    @Option(help: ArgumentHelp("The new data directory; it must not be there yet.", valueName: "dir"))
    var output: String
    @Option(help: ArgumentHelp("Which log, where the backup holds several.", valueName: "identity")) var log: String?
    @Option(help: ArgumentHelp("Leave out what follows this sequence's batch.", valueName: "sequence"))
    var until: UInt64?
    @Flag(help: "Print the position at the end as one JSON object.") var json = false

    func run() async throws {
        try await reportingFailures(from) {
            let line = ProgressLine()
            let made = try await LogSegments.restore(
                from, log: log, until: until.map { LogSequence(rawValue: $0) }, to: output
            ) { if Terminal.showsProgress { line.show("restoring: event \($0)") } }
            line.end()
            for problem in made.passedOver { Terminal.complain("drover: passed over: \(problem)") }
            try say(made.end, "\(output): a log of \(made.end.sequence) events, \(made.blobs) blobs", json: json)
            complainOfMissing(made)
            if made.kind == .global {
                Terminal.complain(
                    "drover: release.key is not in a backup: put your copy into \(output), then start "
                        + "`projector global --data \(output) --new-epoch`")
            }
        }
    }
}
