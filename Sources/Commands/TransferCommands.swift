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
    /// A directory of compact files, with the blobs that the log names.
    case segments
}

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a whole log to a file, or to a directory of segments.",
        discussion: """
            PATH is a log's directory (with data.mdb), or a data directory, whose global log is taken. Without it the \
            running system's own is: its data directory must be on this machine (DROVER_DATA or ./.drover). The log \
            may be in use; what it holds when the command starts is written. Nothing is ever overwritten. Segments are \
            compact and carry the blobs that the log names (signed manifests); the release key is never in an export.
            """)

    @Option(help: ArgumentHelp("What to write; it must not be there yet.", valueName: "path"))
    var output: String
    @Option(help: "The file's form.") var format = ExportFormat.ndjson
    @Flag(help: "Print the position at the end as one JSON object.") var json = false
    @Argument(help: "A log's directory or a data directory.") var path: String?

    func run() async throws {
        let place = path ?? ProcessInfo.processInfo.environment["DROVER_DATA"] ?? ".drover"
        try await reportingFailures(output) {
            switch format {
            case .ndjson:
                let log = try await LogPlace.open(LogPlace.directory(in: place))
                let end = try LogText.export(log, to: output)
                try say(end, "\(output): everything to sequence \(end.sequence)", json: json)
            case .segments:
                let made = try await LogSegments.export(place, to: output)
                try say(
                    made.end, "\(output): everything to sequence \(made.end.sequence), \(made.blobs) blobs", json: json)
                complainOfMissing(made)
            }
        }
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a log from what export wrote.",
        discussion: """
            The new log has the same identity, batches and chain as the exported one. A damaged, missing or moved line \
            or segment makes nothing, and the message names it. Nothing is ever overwritten. Of a file it makes a log's \
            directory; of a directory of segments an engine's data directory, with `log` and the blobs.
            """)

    @Argument(help: "The file or directory.") var file: String
    @Option(help: ArgumentHelp("The new log's directory; it must not be there yet.", valueName: "dir"))
    var output: String
    @Flag(help: "Print the position at the end as one JSON object.") var json = false

    func run() async throws {
        try await reportingFailures(file) {
            guard StorePlace.holdsBackup(file) else {
                let end = try LogText.import(file, to: output)
                return try say(end, "\(output): a log of \(end.sequence) events", json: json)
            }
            let made = try await LogSegments.restore(file, to: output, accepting: Self.refuseDamage)
            try say(made.end, "\(output): a log of \(made.end.sequence) events", json: json)
            complainOfMissing(made)
        }
    }
}

extension ImportCommand {
    /// A backup may have lost its newest rounds; an export is whole or nothing.
    private static func refuseDamage(_ passedOver: [String]) throws {
        guard let damage = passedOver.first else { return }
        throw CommandStop(.failed, "drover: \(damage); nothing was made of it")
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
func reportingFailures(_ about: String, _ body: () async throws -> Void) async throws {
    do { try await body() } catch let stop as CommandStop { throw stop } catch let failure as StoreFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as BlobFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as CodecFailure {
        throw CommandStop(.failed, "drover: \(about): \(failure.message); nothing was made of it")
    } catch {
        throw CommandStop(.failed, "drover: \(about): \(error.localizedDescription)")
    }
}

/// A log may name blobs that were not beside it: an incident's recording, or a damaged store.
func complainOfMissing(_ made: LogSegments.Outcome) {
    guard made.missingBlobs > 0 else { return }
    Terminal.complain("drover: \(made.missingBlobs) blobs that the log names were not found, and are not in it")
}
