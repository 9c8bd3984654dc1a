import ArgumentParser
import Domain
import EventLog
import Foundation
import Ports
import Processes
import Synchronization

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a log: every checksum, the chain, gapless order, its states, snapshots and views.",
        discussion: """
            PATH is a log's directory (with data.mdb), a data directory, whose logs are all checked, a file or directory \
            that export wrote, or a backup. Without it the running system's own is: its data directory must be on this \
            machine (--data, DROVER_DATA or ./.drover). The log may be in use. All events are folded afresh: the state \
            hashes that the log records and the SQL views of a data directory must be what they amount to. What a log \
            has in its archive alone is read from there, where that is at hand. \
            Exit 0 sound, 1 damaged.
            """)

    @OptionGroup var server: ServerOptions
    @Option(help: .hidden) var data: String?
    @Flag(help: .hidden) var inThisProcess = false
    @Option(help: .hidden) var log: String?
    @Argument(help: "A log's directory, a data directory, an export or a backup.") var path: String?

    struct Report: Codable {
        var path: String
        var log: LogIdentity?
        var epoch: Epoch?
        var sequence: LogSequence
        var chainHash: Digest?
        var sound: Bool
        var message: String?
        /// It could not be read at all, which says nothing of its soundness.
        var unread: Bool?
        /// Of the state at the end; absent where the events could not be folded.
        var stateHash: Digest?
        /// Recorded hashes that the fold came to as well.
        var stateHashes: Int?
        /// `equal`, or why the SQL views were not compared; absent where there are none.
        var views: String?
        /// Of a backup or an export: named by its log, and missing or damaged there.
        var missingBlobs: Int?

        /// What is before was not looked at: it is in an archive that is not here.
        var after: LogSequence?
        /// What is before was read from the log's archive.
        var archived: LogSequence?

        /// What there is to say of snapshots that a start would pass over, and of an archive that is not here.
        var notes: [String]?

        enum CodingKeys: String, CodingKey {
            case path, log, epoch, sequence, sound, message, unread, views, notes, after, archived
            case chainHash = "chain_hash"
            case stateHash = "state_hash"
            case stateHashes = "state_hashes"
            case missingBlobs = "missing_blobs"
        }
    }

    func run() async throws {
        if inThisProcess { return try Terminal.say(json: try await LogCheck.run(path ?? "", log: log)) }
        let place = path ?? data ?? ProcessInfo.processInfo.environment["DROVER_DATA"] ?? ".drover"
        let logs = try await Self.logs(in: place)
        guard !logs.isEmpty else {
            throw CommandStop(.refused, "drover: there is no log in \(place): name a directory with data.mdb")
        }
        let line = ProgressLine()
        var isSound = true
        for log in logs {
            let report = try await inChild(log) { if Terminal.showsProgress { line.show("\(log.path): \($0)") } }
            line.end()
            if report.unread == true {
                throw CommandStop(.refused, "drover: \(log.path) cannot be read: \(report.message ?? "")")
            }
            isSound = isSound && report.sound
            if server.json { try Terminal.say(json: report) } else { Terminal.say(Self.words(report)) }
            if !server.json { for note in report.notes ?? [] { Terminal.say(note) } }
        }
        if !isSound { throw CommandStop(.failed) }
    }

    private static func words(_ report: Report) -> String {
        guard report.sound else {
            return "\(report.path): damaged after sequence \(report.sequence): \(report.message ?? "")"
        }
        let chain = "chain \(report.chainHash?.hex.prefix(16) ?? "")"
        var text = "\(report.path): sound to sequence \(report.sequence), \(chain)"
        if let after = report.after { text += ", from sequence \(after) on" }
        if let archived = report.archived { text += ", up to \(archived) in its archive" }
        if let count = report.stateHashes, count > 0 { text += ", \(count) recorded states" }
        if let views = report.views { text += ", views \(views)" }
        if let message = report.message { text += " (\(message))" }
        return text
    }

    /// One log to look at: a place, and which log where a backup holds several.
    struct Place: Sendable {
        var path: String
        var log: LogIdentity?
    }

    private static func logs(in place: String) async throws -> [Place] {
        if LogPlace.isDirectory(place) == false { return [Place(path: place)] }
        guard StorePlace.holdsBackup(place) else { return environments(in: place).map { Place(path: $0) } }
        let store = try await StorePlace.open(place, readOnly: true)
        return try await BackupReader(store: store).logs().map { Place(path: place, log: $0) }
    }

    /// Every directory below that holds an environment.
    private static func environments(in place: String) -> [String] {
        let files = FileManager.default
        if files.fileExists(atPath: place + "/data.mdb") { return [place] }
        let below = files.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
        // A proof of a backup that is under way makes a log aside, for itself.
        return below.filter { $0.hasSuffix("/data.mdb") && !$0.contains("backup-proof/") }.sorted()
            .map { "\(place)/\($0.dropLast("/data.mdb".count))" }
    }

    /// LMDB itself may crash on a damaged file, so a child reads it; its death or silence is a finding, not ours.
    private func inChild(_ log: Place, progress: @escaping @Sendable (String) -> Void) async throws -> Report {
        let which = log.log.map { ["--log", $0.hex] } ?? []
        let command = SupervisedCommand(
            executable: "/proc/self/exe", arguments: ["verify", "--in-this-process", log.path] + which,
            environment: ProcessInfo.processInfo.environment, directory: FileManager.default.currentDirectoryPath)
        let child = VerifyingChild(progress: progress)
        let end = try await child.run(command)
        if let report = child.report { return report }
        let cause = end == .cancelled ? "said nothing for \(VerifyingChild.silentSeconds) s" : "ended (\(end))"
        return Report(
            path: log.path, log: log.log, sequence: child.sequence, sound: false,
            message: "the process that read it \(cause): the file's structure is damaged")
    }
}

