import Codec
package import Domain
import LMDB
package import Ports

/// Whether a position of somebody else lies on this log's chain.
package enum PositionCheck: Hashable, Sendable {
    case onChain
    /// Past this log's end, which is given: this log lost what the other has seen, or follows it.
    case ahead(LogPosition)
    /// Within this log, but with another chain: the histories parted at or before it. Positions that the other side
    /// passed earlier tell where; nil when nothing but the log's start is known to be common.
    case forked(lastCommon: LogPosition?)
    /// No batch of this log ends there, so nothing can be proved; a position that came from this chain would be an end.
    case notBatchEnd
    /// It is another log's.
    case otherLog
}

extension EventLog {
    package func head() throws(StoreFailure) -> LogPosition {
        try attempt { try environment.read { transaction in try Self.head(transaction, log: identity) } }
    }

    package func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? {
        guard sequence != .zero else { return .start(of: identity) }
        return try reaching(sequence) { () throws(StoreFailure) in
            try attempt { try environment.read { transaction in try position(transaction, at: sequence) } }
        } archived: { (archive, anchor) throws(StoreFailure) in
            try archive.position(at: sequence, before: anchor, of: self)
        }
    }

    private func position(_ transaction: borrowing Transaction, at sequence: LogSequence) throws -> LogPosition? {
        let start = try Self.start(transaction, log: identity)
        guard sequence > start.sequence else {
            if sequence == start.sequence { return start }
            throw BeforeAnchor()
        }
        return try Self.row(transaction, at: sequence.rawValue)?.position(in: identity)
    }

    /// Tells whether a position that left some process is on this log's chain.
    package func contains(_ position: LogPosition) throws(StoreFailure) -> PositionCheck {
        guard position.log == identity else { return .otherLog }
        let head = try head()
        if position.sequence > head.sequence { return .ahead(head) }
        if position.sequence == .zero { return position.chain == .zero ? .onChain : .forked(lastCommon: nil) }
        guard let here = try self.position(at: position.sequence) else { return .notBatchEnd }
        return here == position ? .onChain : .forked(lastCommon: nil)
    }

    /// The last of some positions, in growing order, that is on this log's chain: where to derive again from.
    package func lastCommon(of positions: [LogPosition]) throws(StoreFailure) -> LogPosition? {
        for position in positions.reversed() where try contains(position) == .onChain { return position }
        return nil
    }

    /// The end of the last batch that has nothing after a moment, among those that are stored here; nil for none.
    package func lastEnd(before time: Timestamp) throws(StoreFailure) -> LogPosition? {
        func batch(behind sequence: UInt64) throws(StoreFailure) -> FrameBatch? {
            try read(after: LogSequence(rawValue: sequence), maximumFrames: 1).first
        }
        // Times never decrease: in `low` and before nothing is later, in `high` something is.
        let start = try anchor()?.position.sequence.rawValue ?? 0
        var (low, high, found) = (start, try head().sequence.rawValue, LogPosition?.none)
        while low < high {
            let middle = low + (high - low) / 2
            guard let batch = try batch(behind: middle), let last = batch.frames.last else { break }
            if last.header.time <= time {
                (low, found) = (batch.end.sequence.rawValue, batch.end)
            } else {
                high = middle
            }
        }
        return found
    }

