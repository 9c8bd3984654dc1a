import ArgumentParser
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Processes
import Synchronization

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a log: every checksum, the chain, gapless order, and the snapshots beside it.",
        discussion: """
            PATH is a log's directory (with data.mdb), or a data directory, whose logs are all checked. Without it the \
            running system's own is: its data directory must be on this machine (--data, DROVER_DATA or ./.drover). \
            Exit 0 sound, 1 damaged.
            """)

    @OptionGroup var server: ServerOptions
    @Option(help: .hidden) var data: String?
    @Flag(help: .hidden) var inThisProcess = false
    @Argument(help: "A log's directory or a data directory.") var path: String?

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
        /// What there is to say of snapshots that a start would pass over.
        var notes: [String]?

        enum CodingKeys: String, CodingKey {
            case path, log, epoch, sequence, sound, message, unread, notes
            case chainHash = "chain_hash"
        }
    }

    func run() async throws {
        if inThisProcess { return try Terminal.say(json: try Self.check(path ?? "")) }
        let place = path ?? data ?? ProcessInfo.processInfo.environment["DROVER_DATA"] ?? ".drover"
        let logs = Self.logs(in: place)
        guard !logs.isEmpty else {
            throw CommandStop(.refused, "drover: there is no log in \(place): name a directory with data.mdb")
        }
        var isSound = true
        for log in logs {
            let report = try await inChild(log)
            if report.unread == true {
                throw CommandStop(.refused, "drover: \(log) cannot be read: \(report.message ?? "")")
            }
            isSound = isSound && report.sound
            if server.json {
                try Terminal.say(json: report)
            } else if report.sound {
                Terminal.say(
                    "\(log): sound to sequence \(report.sequence), chain \(report.chainHash?.hex.prefix(16) ?? "")")
            } else {
                Terminal.say("\(log): damaged after sequence \(report.sequence): \(report.message ?? "")")
            }
            if !server.json { for note in report.notes ?? [] { Terminal.say(note) } }
        }
        if !isSound { throw CommandStop(.failed) }
    }

    /// Every directory below that holds an environment.
    private static func logs(in place: String) -> [String] {
        let files = FileManager.default
        if files.fileExists(atPath: place + "/data.mdb") { return [place] }
        let below = files.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
        return below.filter { $0.hasSuffix("/data.mdb") || $0 == "data.mdb" }.sorted()
            .map { "\(place)/\($0.dropLast("/data.mdb".count))" }
    }

    /// LMDB itself may crash on a damaged file, so a child reads it; its death or silence is a finding, not ours.
    private func inChild(_ log: String) async throws -> Report {
        let command = SupervisedCommand(
            executable: "/proc/self/exe", arguments: ["verify", "--in-this-process", log],
            environment: ProcessInfo.processInfo.environment, directory: FileManager.default.currentDirectoryPath)
        let child = VerifyingChild()
        let end = try await child.run(command)
        if let report = child.report { return report }
        let cause = end == .cancelled ? "said nothing for \(VerifyingChild.silentSeconds) s" : "ended (\(end))"
        return Report(
            path: log, sequence: child.sequence, sound: false,
            message: "the process that read it \(cause): the file's structure is damaged")
    }

    /// What the child does: says how far it is, and at the end what it found.
    private static func check(_ path: String) throws -> Report {
        do throws(StoreFailure) {
            let log = try EventLog.open(directory: path, mode: .readOnly)
            let report = try log.verify { done, _ in Terminal.say("\(VerifyingChild.progressWord)\(done)") }
            var said = Report(
                path: path, log: report.log, epoch: report.epoch,
                sequence: report.damage?.afterSequence ?? report.sequence,
                chainHash: report.chain, sound: report.isSound, message: report.damage?.message)
            if report.isSound { checkSnapshots(of: log, into: &said) }
            return said
        } catch {
            let isDamage = error.outcome == .damaged
            return Report(
                path: path, sequence: .zero, sound: false, message: error.description, unread: isDamage ? nil : true)
        }
    }
}

extension VerifyCommand {
    /// Compares the snapshots beside a log with what it amounts to, folded from its first event.
    private static func checkSnapshots(of log: EventLog, into report: inout Report) {
        let beside = URL(filePath: log.directory).deletingLastPathComponent().appending(path: "snapshots").path
        let snapshots = StateSnapshots(directory: beside)
        guard !snapshots.paths.isEmpty else { return }
        do {
            let progress = { (done: LogSequence) in Terminal.say("\(VerifyingChild.progressWord)\(done)") }
            let findings =
                try LogFiles.directory(log).isRegional()
                ? snapshots.check(Regional.self, of: log, codec: RegionalCodec(), progress: progress)
                : snapshots.check(Global.self, of: log, codec: GlobalCodec(), progress: progress)
            for finding in findings {
                switch finding.verdict {
                case .sound: break
                case .unused(let reason): report.notes = (report.notes ?? []) + ["\(finding.path): not used, \(reason)"]
                case .wrong:
                    report.sound = false
                    report.message = "\(finding.path) says another state than the log's events: remove it"
                }
            }
        } catch {
            report.sound = false
            report.message = "the log cannot be folded: \(error)"
        }
    }
}

/// The process that reads a log which may be damaged: what it has said, and when.
private final class VerifyingChild: Sendable {
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
                if line.hasPrefix(Self.progressWord) {
                    heard.sequence = LogSequence(String(line.dropFirst(Self.progressWord.count))) ?? heard.sequence
                } else if let report = try? JSONDecoder().decode(VerifyCommand.Report.self, from: Data(line.utf8)) {
                    heard.report = report
                }
            }
        }
    }
}
