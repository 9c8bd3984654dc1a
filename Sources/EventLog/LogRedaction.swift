package import Codec
package import Domain
import Foundation
import Glibc
import LMDB
import Ports

/// Takes an event's content out of a log whose writer is stopped.
///
/// LMDB leaves old bytes in pages that it frees, so the log is made again beside itself, with what is left of the event in
/// its place and a record of the redaction behind the end, and takes the old one's place by a rename: whoever dies leaves
/// the one or the other. The chain is the same up to the old end.
package enum LogRedaction {
    private static let workName = "creating"
    private static let framesAtOnce = 20_000

    /// What goes into the log: what stands in the event's place, and the record behind the end.
    package struct Change: Sendable {
        package var substitute: [UInt8]
        /// Given what proves the payload's place.
        package var record: @Sendable (_ payload: Digest, _ substitute: Digest) throws -> EncodedEvent
        package var actor: EventActor
        package var now: Timestamp

        package init(
            substitute: [UInt8], actor: EventActor, now: Timestamp,
            record: @escaping @Sendable (_ payload: Digest, _ substitute: Digest) throws -> EncodedEvent
        ) {
            (self.substitute, self.actor, self.now, self.record) = (substitute, actor, now, record)
        }
    }

    /// - Parameters:
    ///   - decide: what becomes of the frame; it may throw a reason to leave it.
    ///   - beforeSwitch: takes away what was made from the old log. It runs when the new log is durable beside it.
    /// - Returns: the new end, behind the record.
    package static func redact(
        directory: String, sequence: LogSequence, beforeSwitch: () throws -> Void = {},
        decide: (Frame) throws -> Change
    ) throws -> LogPosition {
        let log = try EventLog.open(directory: directory, mode: .write)
        let head = try log.head()
        if let anchor = try log.anchor(), sequence <= anchor.position.sequence {
            throw StoreFailure(
                code: "archived",
                message: "event \(sequence) is in the archive \(anchor.archive) alone, the log begins behind sequence "
                    + "\(anchor.position.sequence): an archive cannot be redacted",
                outcome: .unchanged)
        }
        guard sequence > .zero, sequence <= head.sequence else {
            throw StoreFailure(
                code: "not-found",
                message: "the log in \(directory) has the events 1 to \(head.sequence), no \(sequence)",
                outcome: .unchanged)
        }
        let old = try frame(log, sequence)
        let change = try decide(old)
        let new = try redacted(old, change)
        let work = "\(directory)/\(workName)"
        if FileManager.default.fileExists(atPath: work) { try FileManager.default.removeItem(atPath: work) }
        let (copy, end) = try make(work, from: log, sequence, FrameCodec.encode(new)) { last in
            let recorded = try change.record(digest(of: old), StateCodec.hash(new.payload))
            return Frame(
                header: FrameHeader(
                    epoch: head.epoch, sequence: head.sequence.next, time: max(last, change.now),
                    command: head.sequence.next, actor: change.actor),
                type: recorded.type, schemaRevision: recorded.schemaRevision, payload: recorded.payload)
        }
        try beforeSwitch()
        try put(work, inPlaceOf: directory)
        withExtendedLifetime((log, copy)) {}
        return end
    }

    private static func digest(of frame: Frame) -> Digest {
        frame.redaction?.digest ?? StateCodec.hash(frame.payload)
    }

    /// The frame with the substitute; one that was redacted before keeps what proves its place.
    private static func redacted(_ frame: Frame, _ change: Change) throws -> Frame {
        var new = frame
        new.payload = change.substitute
        new.redaction = Redaction(
            digest: digest(of: frame),
            payloadBytes: frame.redaction?.payloadBytes ?? UInt16(truncatingIfNeeded: frame.payload.count))
        return new
    }

    private static func frame(_ log: EventLog, _ sequence: LogSequence) throws -> Frame {
        let before = LogSequence(rawValue: sequence.rawValue - 1)
        guard let frame = try log.read(after: before, maximumFrames: 1).first?.frames.first else {
            throw StoreFailure(code: "damaged", message: "event \(sequence) cannot be read", outcome: .damaged)
        }
        return frame
    }

    /// Makes the log again in a directory of its own; returns it, open, and its end, behind the record.
    private static func make(
        _ work: String, from log: EventLog, _ sequence: LogSequence, _ bytes: [UInt8],
        record: (_ lastTime: Timestamp) throws -> Frame
    ) throws -> (log: EventLog, end: LogPosition) {
        try LogCreation.makeDirectory(work)
        let anchor = try log.anchor()
        try LogCreation.create(
            directory: work, MetaRows(identity: log.identity, created: log.created, anchor: anchor),
            settings: log.settings)
        let copy = try EventLog.open(directory: work, mode: .write, settings: log.settings)
        let head = try log.head()
        var position = anchor?.position ?? .start(of: log.identity)
        while position.sequence < head.sequence {
            var batches = try log.readStored(after: position, maximumFrames: framesAtOnce)
            for (index, batch) in batches.enumerated() where batch.first <= sequence && sequence <= batch.end.sequence {
                batches[index] = try replaced(
                    batch, sequence, bytes, after: index == 0 ? position : batches[index - 1].end)
            }
            position = try copy.append(stored: batches)
        }
        guard position == head else {
            throw StoreFailure(
                code: "damaged", message: "the log made again ends at \(position.sequence) with another chain",
                outcome: .unchanged)
        }
        let last = try frame(log, head.sequence).header.time
        return (copy, try copy.append([record(last)]))
    }

    private static func replaced(
        _ batch: StoredBatch, _ sequence: LogSequence, _ bytes: [UInt8], after position: LogPosition
    ) throws -> StoredBatch {
        var (all, ends) = ([UInt8](), [Int]())
        for index in batch.ends.indices {
            let isTheOne = batch.first.rawValue + UInt64(index) == sequence.rawValue
            all += isTheOne ? bytes[...] : batch.bytes[batch.range(index)]
            ends.append(all.count)
        }
        let new = try StoredBatch(after: position, bytes: all, ends: ends)
        guard new.end == batch.end else {
            throw StoreFailure(
                code: "damaged", message: "event \(sequence) is not what the chain says", outcome: .damaged)
        }
        return new
    }

    /// A table of readers belongs to one file of data and goes with it, first. It says the last transaction of the new
    /// data as long as the new log is open here: a reader that comes between the two cannot make it that of the old
    /// data, by which the next writer would choose its meta page.
    private static func put(_ work: String, inPlaceOf directory: String) throws {
        for name in ["lock.mdb", "data.mdb"] {
            guard unsafe rename("\(work)/\(name)", "\(directory)/\(name)") == 0 else {
                throw StoreFailure(
                    code: "io",
                    message: "\(work)/\(name) cannot be renamed: \(unsafe String(cString: strerror(errno)))",
                    outcome: .unchanged)
            }
        }
        try Environment.syncDirectory(directory)
        try FileManager.default.removeItem(atPath: work)
    }
}
