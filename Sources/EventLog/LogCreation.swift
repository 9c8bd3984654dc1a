import Domain
import Foundation
import Glibc
import LMDB
import Ports

/// Makes a log in one step: it is built aside and renamed into place, so that a crash leaves a whole log or none.
enum LogCreation {
    private static let workName = "creating"

    static func options(_ settings: EventLog.Settings, access: Environment.Access) -> Environment.Options {
        var options = Environment.Options(databases: EventLog.databaseNames, access: access)
        options.initialMapBytes = settings.initialMapBytes
        options.maximumMapBytes = settings.maximumMapBytes
        options.maximumReaders = settings.maximumReaders
        return options
    }

    static func makeDirectory(_ directory: String) throws(StoreFailure) {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw StoreFailure(
                code: "io", message: "cannot make the directory \(directory): \(error.localizedDescription)",
                outcome: .unchanged)
        }
    }

    /// The data lock is held.
    static func createIfMissing(
        directory: String, identity: LogIdentity?, settings: EventLog.Settings
    ) throws(StoreFailure) {
        guard !FileManager.default.fileExists(atPath: "\(directory)/data.mdb") else { return }
        do {
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            let rows = MetaRows(identity: identity ?? randomIdentity(), created: now)
            try create(directory: directory, rows, settings: settings)
        } catch {
            throw StoreFailure(error, directory: directory)
        }
    }

    static func create(directory: String, _ rows: MetaRows, settings: EventLog.Settings) throws {
        let work = "\(directory)/\(workName)"
        if FileManager.default.fileExists(atPath: work) { try FileManager.default.removeItem(atPath: work) }
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
        let environment = try Environment.open(directory: work, options: options(settings, access: .create))
        do {
            defer { environment.close() }
            try environment.write { transaction in
                for key in rows.keys {
                    try transaction.put(
                        EventLog.meta, key: Array(key.rawValue.utf8).span, value: rows.value(key).span,
                        appending: false)
                }
            }
        }
        guard unsafe rename("\(work)/data.mdb", "\(directory)/data.mdb") == 0 else {
            throw StoreFailure(
                code: "io",
                message: "cannot rename \(work)/data.mdb into place: \(unsafe String(cString: strerror(errno)))",
                outcome: .unchanged)
        }
        try FileManager.default.removeItem(atPath: work)
        try Environment.syncDirectory(directory)
        try syncAncestors(directory)
    }

    /// A log is as durable as the name of the youngest directory above it, whoever made that: all of them are made
    /// durable, up to those that are not ours to open or that know no flush.
    private static func syncAncestors(_ directory: String) throws {
        var place = URL(fileURLWithPath: directory).resolvingSymlinksInPath()
        while place.path != "/" {
            place.deleteLastPathComponent()
            do throws(LMDBFailure) { try Environment.syncDirectory(place.path) } catch {
                guard [EACCES, EROFS, EINVAL].contains(error.number) else { throw error }
            }
        }
    }

    private static func randomIdentity() -> LogIdentity {
        var source = SystemRandomNumberGenerator()
        return LogIdentity(high: source.next(), low: source.next())
    }
}
