import Codec
package import Domain
import EventLog
import Foundation
package import Ports

/// Logs as NDJSON files with their batches' ends (`Schemas/formats.md`): out of a log, and back into one.
package enum LogText {
    static let framesAtOnce = 4096
    static let bytesAtOnce = 1 << 16

    /// Writes the whole log, up to the end it has now, to a new file; returns that end.
    ///
    /// The file appears whole or not at all. What stands at `path` already is never replaced.
    package static func export(_ log: any LogStore, to path: String) throws -> LogPosition {
        let part = path + ".partial"
        try refuseExisting(path)
        try refuseExisting(part)
        do {
            guard (try? Data().write(to: URL(filePath: part), options: .withoutOverwriting)) != nil,
                let file = FileHandle(forWritingAtPath: part)
            else {
                throw CommandStop(.refused, "drover: \(path) cannot be written: name a file in a directory of yours")
            }
            let end = try write(log, to: file)
            try file.synchronize()
            try file.close()
            // A link, unlike a rename, fails where something has come to stand meanwhile.
            try FileManager.default.linkItem(atPath: part, toPath: path)
            try FileManager.default.removeItem(atPath: part)
            try synchronizeParent(of: path)
            return end
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw error
        }
    }

    private static func write(_ log: any LogStore, to file: FileHandle) throws -> LogPosition {
        let head = try log.head()
        var end = LogPosition.start(of: head.log)
        while end.sequence < head.sequence {
            let batches = try log.read(after: end.sequence, maximumFrames: framesAtOnce)
            for batch in batches where end != head {
                guard try FrameCodec.chain(after: end.chain, batch.frames) == batch.end.chain else {
                    throw CommandStop(.failed, "drover: the log is damaged after sequence \(end.sequence)")
                }
                try file.write(contentsOf: Data(NDJSON.lines(batch)))
                end = batch.end
            }
        }
        guard end.sequence > .zero else { throw CommandStop(.refused, "drover: the log is empty: nothing to export") }
        return end
    }

    /// Makes a log in a new directory from a file: the same identity, batches and chain. Returns its end.
    ///
    /// The directory appears whole or not at all; nothing that stands there is replaced.
    package static func `import`(_ file: String, to directory: String) throws -> LogPosition {
        let part = directory + ".partial"
        try refuseExisting(directory)
        try refuseExisting(part)
        do {
            let end = try fill(part, from: file)
            try FileManager.default.moveItem(atPath: part, toPath: directory)
            try synchronizeParent(of: directory)
            return end
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw error
        }
    }

    private static func fill(_ directory: String, from file: String) throws -> LogPosition {
        guard let source = FileHandle(forReadingAtPath: file) else {
            throw CommandStop(.refused, "drover: \(file) cannot be read: name a file that `drover export` wrote")
        }
        var (lines, batches, log) = (LineReader(source), NDJSONBatches(), EventLog?.none)
        while let line = try lines.next() {
            guard let batch = try batches.take(line) else { continue }
            let target = try log ?? EventLog.open(directory: directory, mode: .create(identity: batch.end.log))
            log = target
            guard try target.append(batch.frames) == batch.end else {
                preconditionFailure("a proved batch has another end in a log")
            }
        }
        try batches.finish()
        return batches.end ?? .start(of: LogIdentity(high: 0, low: 0))
    }

    static func refuseExisting(_ path: String) throws {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw CommandStop(.refused, "drover: \(path) is there already: remove it, or name another place")
        }
    }

    static func synchronizeParent(of path: String) throws {
        let parent = URL(filePath: path).deletingLastPathComponent().path
        try FileHandle(forReadingAtPath: parent)?.synchronize()
    }
}

/// A file's lines, a piece at a time.
struct LineReader {
    private let file: FileHandle
    private var waiting = Data()
    private var isAtEnd = false

    init(_ file: FileHandle) { self.file = file }

    /// The next line without its line feed; nil after the last. A line far too long is cut: whoever reads it refuses it.
    mutating func next() throws -> Data? {
        while true {
            if let feed = waiting.firstIndex(of: UInt8(ascii: "\n")) {
                defer { waiting = waiting[(feed + 1)...] }
                return waiting[..<feed]
            }
            if isAtEnd || waiting.count > NDJSONBatches.maximumLineBytes {
                defer { waiting = Data() }
                return waiting.isEmpty ? nil : waiting
            }
            let piece = try readPiece()
            isAtEnd = piece.isEmpty
            waiting = Data(waiting) + piece
        }
    }
    private func readPiece() throws -> Data {
        do { return try file.read(upToCount: LogText.bytesAtOnce) ?? Data() } catch {
            throw CommandStop(.failed, "drover: the file cannot be read to its end: is it a file that export wrote?")
        }
    }
}
