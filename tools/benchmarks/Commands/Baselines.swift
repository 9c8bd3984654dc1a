import Codec
import Domain
import Foundation
import Glibc
import LMDB

/// The batches that an engine committed, as bytes: what the baselines write again, in the same portions.
struct BatchBytes {
    /// Each batch's frames.
    let batches: [[[UInt8]]]

    init(_ batches: [FrameBatch]) throws {
        self.batches = try batches.map { try $0.frames.map { try FrameCodec.encode($0) } }
    }

    var frames: Int { batches.reduce(0) { $0 + $1.count } }
    var bytes: Int { batches.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } } }

    /// Appends each batch to one file and flushes it: what no durable log of these bytes can beat on one thread.
    /// - Returns: each one's seconds.
    func appendAndFlush(to path: String) throws -> [Double] {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw BenchmarkFailure("cannot make \(path)")
        }
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        let portions = batches.map { Data($0.joined()) }
        return try portions.map { portion in
            let start = ContinuousClock.now
            try file.write(contentsOf: portion)
            guard fdatasync(file.fileDescriptor) == 0 else { throw BenchmarkFailure("cannot flush \(path)") }
            return elapsed(since: start)
        }
    }

    /// Puts each batch into a bare LMDB database in one durable transaction.
    /// - Returns: seconds.
    func putIntoLMDB(in directory: String) throws -> Double {
        let environment = try Environment.open(
            directory: directory, options: Environment.Options(databases: ["events"], access: .create))
        defer { environment.close() }
        let events = Environment.Database(0)
        var sequence: UInt64 = 0
        let start = ContinuousClock.now
        for batch in batches {
            let first = sequence
            try environment.write { transaction in
                sequence = first
                for frame in batch {
                    sequence += 1
                    let number = sequence
                    let key = InlineArray<8, UInt8> { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
                    try transaction.put(events, key: key.span, value: frame.span, appending: true)
                }
            }
        }
        return elapsed(since: start)
    }
}
