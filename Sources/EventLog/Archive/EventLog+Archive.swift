import Codec
package import Domain
import LMDB
package import Ports
import Synchronization

extension EventLog {
    /// Reads what is behind the anchor from a store that holds the log's backup, from now on. Without one (or in another
    /// place) it is answered with `archived`.
    package func use(archive store: any BlobStore, place: String) {
        archive.withLock { $0 = LogArchive(in: store, place: place) }
    }

    /// Whether what is behind the anchor can be asked for.
    package var hasArchive: Bool { archive.withLock { $0 != nil } }

    package func anchor() throws(StoreFailure) -> LogAnchor? {
        try attempt { try environment.read { transaction in try Self.metaRows(transaction).anchor } }
    }

    /// Asks the log, and its archive where that is before the anchor.
    func reaching<Answer>(
        _ sequence: LogSequence, _ body: () throws(StoreFailure) -> Answer,
        archived: (LogArchive, LogAnchor) throws(StoreFailure) -> Answer
    ) throws(StoreFailure) -> Answer {
        do throws(StoreFailure) { return try body() } catch {
            guard error.code == "archived", let anchor = try anchor() else { throw error }
            guard let archive = archive.withLock({ $0 }) else { throw anchor.archived(sequence) }
            return try archived(archive, anchor)
        }
    }

    /// Takes away whole batches from the beginning, some `maximumFrames` of events, never past what is proved to be in the
    /// archive. One transaction, so that the anchor always is where the log begins: whoever dies leaves the old one or the
    /// new one. Returns the anchor; the work is over when it is the proof's end.
    ///
    /// Belongs to the thread that appends, and fails as `append` does.
    package func trim(to proof: ArchiveProof, maximumFrames: Int = 5000) throws(StoreFailure) -> LogPosition {
        guard !isReadOnly, !needsReopen.withLock({ $0 }), proof.end.log == identity else {
            throw StoreFailure(
                code: "closed", message: "the log in \(directory) cannot be trimmed now: open it for writing",
                outcome: .unchanged)
        }
        do {
            return try environment.write { transaction in try trim(to: proof, maximumFrames, transaction) }
        } catch {
            let failure = StoreFailure(error, directory: directory)
            if failure.outcome == .unknown { needsReopen.withLock { $0 = true } }
            throw failure
        }
    }

    private func trim(
        to proof: ArchiveProof, _ maximumFrames: Int, _ transaction: borrowing Transaction
    ) throws -> LogPosition {
        let start = try Self.start(transaction, log: identity)
        guard start.sequence < proof.end.sequence else { return start }
        guard try Self.row(transaction, at: proof.end.sequence.rawValue)?.position(in: identity) == proof.end else {
            throw StoreFailure(
                code: "forked", message: "what was proved is not on the chain of the log in \(directory)",
                outcome: .unchanged)
        }
        let rows = try rows(transaction, after: start.sequence.rawValue, maximumFrames: maximumFrames)
            .filter { $0.last <= proof.end.sequence.rawValue }
        for row in rows {
            for sequence in row.first...row.last {
                try transaction.delete(Self.events, key: bigEndianBytes(sequence).span)
            }
            try transaction.delete(Self.batches, key: row.key.span)
        }
        let anchor = rows.last?.position(in: identity) ?? start
        let meta = MetaRows(
            identity: identity, created: created, anchor: LogAnchor(position: anchor, archive: proof.place))
        for key in [MetaRows.Key.anchor, .archive, .format] {
            try transaction.put(
                Self.meta, key: Array(key.rawValue.utf8).span, value: meta.value(key).span, appending: false)
        }
        return anchor
    }
}

/// That the archive holds the log up to a position: its segments were read back, and every byte compared with the log's.
package struct ArchiveProof: Hashable, Sendable {
    package let end: LogPosition
    package let place: String

    /// - Parameters:
    ///   - end: the end of a batch, at or before that of a sealed segment.
    ///   - place: what the store is called in answers.
    /// - Returns: nil while no sealed segment holds that place.
    package static func make(
        _ log: EventLog, upTo end: LogPosition, in store: any BlobStore, place: String
    ) async throws -> ArchiveProof? {
        let reader = BackupReader(store: store)
        let path = try await reader.sealed(covering: end, of: log)
        guard !path.isEmpty else { return nil }
        var position = try log.anchor()?.position ?? .start(of: log.identity)
        for (index, name) in path.enumerated() where name.last > position.sequence {
            let bytes = try await reader.bytes(name, at: BackupNames.sealed)
            let before = index == 0 ? LogPosition.start(of: log.identity) : path[index - 1].end
            position = try await log.offPool { [position] () throws(StoreFailure) in
                try compare(SegmentReader(bytes, name: name), behind: before, with: log, from: position)
            }
        }
        return ArchiveProof(end: end, place: place)
    }

    /// Compares a segment's batches with those that the log holds behind a position; returns where the segment ends.
    private static func compare(
        _ segment: SegmentReader, behind before: LogPosition, with log: EventLog, from position: LogPosition
    ) throws(StoreFailure) -> LogPosition {
        var archived: [StoredBatch] = []
        let end = try log.attempt {
            try segment.batches(after: before) { if $0.end.sequence > position.sequence { archived.append($0) } }
        }
        var (done, here) = (0, position)
        while here.sequence < end.sequence {
            let batches = try log.readStored(after: here, maximumFrames: 8192).filter {
                $0.end.sequence <= end.sequence
            }
            guard let last = batches.last, batches.elementsEqual(archived[done...].prefix(batches.count)) else {
                throw StoreFailure(
                    code: "damaged",
                    message:
                        "the archive's segment \(segment.footer.name) differs from the log behind \(here.sequence): "
                        + "the log keeps what it has",
                    outcome: .unchanged)
            }
            (done, here) = (done + batches.count, last.end)
        }
        return end
    }
}
