import Codec
package import Domain
import LMDB
package import Ports
import Synchronization

/// What a check of a whole log found.
package struct VerifyReport: Hashable, Sendable {
    package struct Damage: Hashable, Sendable {
        /// Everything up to here is sound: the end of a batch, or 0.
        package var afterSequence: LogSequence
        package var message: String
    }

    package var log: LogIdentity
    /// Where the check began: the log's start, or an anchor whose archive is not at hand.
    package var start: LogPosition
    /// What was read from the archive ends here; zero for a log without one.
    package var archived: LogSequence = .zero
    /// The position at the end of what is sound.
    package var end: LogPosition
    package var frames: UInt64
    package var batches: UInt64
    /// Nil when everything is sound.
    package var damage: Damage?

    package var epoch: Epoch { end.epoch }
    package var sequence: LogSequence { end.sequence }
    package var chain: Digest { end.chain }
    package var isSound: Bool { damage == nil }
}

extension EventLog {
    /// Checks every frame, every batch's chain, every key and the counts of all three databases, up to the head that it
    /// finds at its start; what is behind an anchor in the archive, where that is at hand. It may run in a reader while the writer is at work; it holds no transaction for long.
    ///
    /// Damage is in the report; a failure is one of reading at all. LMDB itself can crash on a damaged page: run it in
    /// a process that may.
    package func verify(
        progress: (_ done: LogSequence, _ of: LogSequence) -> Void = { _, _ in }
    ) throws(StoreFailure) -> VerifyReport {
        let origin = LogPosition.start(of: identity)
        var report = VerifyReport(log: identity, start: origin, end: origin, frames: 0, batches: 0, damage: nil)
        var walk = Walk()
        do {
            var target = try environment.read { transaction in try checkedTarget(transaction) }
            while report.sequence < target.end.sequence {
                do {
                    try environment.read { transaction in try verify(transaction, until: target, &report, &walk) }
                } catch is BeforeAnchor {
                    if try verifyArchive(target, &report, &walk, progress) { continue }
                    target = try environment.read { transaction in try checkedTarget(transaction) }
                    (report.start, report.end, report.frames, report.batches) = (target.start, target.start, 0, 0)
                    walk = Walk()
                }
                progress(report.sequence, target.end.sequence)
            }
            guard walk.counted == target.batches else {
                throw DamageFound(
                    afterSequence: report.sequence.rawValue,
                    message: "there are \(walk.counted) batches, and a count of \(target.batches)")
            }
        } catch {
            report.damage = try damage(error, soundUntil: report.sequence)
        }
        if report.isSound, let sequence = walk.redactions.unrecorded {
            report.damage = VerifyReport.Damage(
                afterSequence: LogSequence(rawValue: sequence - 1),
                message: "event \(sequence) holds something else than was written, and no later event says so")
        }
        return report
    }

    /// What stands in the place of redacted payloads is not in the chain; the record of each redaction is.
    private struct Redactions {
        private struct Replaced: Hashable {
            var payload, substitute: Digest
        }

        private static let recordType = eventType(named: "payload-redacted")

        private var replaced: [UInt64: Replaced] = [:]

        /// The first event of which no record says what stands there.
        var unrecorded: UInt64? { replaced.keys.min() }

        mutating func take(_ bytes: [UInt8], _ layout: FrameLayout) {
            if layout.hasSubstitute, let payload = Digest(bytes: Array(bytes[layout.payloadHashRange])) {
                let substitute = StateCodec.hash(Array(bytes[layout.payloadRange]))
                replaced[layout.sequence.rawValue] = Replaced(payload: payload, substitute: substitute)
            }
            // The same event in both kinds of log.
            guard layout.type == Self.recordType,
                case .log(.payloadRedacted(let sequence, let payload, let substitute, _))? = try? GlobalCodec().decode(
                    type: layout.type, schemaRevision: layout.schemaRevision, payload: Array(bytes[layout.payloadRange])
                ),
                replaced[sequence.rawValue] == Replaced(payload: payload, substitute: substitute)
            else { return }
            replaced[sequence.rawValue] = nil
        }
    }

    private struct VerifyTarget {
        var start, end: LogPosition
        /// Between the two.
        var batches: UInt64
    }

    private struct Walk {
        var redactions = Redactions()
        /// Batches behind the target's start.
        var counted: UInt64 = 0
    }

