import Codec
package import Domain
import LMDB
package import Ports
import Synchronization

extension EventLog {
    package func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        guard !isReadOnly else {
            throw StoreFailure(
                code: "locked", message: "the log in \(directory) is open for reading: open it for writing",
                outcome: .unchanged)
        }
        guard !needsReopen.withLock({ $0 }) else {
            throw StoreFailure(
                code: "closed", message: "the log's last commit has an unknown outcome: reopen it and compare its end",
                outcome: .unchanged)
        }
        guard !frames.isEmpty else { return try head() }
        let batch = try EncodedBatch(frames)
        do {
            let end = try environment.write { transaction in try write(batch, transaction) }
            signal.announce(end.sequence.rawValue)
            checkReadersNowAndThen()
            return end
        } catch {
            let failure = StoreFailure(error, directory: directory)
            if failure.outcome == .unknown { needsReopen.withLock { $0 = true } }
            throw failure
        }
    }

    /// A reader in another process that died would keep its pages from being used again for ever. Not being able to look
    /// is no failure of the append.
    private func checkReadersNowAndThen() {
        let isDue = appends.withLock { appends in
            appends = (appends + 1) % max(1, settings.readerCheckAppends)
            return appends == 0
        }
        if isDue { _ = try? environment.checkReaders() }
    }

    private func write(_ batch: EncodedBatch, _ transaction: borrowing Transaction) throws -> LogPosition {
        let head = try Self.head(transaction, log: identity)
        guard batch.first == head.sequence.rawValue &+ 1, batch.firstEpoch >= head.epoch.rawValue else {
            throw StoreFailure(
                code: "out-of-order",
                message:
                    "a batch from sequence \(batch.first) of epoch \(batch.firstEpoch) cannot follow the log's end, "
                    + "\(head.sequence) of epoch \(head.epoch): read the head again",
                outcome: .unchanged)
        }
        for index in batch.ends.indices {
            try transaction.put(
                Self.events, sequence: batch.first &+ UInt64(index),
                value: batch.bytes.span.extracting(batch.range(index)))
        }
        let row = batch.row(after: head.chain)
        try transaction.put(Self.batches, sequence: row.last, value: row.value.span)
        return row.position(in: identity)
    }
}

extension Transaction {
    /// Appends under a sequence's key.
    fileprivate borrowing func put(
        _ database: Environment.Database, sequence: UInt64, value: borrowing Span<UInt8>
    ) throws {
        let key = InlineArray<8, UInt8> { UInt8(truncatingIfNeeded: sequence >> (56 - 8 * UInt64($0))) }
        try put(database, key: key.span, value: value, appending: true)
    }
}
