import ArgumentParser
import Client
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Processes
import Wire

struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Print the log's events, one JSON object a line.")

    @OptionGroup var server: ServerOptions
    @Option(help: "Only events after this sequence.") var after = LogSequence.zero
    @Flag(name: [.short, .long], help: "Go on as events come.") var follow = false

    func run() async throws {
        for try await event in try server.client().events(after: after, follow: follow) { Terminal.say(event.json) }
    }
}

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Ask the SQL views; Schemas/views.sql names them.")

    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("The state as it was at this sequence.", valueName: "sequence")) var at: LogSequence?
    @Argument(help: "One SELECT.") var sql: String

    func run() async throws {
        let answer = try await server.client().query(sql, at: at)
        if server.json {
            Terminal.complain("sequence \(answer.sequence)")
            for row in answer.rows {
                try Terminal.say(json: Dictionary(zip(answer.columns, row)) { first, _ in first })
            }
            return
        }
        var table = Table(answer.columns)
        for row in answer.rows { table.add(row.map(Self.text)) }
        table.show(emptyNote: "no rows (at sequence \(answer.sequence))")
    }

    private static func text(_ value: WireValue) -> String {
        switch value {
        case .null: ""
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        }
    }
}

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a log: every checksum, the chain, gapless order.",
        discussion: """
            PATH is a log's directory (with data.mdb), or a data directory, whose logs are all checked. Without it the \
            running system's own is: its data directory must be on this machine (--data, DROVER_DATA or ./.drover). \
            Exit 0 sound, 1 damaged.
            """)

    @OptionGroup var server: ServerOptions
    @Option(help: .hidden) var data: String?
    @Flag(help: .hidden) var inThisProcess = false
    @Argument(help: "A log's directory or a data directory.") var path: String?

    /// A child that says nothing for this long is damage too.
    static let silentSeconds = 600.0

    struct Report: Codable {
        var path: String
        var log: LogIdentity?
        var epoch: Epoch?
        var sequence: LogSequence
        var chain_hash: Digest?
        var sound: Bool
        var message: String?
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
            isSound = isSound && report.sound
            if server.json {
                try Terminal.say(json: report)
            } else if report.sound {
                Terminal.say(
                    "\(log): sound to sequence \(report.sequence), chain \(report.chain_hash?.hex.prefix(16) ?? "")")
            } else {
                Terminal.say("\(log): damaged after sequence \(report.sequence): \(report.message ?? "")")
            }
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

    /// LMDB itself may crash on a damaged file, so a child reads it; its death is a finding, not ours.
    private func inChild(_ log: String) async throws -> Report {
        let command = SupervisedCommand(
            executable: "/proc/self/exe", arguments: ["verify", "--in-this-process", log],
            environment: ProcessInfo.processInfo.environment, directory: FileManager.default.currentDirectoryPath)
        let run = try await GroupRunner().collect(
            command, limits: RunLimits(timeoutSeconds: Self.silentSeconds, graceSeconds: 1), maximumOutputBytes: 1 << 16
        )
        let lines = String(decoding: run.output, as: UTF8.self).split(separator: "\n")
        if let line = lines.last, let report = try? JSONDecoder().decode(Report.self, from: Data(line.utf8)) {
            return report
        }
        return Report(
            path: log, sequence: .zero, sound: false,
            message: "the process that read it ended (\(run.end)): the file's structure is damaged")
    }

    private static func check(_ path: String) throws -> Report {
        do throws(StoreFailure) {
            let log = try EventLog.open(directory: path, mode: .readOnly)
            let report = try log.verify()
            return Report(
                path: path, log: report.log, epoch: report.epoch,
                sequence: report.damage?.afterSequence ?? report.sequence,
                chain_hash: report.chain, sound: report.isSound, message: report.damage?.message)
        } catch {
            return Report(path: path, sequence: .zero, sound: false, message: error.description)
        }
    }
}