/// The process that reads a log which may be damaged: what it has said, and when.
final class VerifyingChild: Sendable {
    /// A child that says nothing for this long is damage too.
    static let silentSeconds: Int64 = 10
    static let progressWord = "at "
    private static let lookMilliseconds: Int64 = 250
    /// Longer than any log takes.
    private static let limits = RunLimits(timeoutSeconds: 7 * 24 * 3600, graceSeconds: 1)

    private struct Heard {
        var partial: [UInt8] = []
        var sequence = LogSequence.zero
        var report: VerifyCommand.Report?
        var at = ContinuousClock.now
    }

    private let heard = Mutex(Heard())
    private let progress: @Sendable (String) -> Void

    init(progress: @escaping @Sendable (String) -> Void) { self.progress = progress }

    /// How far it had read when it last spoke.
    var sequence: LogSequence { heard.withLock { $0.sequence } }
    var report: VerifyCommand.Report? { heard.withLock { $0.report } }

    /// Until it ends; `.cancelled` when it was ended for its silence.
    func run(_ command: SupervisedCommand) async throws -> RunEnd {
        try await withThrowingTaskGroup(of: RunEnd?.self) { group in
            group.addTask { try await GroupRunner().run(command, limits: Self.limits) { self.take($0) } }
            group.addTask {
                while !Task.isCancelled, !self.isSilent {
                    try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
                }
                return nil
            }
            var end: RunEnd?
            for try await finished in group {
                end = end ?? finished
                group.cancelAll()
            }
            return end ?? .cancelled
        }
    }

    private var isSilent: Bool {
        heard.withLock { $0.at.duration(to: .now) > .seconds(Self.silentSeconds) }
    }

    private func take(_ bytes: [UInt8]) {
        heard.withLock { heard in
            heard.at = .now
            heard.partial += bytes
            while let end = heard.partial.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: heard.partial[..<end], as: UTF8.self)
                heard.partial.removeSubrange(...end)
                if !line.hasPrefix("{") { progress(line) }
                if line.hasPrefix(Self.progressWord) {
                    heard.sequence = LogSequence(String(line.dropFirst(Self.progressWord.count))) ?? heard.sequence
                } else if let report = try? JSONDecoder().decode(VerifyCommand.Report.self, from: Data(line.utf8)) {
                    heard.report = report
                }
            }
        }
    }
}
