import Blobs
import Domain
import EventLog
import Foundation
import Ports
import Views

/// A log's directory with what its engine keeps beside it: the blobs that it names, and the SQL views.
struct LogHome: Sendable {
    /// With `data.mdb`.
    var log: String
    var kind: LogKind

    private var parent: String { URL(filePath: log).deletingLastPathComponent().path }

    /// Of an engine's blobs; for a log that stands alone, a directory that is not there.
    var blobs: String { "\(parent)/\(kind.storeName)" }

    /// Nil where there are none.
    var views: String? {
        let path = "\(parent)/views.sqlite"
        let isEngine = URL(filePath: log).lastPathComponent == "log"
        return isEngine && FileManager.default.fileExists(atPath: path) ? path : nil
    }

    /// The log that a path means, and what is beside it.
    init(in place: String) throws {
        try self.init(log: try LogPlace.directory(in: place))
    }

    init(log directory: String) throws {
        log = directory
        kind = .global
        for kind in LogKind.allCases {
            self.kind = kind
            if FileManager.default.fileExists(atPath: blobs) { return }
        }
        kind = try LogFiles.directory(EventLog.open(directory: log, mode: .readOnly)).isRegional() ? .regional : .global
    }

    /// What is beside the log as its owner left it: it may be at work.
    /// Never inlined, nor is `StorePlace.open`: Swift 6.3.1's optimiser crashes where both are (LLVM's CoroSplit).
    @inline(never)
    func openBlobs() async throws -> DirectoryBlobStore { try await DirectoryBlobStore.open(blobs, readOnly: true) }
}

/// A store of backups and exports, by what people call it.
enum StorePlace {
    /// What is only in a directory store that somebody has open for writing.
    private static let workNames = ["lock", "temporary", "uploads"]

    @inline(never)
    static func open(_ text: String, readOnly: Bool) async throws -> DirectoryBlobStore {
        guard !text.contains("://") else {
            throw CommandStop(.refused, "drover: \(text) is no directory: name the directory that holds the backup")
        }
        if readOnly, !holdsBackup(text) {
            throw CommandStop(.refused, "drover: there is no backup in \(text): name a directory that backup wrote")
        }
        return try await DirectoryBlobStore.open(text, readOnly: readOnly)
    }

    /// Whether a directory is a store with logs in it, and no engine's own.
    static func holdsBackup(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path + "/named/" + BackupNames.root)
    }

    /// Closes a finished store for good: nobody writes there again.
    static func seal(_ store: DirectoryBlobStore) throws {
        store.close()
        for name in workNames { try? FileManager.default.removeItem(atPath: "\(store.directory)/\(name)") }
    }

    /// The one log that a backup or export means.
    static func log(in store: any BlobStore, named text: String?) async throws -> LogIdentity {
        let logs = try await BackupReader(store: store).logs()
        guard let text else {
            guard let only = logs.first, logs.count == 1 else {
                throw CommandStop(
                    .refused,
                    "drover: the backup holds \(logs.count) logs: name one with --log: "
                        + logs.map(\.hex).joined(separator: ", "))
            }
            return only
        }
        guard let log = logs.first(where: { $0.hex == text }) else {
            throw CommandStop(
                .refused,
                "drover: the backup does not hold the log \(text): "
                    + "it holds \(logs.map(\.hex).joined(separator: ", "))")
        }
        return log
    }
}
