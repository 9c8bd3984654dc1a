import Codec
package import Domain
import EventLog
import Foundation
import Ports
import Views

/// What people name a log by: `.` or a server's URL for the running system, a data directory, a log's directory, or
/// what `drover export` wrote.
package enum LogPlace {
    static let help = """
        LOG is the running system (. or a server's URL), a data directory (its global log), a log's directory (with \
        data.mdb), or a file or directory that export wrote. A log in files is read into views of its own in a temporary directory; \
        it may be in use meanwhile.
        """

    /// The directory of the one log that a path means.
    package static func directory(in place: String) throws -> String {
        let candidates = [place, place + "/log", place + "/global/log"]
        let found = candidates.first { FileManager.default.fileExists(atPath: $0 + "/data.mdb") }
        guard let found else {
            throw CommandStop(.refused, "drover: there is no log in \(place): name a directory with data.mdb")
        }
        return found
    }

    /// Nil for what is not there.
    static func isDirectory(_ path: String) -> Bool? {
        (try? URL(filePath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory
    }

    /// Opens a log for questions, and lets go of it when the body ends.
    package static func with<Answer>(
        _ place: String, _ body: (any AskedLog) async throws -> Answer
    ) async throws -> Answer {
        if place == "." { return try await body(RunningLog(client: try ServerOptions.client(at: nil))) }
        if place.contains("://") { return try await body(RunningLog(client: try ServerOptions.client(at: place))) }
        return try await withScratch { scratch in
            let source = try await files(at: place, scratch)
            if try source.isRegional() {
                let views = try RecordedViews<RegionalViews>(place, in: scratch, codec: RegionalCodec()) {
                    $0.words(by: $1)
                }
                return try await ask(views, of: source, body)
            }
            let views = try RecordedViews<GlobalViews>(place, in: scratch, codec: GlobalCodec()) { $0.words(by: $1) }
            return try await ask(views, of: source, body)
        }
    }

    /// The same for a global log in memory.
    static func with<Answer>(
        _ batches: [FrameBatch], named name: String, _ body: (RecordedViews<GlobalViews>) async throws -> Answer
    ) async throws -> Answer {
        try await withScratch { scratch in
            let views = try RecordedViews<GlobalViews>(name, in: scratch, codec: GlobalCodec()) { $0.words(by: $1) }
            defer { views.close() }
            try views.add(batches)
            return try await body(views)
        }
    }

    /// All of a global log in files, in memory.
    package static func recorded(at place: String) async throws -> [FrameBatch] {
        try await withScratch { scratch in
            let source = try await files(at: place, scratch)
            guard try !source.isRegional() else {
                throw CommandStop(.refused, "drover: \(place) is a region's log: name a global one")
            }
            return try source.all()
        }
    }

    private static func files(at place: String, _ scratch: String) async throws -> LogFiles {
        guard let isDirectory = isDirectory(place) else {
            throw CommandStop(.refused, "drover: there is no \(place): name a log's directory, an export, or a URL")
        }
        guard isDirectory else { return .export(place) }
        if StorePlace.holdsBackup(place) { _ = try await LogSegments.restore(place, to: scratch + "/restored") }
        let directory = try directory(in: StorePlace.holdsBackup(place) ? scratch + "/restored" : place)
        do {
            return .directory(try await open(directory))
        } catch let failure as StoreFailure {
            throw CommandStop(.failed, "drover: \(failure)")
        }
    }

    /// Opens a log for reading, with its archive where the log says that it is, if it is there.
    static func open(_ directory: String) async throws -> EventLog {
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        if let anchor = try log.anchor(), StorePlace.holdsBackup(anchor.archive) {
            log.use(archive: try await StorePlace.open(anchor.archive, readOnly: true), place: anchor.archive)
        }
        return log
    }

    private static func ask<Mapping: ViewMapping, Answer>(
        _ views: RecordedViews<Mapping>, of source: LogFiles, _ body: (any AskedLog) async throws -> Answer
    ) async throws -> Answer {
        defer { views.close() }
        try read(source, into: views)
        return try await body(views)
    }

    private static func read<Mapping: ViewMapping>(_ source: LogFiles, into views: RecordedViews<Mapping>) throws {
        let line = ProgressLine()
        defer { line.end() }
        try source.fill(views) { if Terminal.showsProgress { line.show("reading the log: event \($0)") } }
    }

    /// A directory that goes when the body ends, or when the command is interrupted.
    static func withScratch<Answer>(_ body: (String) async throws -> Answer) async throws -> Answer {
        let path = FileManager.default.temporaryDirectory.path + "/drover-past-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        Interruption.remove(path)
        defer {
            try? FileManager.default.removeItem(atPath: path)
            Interruption.removed(path)
        }
        do { return try await body(path) } catch let failure as StoreFailure {
            throw CommandStop(.failed, "drover: \(failure)")
        } catch let failure as CodecFailure {
            throw CommandStop(.failed, "drover: \(failure.message)")
        } catch let failure as ViewsFailure {
            throw CommandStop(.failed, "drover: \(failure.message)")
        }
    }
}

/// A log in files.
enum LogFiles {
    case directory(EventLog)
    /// A file that export wrote.
    case export(String)

    /// Told by the first event that only one kind of log has; a log of engine starts alone counts as a global one.
    func isRegional() throws -> Bool {
        var kind: Bool?
        try batches(stored: true) { batches in
            kind = batches.lazy.flatMap(\.frames).compactMap(Self.isRegional).first
            return kind == nil
        }
        return kind ?? false
    }

    func all() throws -> [FrameBatch] {
        var found: [FrameBatch] = []
        try batches { batches in
            found += batches
            return true
        }
        return found
    }

    private static func isRegional(_ frame: Frame) -> Bool? {
        let isGlobal = (try? GlobalCodec().decode(frame)) != nil
        let isRegional = (try? RegionalCodec().decode(frame)) != nil
        return isGlobal == isRegional ? nil : isRegional
    }

    /// Folds the whole log, saying how far it has come.
    func fill<Mapping: ViewMapping>(_ views: RecordedViews<Mapping>, progress: (LogSequence) -> Void) throws {
        switch self {
        case .directory(let log): try views.fill(from: log, progress: progress)
        case .export:
            try views.fill { take in
                try batches { batches in
                    try take(batches)
                    if let end = batches.last?.end.sequence { progress(end) }
                    return true
                }
            }
        }
    }

    /// Gives the log's batches in order, many at a time, as long as the body wants more. An export is proved on the
    /// way: a damaged line is named, and nothing behind it is given.
    ///
    /// - Parameter stored: leave out what is in the log's archive alone.
    private func batches(stored: Bool = false, _ body: ([FrameBatch]) throws -> Bool) throws {
        switch self {
        case .directory(let log):
            var last = stored ? try log.anchor()?.position.sequence ?? .zero : .zero
            while case let batches = try log.read(after: last, maximumFrames: Self.framesAtOnce),
                let end = batches.last?.end.sequence, try body(batches)
            {
                last = end
            }
        case .export(let path): try exported(path, body)
        }
    }

    private static let framesAtOnce = 8192

    private func exported(_ path: String, _ body: ([FrameBatch]) throws -> Bool) throws {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw CommandStop(.refused, "drover: \(path) cannot be read: name a file that `drover export` wrote")
        }
        var (lines, reader, waiting, frames) = (LineReader(file), NDJSONBatches(), [FrameBatch](), 0)
        while let line = try lines.next() {
            guard let batch = try reader.take(line) else { continue }
            waiting.append(batch)
            frames += batch.frames.count
            guard frames >= Self.framesAtOnce else { continue }
            guard try body(waiting) else { return }
            (waiting, frames) = ([], 0)
        }
        try reader.finish()
        if !waiting.isEmpty { _ = try body(waiting) }
    }
}
