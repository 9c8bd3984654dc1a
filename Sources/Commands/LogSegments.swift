import Blobs
package import Domain
package import EventLog
import Foundation
import Ports

/// Logs as directories of segments and blobs (`Schemas/formats.md`): out of a log, and back into an engine's directory.
package enum LogSegments {
    /// What an export or a restore came to.
    package struct Outcome: Sendable {
        package var end: LogPosition
        package var kind: LogKind
        package var blobs: Int
        /// Named by the log and not found.
        package var missingBlobs: Int
        /// Newer states of the backup that could not be used.
        package var passedOver: [String] = []
        /// When the backup's index was written.
        package var written: Int64 = 0
    }

    /// Writes the whole log, up to the end it has now, to a new directory, which appears whole or not at all.
    package static func export(_ place: String, to path: String) async throws -> Outcome {
        try await appearing(at: path) { part in
            let home = try LogHome(in: place)
            let store = try await DirectoryBlobStore.open(part)
            let log = try await LogPlace.open(home.log)
            var backup = LogBackup(of: log, kind: home.kind, blobs: try await home.openBlobs(), to: store)
            let end = try await backup.round()
            guard end.sequence > .zero else {
                throw CommandStop(.refused, "drover: the log is empty: nothing to export")
            }
            try StorePlace.seal(store)
            return Outcome(
                end: end, kind: home.kind, blobs: Int(backup.copiedBlobs), missingBlobs: Int(backup.missingBlobs))
        }
    }

    /// Makes an engine's data directory, `log` and its blobs, of a backup or an export. It appears whole or not at all.
    package static func restore(
        _ place: String, log text: String? = nil, until: LogSequence? = nil, to directory: String,
        accepting: (_ passedOver: [String]) throws -> Void = { _ in }, progress: (LogSequence) -> Void = { _ in }
    ) async throws -> Outcome {
        let store = try await StorePlace.open(place, readOnly: true)
        let reader = BackupReader(store: store)
        let log = try await StorePlace.log(in: store, named: text)
        return try await appearing(at: directory) { part in
            try FileManager.default.createDirectory(atPath: part, withIntermediateDirectories: true)
            let made = try await reader.restore(log, until: until, to: part + "/log", progress: progress)
            try accepting(made.passedOver)
            let blobs = try await DirectoryBlobStore.open("\(part)/\(made.index.kind.storeName)")
            let missing = try await reader.copyBlobs(made.blobs, to: blobs)
            blobs.close()
            return Outcome(
                end: made.end, kind: made.index.kind, blobs: made.blobs.count - missing.count,
                missingBlobs: missing.count, passedOver: made.passedOver, written: made.index.written)
        }
    }

    /// Lets the body make a directory beside its place, and moves it there when it is whole and durable.
    private static func appearing<Result>(
        at path: String, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let part = path + ".partial"
        try LogText.refuseExisting(path)
        try LogText.refuseExisting(part)
        do {
            let result = try await body(part)
            try FileManager.default.moveItem(atPath: part, toPath: path)
            try LogText.synchronizeParent(of: path)
            return result
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw error
        }
    }
}
