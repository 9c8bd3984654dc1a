import ArgumentParser
import Codec
package import Domain
import EventLog
import Foundation
import Ports

struct RedactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redact",
        abstract: "Take the free texts out of one event of a log whose writer is stopped.",
        discussion: """
            LOG is a log's directory (with data.mdb), or a data directory, whose global log is taken. Reasons, details and \
            repository addresses go; names, ids, numbers and digests stay, and so do the event's actor and idempotency \
            key, which the chain covers. The chain stays valid, and an event behind the end records who did it and why. \
            Views, snapshots and a backup's unfinished proof beside the log are removed; views and snapshots are made again \
            at the next start. The next round of a backup \
            takes the texts out there too. Exports, archives and the logs of regions hold copies of their own. A job that is still open cannot be built without its \
            repository's address: cancel it first.
            """)

    @Argument(help: "A log's directory or a data directory.") var log: String
    @Argument(help: "The event.") var sequence: UInt64
    @Option(help: "Why, for the log.") var reason: String
    @Flag(help: "Print the position at the end as one JSON object.") var json = false

    func validate() throws {
        guard !reason.isEmpty, reason.utf8.count <= QueueCommand.maximumReasonBytes else {
            throw ValidationError("--reason must have 1 to \(QueueCommand.maximumReasonBytes) bytes")
        }
    }

    func run() async throws {
        let directory = try LogPlace.directory(in: log)
        try await reportingFailures(directory) {
            let end = try LogTexts.redact(
                LogSequence(rawValue: sequence), in: directory, reason: reason, actor: .person(ServerOptions.person))
            try say(end, "\(directory): event \(sequence) is redacted, as event \(end.sequence) records", json: json)
        }
    }
}

/// Taking texts out of a log.
package enum LogTexts {
    /// Redacts one event's free texts. Fails, with nothing changed, where it has none or the log is in use.
    @discardableResult
    package static func redact(
        _ sequence: LogSequence, in directory: String, reason: String, actor: EventActor
    ) throws -> LogPosition {
        let isRegional = try LogFiles.directory(EventLog.open(directory: directory, mode: .readOnly)).isRegional()
        let words = "[redacted \(sequence)]"
        return try LogRedaction.redact(directory: directory, sequence: sequence) {
            try removeCopies(beside: directory)
        } decide: { frame in
            let new =
                isRegional
                ? try RegionalCodec().decode(frame)?.event.withoutFreeText(words).map(RegionalCodec().encode)
                : try GlobalCodec().decode(frame)?.event.withoutFreeText(words).map(GlobalCodec().encode)
            guard let new, new.type == frame.type, new.schemaRevision == frame.schemaRevision else {
                let name = eventTypeName(frame.type) ?? "\(frame.type)"
                throw CommandStop(.refused, "drover: event \(sequence) (\(name)) has no free text: nothing was changed")
            }
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            return LogRedaction.Change(substitute: new.payload, actor: actor, now: now) { payload, substitute in
                try GlobalCodec().encode(
                    .log(.payloadRedacted(at: sequence, payload: payload, substitute: substitute, reason: reason)))
            }
        }
    }

    /// What was made from the log and holds the text too.
    private static func removeCopies(beside directory: String) throws {
        let files = FileManager.default
        let parent = URL(filePath: directory).deletingLastPathComponent().path
        let names = try files.contentsOfDirectory(atPath: parent)
        for name in names where ["snapshots", "backup-proof"].contains(name) || name.hasPrefix("views.sqlite") {
            try files.removeItem(atPath: "\(parent)/\(name)")
        }
        try FileHandle(forReadingAtPath: parent)?.synchronize()
    }
}
