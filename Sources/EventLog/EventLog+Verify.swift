import Codec
package import Domain
import LMDB
package import Ports

/// What a check of a whole log found.
package struct VerifyReport: Hashable, Sendable {
    package struct Damage: Hashable, Sendable {
        /// Everything up to here is sound: the end of a batch, or 0.
        package var afterSequence: LogSequence
        package var message: String
    }

    package var log: LogIdentity
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
    /// finds at its start. It may run in a reader while the writer is at work; it holds no transaction for long.
    ///
    /// Damage is in the report; a failure is one of reading at all. LMDB itself can crash on a damaged page: run it in
    /// a process that may.
    package func verify(
        progress: (_ done: LogSequence, _ of: LogSequence) -> Void = { _, _ in }
    ) throws(StoreFailure) -> VerifyReport {
        var report = VerifyReport(log: identity, end: .start(of: identity), frames: 0, batches: 0, damage: nil)
        var redactions = Redactions()
        do {
            let target = try environment.read { transaction in try checkedTarget(transaction) }
            while report.sequence.rawValue < target.sequence {
                try environment.read { transaction in try verify(transaction, until: target, &report, &redactions) }
                progress(report.sequence, LogSequence(rawValue: target.sequence))
            }
            guard report.batches == target.batches else {
                throw DamageFound(
                    afterSequence: report.sequence.rawValue,
                    message: "there are \(report.batches) batches, and a count of \(target.batches)")
            }
        } catch {
            report.damage = try damage(error, soundUntil: report.sequence)
        }
        if report.isSound, let sequence = redactions.unrecorded {
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
        var sequence: UInt64
        var batches: UInt64
    }

    private func checkedTarget(_ transaction: borrowing Transaction) throws -> VerifyTarget {
        let rows = try Self.metaRows(transaction)
        let metaCount = try transaction.count(Self.meta)
        let databases = try transaction.countDatabases()
        guard rows.identity == identity, metaCount == MetaRows.count, databases == UInt64(Self.databaseNames.count)
        else {
            throw DamageFound(
                afterSequence: 0,
                message:
                    "its meta database has \(metaCount) rows of the log \(rows.identity) beside \(databases) databases")
        }
        let head = try Self.head(transaction, log: identity)
        return VerifyTarget(sequence: head.sequence.rawValue, batches: try transaction.count(Self.batches))
    }

    private func verify(
        _ transaction: borrowing Transaction, until target: VerifyTarget, _ report: inout VerifyReport,
        _ redactions: inout Redactions
    ) throws {
        let start = report.sequence.rawValue
        let rows = try Self.rows(
            transaction, after: start,
            maximumFrames: min(settings.verifyFramesPerTransaction, Int(clamping: target.sequence - start)))
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
            redactions.take(buffer, layout)
            guard layout.sequence.rawValue == row.last else { return }
            guard row.first == result.sequence.rawValue + 1, chain.end() == row.chain,
                row.epoch >= result.epoch.rawValue
            else { throw DamageFound(afterSequence: row.first - 1, message: "the chain breaks at \(row.last)") }
            try lookUp(row, transaction)
            result.end = row.position(in: identity)
            result.frames += UInt64(row.count)
            result.batches += 1
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