    package func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        try reaching(sequence) { () throws(StoreFailure) in
            try attempt {
                try environment.read { transaction in
                    let rows = try rows(transaction, after: sequence.rawValue, maximumFrames: maximumFrames)
                    return try frameBatches(transaction, rows, after: sequence.rawValue)
                }
            }
        } archived: { (archive, anchor) throws(StoreFailure) in
            let batches = try archive.batches(after: sequence, maximumFrames, before: anchor, of: self)
            return try attempt { try batches.map { try $0.frames(after: sequence) } }
        }
    }

    package func lend(
        after sequence: LogSequence, maximumFrames: Int,
        to body: (
            _ header: FrameHeader, _ type: UInt16, _ schemaRevision: UInt16, _ payload: Span<UInt8>, _ end: LogPosition?
        ) -> Void
    ) throws(StoreFailure) {
        try reaching(sequence) { () throws(StoreFailure) in
            try attempt {
                try environment.read { transaction in
                    let rows = try rows(transaction, after: sequence.rawValue, maximumFrames: maximumFrames)
                    try Self.walk(transaction, rows, after: sequence.rawValue) { bytes, layout, row in
                        let header = try FrameCodec.header(bytes, layout)
                        let isLast = layout.sequence.rawValue == row.last
                        body(
                            header, layout.type, layout.schemaRevision, bytes.extracting(layout.payloadRange),
                            isLast ? row.position(in: identity) : nil)
                    }
                }
            }
        } archived: { (archive, anchor) throws(StoreFailure) in
            let batches = try archive.batches(after: sequence, maximumFrames, before: anchor, of: self)
            try attempt { for batch in batches { try batch.lend(after: sequence, to: body) } }
        }
    }

    private func frameBatches(
        _ transaction: borrowing Transaction, _ rows: [BatchRow], after sequence: UInt64
    ) throws -> [FrameBatch] {
        var batches: [FrameBatch] = []
        var frames: [Frame] = []
        batches.reserveCapacity(rows.count)
        do {
            try Self.walk(transaction, rows, after: sequence) { bytes, layout, row in
                if frames.isEmpty { frames.reserveCapacity(min(row.count, Int(clamping: row.last &- sequence))) }
                frames.append(try FrameCodec.decode(bytes, layout))
                guard layout.sequence.rawValue == row.last else { return }
                batches.append(FrameBatch(frames: frames, end: row.position(in: identity)))
                frames = []
            }
        } catch  where !batches.isEmpty {
            // What is sound goes first, whatever LMDB says of what follows; the next call meets the damage at once.
        }
        return batches
    }

    /// Where what is stored begins: the anchor, or the log's start.
    static func start(_ transaction: borrowing Transaction, log: LogIdentity) throws -> LogPosition {
        guard let stored = try copy(transaction, .anchor) else { return .start(of: log) }
        guard let anchor = MetaRows.anchor(stored, of: log) else { throw MetaFailure.damaged(.anchor) }
        return anchor
    }

    /// The end of the log, after checking that both databases agree on it.
    static func head(_ transaction: borrowing Transaction, log: LogIdentity) throws -> LogPosition {
        let start = try start(transaction, log: log)
        let row = try lastRow(transaction)
        let last = row?.last ?? start.sequence.rawValue
        let lastEvent = try transaction.last(Self.events) { key, _ in bigEndianNumber(key) }
        let count = try transaction.count(Self.events)
        let end = start.sequence.rawValue &+ count
        guard (lastEvent ?? start.sequence.rawValue) == last, end == last else {
            throw DamageFound(
                afterSequence: min(last, end),
                message:
                    "the batches end at \(last), the events at \(lastEvent.map { $0.map(String.init) ?? "?" } ?? "0"), "
                    + "and there are \(count) of them behind \(start.sequence)")
        }
        return row?.position(in: log) ?? start
    }

    private static func lastRow(_ transaction: borrowing Transaction) throws -> BatchRow? {
        try transaction.last(Self.batches) { key, value in
            guard let row = BatchRow(key: key, value: value) else {
                throw DamageFound(
                    afterSequence: 0, message: "the last row of its batches does not match its checksum")
            }
            return row
        }
    }

    static func row(_ transaction: borrowing Transaction, at sequence: UInt64) throws -> BatchRow? {
        let key = bigEndianBytes(sequence)
        return try transaction.value(Self.batches, key: key.span) { value in
            guard let row = BatchRow(key: key.span, value: value) else {
                throw DamageFound(
                    afterSequence: sequence &- 1, message: "the batch that ends at \(sequence) has a damaged row")
            }
            return row
        }
    }

    /// The rows of whole batches after a sequence: one at least where there is one, then until they hold
    /// `maximumFrames`. They follow one another without a gap and end at the head if they are all.
    func rows(
        _ transaction: borrowing Transaction, after sequence: UInt64, maximumFrames: Int
    ) throws -> [BatchRow] {
        guard sequence < .max else { return [] }
        let start = try Self.start(transaction, log: identity).sequence.rawValue
        guard sequence >= start else { throw BeforeAnchor() }
        var rows: [BatchRow] = []
        var sound = sequence
        var isEnd = true
        do {
            try transaction.scan(Self.batches, from: bigEndianBytes(sequence + 1).span) { key, value in
                guard let row = BatchRow(key: key, value: value),
                    rows.isEmpty ? row.first <= sound + 1 && row.last > sound : row.first == sound &+ 1
                else { throw DamageFound(afterSequence: sound, message: "the next batch's row is damaged or missing") }
                rows.append(row)
                sound = row.last
                isEnd = sound - sequence < UInt64(clamping: max(1, maximumFrames))
                return isEnd
            }
        } catch  where !rows.isEmpty {
            // What is sound goes first, whatever LMDB says of what follows; the next call begins here.
            isEnd = false
        }
        if isEnd { try Self.checkEnd(transaction, behind: start, after: sequence, sound: sound) }
        return rows
    }

    /// There are no further rows: the log must end here, or lie before the sequence altogether.
    private static func checkEnd(
        _ transaction: borrowing Transaction, behind start: UInt64, after sequence: UInt64, sound: UInt64
    ) throws {
        let end = start &+ (try transaction.count(Self.events))
        let isSound = sound == sequence ? end <= sequence : end == sound
        guard isSound else {
            throw DamageFound(afterSequence: sound, message: "its batches end there, its events at \(end)")
        }
    }

    /// Walks the frames of consecutive batches after a sequence, lending each one's bytes, checked: checksum, key,
    /// order, epochs, and that each batch has what its row counts.
    static func walk(
        _ transaction: borrowing Transaction, _ rows: [BatchRow], after sequence: UInt64,
        _ body: (_ bytes: Span<UInt8>, _ layout: FrameLayout, _ row: BatchRow) throws -> Void
    ) throws {
        guard let firstRow = rows.first else { return }
        var index = 0
        var next = max(firstRow.first, sequence &+ 1)
        var epoch: UInt64 = 0
        try transaction.scan(Self.events, from: bigEndianBytes(next).span) { key, value in
            let row = rows[index]
            let layout = try layout(key, value, expected: next)
            guard layout.epoch.rawValue >= epoch, layout.epoch.rawValue <= row.epoch,
                next < row.last || layout.epoch.rawValue == row.epoch
            else { throw DamageFound(afterSequence: next - 1, message: "event \(next) has a wrong epoch") }
            epoch = layout.epoch.rawValue
            try body(value, layout, row)
            if next == row.last { index += 1 }
            next &+= 1
            return index < rows.count
        }
        guard index == rows.count else {
            throw DamageFound(afterSequence: next - 1, message: "event \(next) is missing")
        }
    }

    private static func layout(
        _ key: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>, expected: UInt64
    ) throws -> FrameLayout {
        guard bigEndianNumber(key) == expected else {
            throw DamageFound(afterSequence: expected - 1, message: "event \(expected) is missing")
        }
        do throws(FrameFailure) {
            let layout = try FrameLayout(value)
            guard layout.sequence.rawValue == expected else {
                throw FrameFailure(.length, "event \(expected) says that it is event \(layout.sequence)")
            }
            return layout
        } catch {
            // Under a sound checksum, what is unknown was written by a newer version.
            if error.code == .unknownFormat { throw error }
            throw DamageFound(afterSequence: expected - 1, message: "event \(expected): \(error.message)")
        }
    }
}
