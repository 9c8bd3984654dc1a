import Codec
package import Domain
import LMDB
package import Ports
import Synchronization

extension EventLog {
    /// Whole batches after a position on this log's chain, as they are stored: at least one when there is one, then
    /// until `maximumFrames` is reached. Each is proved by the chain on the way.
    package func readStored(after position: LogPosition, maximumFrames: Int) throws(StoreFailure) -> [StoredBatch] {
        try reaching(position.sequence) { () throws(StoreFailure) in
            try storedHere(after: position, maximumFrames: maximumFrames)
        } archived: { (archive, anchor) throws(StoreFailure) in
            guard try archive.position(at: position.sequence, before: anchor, of: self) == position else {
                throw noEnd(position.sequence)
            }
            return try archive.batches(after: position.sequence, maximumFrames, before: anchor, of: self)
        }
    }

    private func noEnd(_ sequence: LogSequence) -> StoreFailure {
        StoreFailure(
            code: "forked", message: "sequence \(sequence) ends no batch of the log in \(directory)",
            outcome: .unchanged)
    }

    private func storedHere(after position: LogPosition, maximumFrames: Int) throws(StoreFailure) -> [StoredBatch] {
        try attempt {
            var (batches, end) = ([StoredBatch](), position)
            var (bytes, ends) = ([UInt8](), [Int]())
            try environment.read { transaction in
                let rows = try rows(transaction, after: position.sequence.rawValue, maximumFrames: maximumFrames)
                if let row = rows.first, row.first != position.sequence.next.rawValue {
                    throw noEnd(position.sequence)
                }
                try Self.walk(transaction, rows, after: position.sequence.rawValue) { frame, layout, row in
                    bytes.append(copying: frame)
                    ends.append(bytes.count)
                    guard layout.sequence.rawValue == row.last else { return }
                    let batch = try StoredBatch(after: end, bytes: bytes, ends: ends)
                    guard batch.end == row.position(in: identity) else {
                        throw DamageFound(
                            afterSequence: end.sequence.rawValue, message: "the chain breaks at \(row.last)")
                    }
                    batches.append(batch)
                    (end, bytes, ends) = (batch.end, [], [])
                }
            }
            return batches
        }
    }

    /// Appends whole batches as they are, in one transaction: for a log that is made again out of segments. Returns the
    /// new end. Fails as `append` does; an engine's log is written by its engine alone.
    package func append(stored batches: [StoredBatch]) throws(StoreFailure) -> LogPosition {
        guard let last = batches.last else { return try head() }
        guard !isReadOnly else {
            throw StoreFailure(
                code: "locked", message: "the log in \(directory) is open for reading: open it for writing",
                outcome: .unchanged)
        }
        do {
            try environment.write { transaction in
                var head = try Self.head(transaction, log: identity)
                for batch in batches { head = try put(batch, behind: head, transaction) }
            }
        } catch {
            let failure = StoreFailure(error, directory: directory)
            if failure.outcome == .unknown { needsReopen.withLock { $0 = true } }
            throw failure
        }
        signal.announce(last.end.sequence.rawValue)
        return last.end
    }

    private func put(
        _ batch: StoredBatch, behind head: LogPosition, _ transaction: borrowing Transaction
    ) throws -> LogPosition {
        guard batch.first == head.sequence.next, batch.end.log == identity, batch.end.epoch >= head.epoch else {
            throw StoreFailure(
                code: "out-of-order",
                message: "a batch of log \(batch.end.log) from sequence \(batch.first) cannot follow the end of log "
                    + "\(identity), \(head.sequence)",
                outcome: .unchanged)
        }
        for index in batch.ends.indices {
            try transaction.put(
                Self.events, key: bigEndianBytes(batch.first.rawValue + UInt64(index)).span,
                value: batch.bytes.span.extracting(batch.range(index)), appending: true)
        }
        let row = BatchRow(
            first: batch.first.rawValue, last: batch.end.sequence.rawValue, epoch: batch.end.epoch.rawValue,
            chain: batch.end.chain)
        try transaction.put(Self.batches, key: row.key.span, value: row.value.span, appending: true)
        return batch.end
    }
}

extension [UInt8] {
    mutating func append(copying bytes: borrowing Span<UInt8>) {
        append(addingCapacity: bytes.count) { output in
            for index in bytes.indices { output.append(bytes[index]) }
        }
    }
}