    /// Goes on in the archive, up to the anchor; false where that is not at hand.
    private func verifyArchive(
        _ target: VerifyTarget, _ report: inout VerifyReport, _ walk: inout Walk,
        _ progress: (_ done: LogSequence, _ of: LogSequence) -> Void
    ) throws -> Bool {
        guard let anchor = try anchor(), let archive = archive.withLock({ $0 }) else { return false }
        defer { archive.rest() }
        while report.sequence < anchor.position.sequence {
            let batches = try archive.batches(
                after: report.sequence, settings.verifyFramesPerTransaction, before: anchor, of: self)
            for batch in batches {
                guard try StoredBatch(after: report.end, bytes: batch.bytes, ends: batch.ends) == batch else {
                    throw DamageFound(
                        afterSequence: report.sequence.rawValue,
                        message: "the archive's chain breaks at \(batch.end.sequence)")
                }
                for index in batch.ends.indices {
                    let bytes = Array(batch.bytes[batch.range(index)])
                    let layout = try FrameLayout(bytes.span)
                    if !layout.isRedacted || layout.hasSubstitute { _ = try FrameCodec.decode(bytes.span, layout) }
                    walk.redactions.take(bytes, layout)
                }
                if batch.first > target.start.sequence { walk.counted += 1 }
                (report.end, report.archived) = (batch.end, batch.end.sequence)
                (report.frames, report.batches) = (report.frames + UInt64(batch.ends.count), report.batches + 1)
            }
            progress(report.sequence, target.end.sequence)
        }
        guard report.end == anchor.position else {
            throw DamageFound(
                afterSequence: report.sequence.rawValue,
                message: "the archive \(archive.place) does not lead to the anchor \(anchor.position.sequence)")
        }
        return true
    }

    private func checkedTarget(_ transaction: borrowing Transaction) throws -> VerifyTarget {
        let rows = try Self.metaRows(transaction)
        let metaCount = try transaction.count(Self.meta)
        let databases = try transaction.countDatabases()
        guard rows.identity == identity, metaCount == UInt64(rows.keys.count),
            databases == UInt64(Self.databaseNames.count)
        else {
            throw DamageFound(
                afterSequence: 0,
                message:
                    "its meta database has \(metaCount) rows of the log \(rows.identity) beside \(databases) databases")
        }
        let head = try Self.head(transaction, log: identity)
        return VerifyTarget(
            start: try Self.start(transaction, log: identity), end: head, batches: try transaction.count(Self.batches))
    }

    private func verify(
        _ transaction: borrowing Transaction, until target: VerifyTarget, _ report: inout VerifyReport,
        _ walk: inout Walk
    ) throws {
        let start = report.sequence.rawValue
        let rows = try rows(
            transaction, after: start,
            maximumFrames: min(settings.verifyFramesPerTransaction, Int(clamping: target.end.sequence.rawValue - start))
        )
        var chain = BatchChain(after: report.chain, first: report.sequence, count: 0)
        var buffer: [UInt8] = []
        var result = report
        defer { report = result }
        try Self.walk(transaction, rows, after: start) { bytes, layout, row in
            if layout.sequence.rawValue == row.first {
                chain = BatchChain(after: result.chain, first: layout.sequence, count: row.count)
            }
            buffer.removeAll(keepingCapacity: true)
            buffer.append(addingCapacity: bytes.count) { output in
                for index in bytes.indices { output.append(bytes[index]) }
            }
            if !layout.isRedacted || layout.hasSubstitute { _ = try FrameCodec.decode(bytes, layout) }
            chain.add(buffer[...], layout)
            walk.redactions.take(buffer, layout)
            guard layout.sequence.rawValue == row.last else { return }
            guard row.first == result.sequence.rawValue + 1, chain.end() == row.chain,
                row.epoch >= result.epoch.rawValue
            else { throw DamageFound(afterSequence: row.first - 1, message: "the chain breaks at \(row.last)") }
            try lookUp(row, transaction)
            result.end = row.position(in: identity)
            result.frames += UInt64(row.count)
            result.batches += 1
            if row.first > target.start.sequence.rawValue { walk.counted += 1 }
        }
    }

    /// A walk along the leaves never asks the pages above them, which a read from the middle does.
    private func lookUp(_ row: BatchRow, _ transaction: borrowing Transaction) throws {
        guard try Self.row(transaction, at: row.last) == row else {
            throw DamageFound(afterSequence: row.first - 1, message: "the batch up to \(row.last) cannot be looked up")
        }
        for sequence in row.first...row.last {
            let key = bigEndianBytes(sequence)
            let found = try transaction.value(Self.events, key: key.span) { try FrameLayout($0).sequence.rawValue }
            guard found == sequence else {
                throw DamageFound(afterSequence: row.first - 1, message: "event \(sequence) cannot be looked up")
            }
        }
    }

    private func damage(_ error: any Error, soundUntil sequence: LogSequence) throws(StoreFailure)
        -> VerifyReport.Damage
    {
        if let damage = error as? DamageFound {
            return VerifyReport.Damage(afterSequence: sequence, message: damage.message)
        }
        let failure = StoreFailure(error, directory: directory)
        guard failure.outcome == .damaged else { throw failure }
        return VerifyReport.Damage(afterSequence: sequence, message: failure.message)
    }
}
