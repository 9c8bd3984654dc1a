import ArgumentParser
import Codec
import Domain
import EventLog
import Foundation
import Ports

/// How a log is written to a file.
enum ExportFormat: String, ExpressibleByArgument, CaseIterable {
    /// One JSON object a line, each batch's proved end on a line of its own.
    case ndjson
}

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a whole log to a file.",
        discussion: """
            PATH is a log's directory (with data.mdb), or a data directory, whose global log is taken. Without it the \
            running system's own is: its data directory must be on this machine (DROVER_DATA or ./.drover). The log \
            may be in use; what it holds when the command starts is written. Nothing is ever overwritten.
            """)

    @Option(help: ArgumentHelp("The file to write; it must not be there yet.", valueName: "file"))
    var output: String
    @Option(help: "The file's form.") var format = ExportFormat.ndjson
    @Flag(help: "Print the position at the end as one JSON object.") var json = false
    @Argument(help: "A log's directory or a data directory.") var path: String?

    func run() async throws {
        let place = path ?? ProcessInfo.processInfo.environment["DROVER_DATA"] ?? ".drover"
        let directory = try LogPlace.directory(in: place)
        try reportingFailures(output) {
            let log = try EventLog.open(directory: directory, mode: .readOnly)
            let end =
                switch format {
                case .ndjson: try LogText.export(log, to: output)
                }
            try say(end, "\(output): everything to sequence \(end.sequence)", json: json)
        }
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a log from a file that export wrote.",
        discussion: """
            The new log has the same identity, batches and chain as the exported one. A file with a damaged, missing or \
            moved line makes nothing, and the message names the line. Nothing is ever overwritten.
            """)

    @Argument(help: "The file.") var file: String
    @Option(help: ArgumentHelp("The new log's directory; it must not be there yet.", valueName: "dir"))
    var output: String
    @Flag(help: "Print the position at the end as one JSON object.") var json = false

    func run() async throws {
        try reportingFailures(file) {
            let end = try LogText.import(file, to: output)
            try say(end, "\(output): a log of \(end.sequence) events", json: json)
        }
    }
}

/// The end of what was moved, for a person or a script.
func say(_ end: LogPosition, _ text: String, json: Bool) throws {
    struct Report: Codable {
        var log: LogIdentity
        var epoch: Epoch
        var sequence: LogSequence
        var chainHash: Digest

        enum CodingKeys: String, CodingKey {
            case log, epoch, sequence
            case chainHash = "chain_hash"
        }
    }
    guard json else { return Terminal.say("\(text), chain \(end.chain.hex.prefix(16))") }
    try Terminal.say(
        json: Report(log: end.log, epoch: end.epoch, sequence: end.sequence, chainHash: end.chain))
}

/// Whatever the log, the file or the disk says becomes one word to the person, about what was read or written.
func reportingFailures(_ about: String, _ body: () throws -> Void) throws {
    do { try body() } catch let stop as CommandStop { throw stop } catch let failure as StoreFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as CodecFailure {
        throw CommandStop(.failed, "drover: \(about): \(failure.message); nothing was made of it")
    } catch {
        throw CommandStop(.failed, "drover: \(about): \(error.localizedDescription)")
    }
}
