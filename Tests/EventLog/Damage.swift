import Codec
import Domain
import EventLog
import Foundation
import LMDB

let eventRows = Environment.Database(0)
let batchRows = Environment.Database(1)
let metaRows = Environment.Database(2)

/// Writes into a log's environment behind its back.
func rewrite(_ directory: String, _ body: (borrowing Transaction) throws -> Void) throws {
    var options = Environment.Options(databases: ["events", "batches", "meta"], access: .write)
    options.initialMapBytes = 1 << 20
    let environment = try Environment.open(directory: directory, options: options)
    defer { environment.close() }
    try environment.write(body)
}

func checkedMeta(_ key: String, _ content: [UInt8]) -> [UInt8] {
    var bytes = content
    bytes.append(littleEndian: crc32c((Array(key.utf8) + content).span))
    return bytes
}

func sequenceKey(_ number: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
}

/// What a damaged log answered.
enum Served: Equatable {
    case sound
    /// All that was served is what was written; the rest was refused.
    case refused
    case wrong(String)
}

/// Opens, reads everything and verifies, comparing with what was written.
func inspect(_ directory: String) -> Served {
    do {
        let log = try openReader(directory)
        let report = try log.verify()
        let expected = testFrames(1...12)
        guard log.identity == testIdentity else { return .wrong("identity") }
        var served: [UInt64] = []
        do {
            for frame in try log.everything(maximumFrames: 1).flatMap(\.frames) {
                guard expected.contains(frame) else { return .wrong("a frame that was never written") }
                served.append(frame.header.sequence.rawValue)
            }
        } catch { return report.isSound ? .wrong("verified, but unreadable: \(error)") : .refused }
        guard served == Array(1...12) else {
            return report.isSound ? .wrong("verified, but only \(served)") : .refused
        }
        return report.isSound ? .sound : .refused
    } catch {
        return .refused
    }
}

/// The descriptors of this process that are open on a file.
func descriptors(of path: String) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
        let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
        return target == path ? Int32(name) : nil
    }
}
