import Codec
package import Domain
import Foundation
package import Ports

/// One log's backup in a store: sealed segments for ever, a tail of pieces, the blobs that the log names, and an index
/// of each round, written last (`Schemas/formats.md`). Killed at any moment, it goes on from the newest index.
///
/// One caller at a time. Two backups of one log into one store are safe: they take turns.
package struct LogBackup {
    package struct Settings: Hashable, Sendable {
        /// Of a sealed segment. Tests make it small; a store's segments are of one size.
        package var segmentBytes = SegmentWriter.maximumContentBytes
        /// Indexes that stay, with what they name: a reader that is at one of them is not disturbed.
        package var keptIndexes: UInt64 = 64
        /// Events whose blobs are looked for at once.
        package var framesAtOnce = 4096

        package init() {}
    }

    /// Between two rounds: an event waits for one pause and two rounds at most.
    package static let pauseMilliseconds: Int64 = 200
    /// Between two rounds of a log that does not grow: something may be to be sealed.
    private static let idleMilliseconds = 5000
    /// After rounds that failed.
    package static let maximumPauseMilliseconds: Int64 = 5000

    let log: EventLog
    private let kind: LogKind
    let store: any BlobStore
    /// Where the log's engine keeps what the log names.
    private let blobs: any BlobStore
    private let settings: Settings
    /// The newest index, once looked at; nil in a store that has none.
    package internal(set) var index: BackupIndex?
    private var isOpen = false
    /// Pieces that no index names, of rounds that failed.
    private var unnamed: Set<SegmentName> = []
    /// What the last indexes name, so that they are not read again.
    private var recent: [UInt64: Set<SegmentName>] = [:]
    /// Named by the log, but not in its engine's store.
    package private(set) var missingBlobs: UInt64 = 0
    package private(set) var copiedBlobs: UInt64 = 0

    package init(
        of log: EventLog, kind: LogKind, blobs: any BlobStore, to store: any BlobStore, settings: Settings = Settings()
    ) {
        (self.log, self.kind, self.blobs, self.store, self.settings) = (log, kind, blobs, store, settings)
    }

    /// Brings the store to the log's durable head; returns the position that is there now.
    ///
    /// Fails with what the log or the store says, and with `forked` when the store holds what this log has lost. What a
    /// failed round wrote is used again or removed by the next.
    ///
    /// - Parameter position: the end of a batch up to which segments are sealed whether they are full or not, so that the
    ///   log may forget it.
    package mutating func round(sealing position: LogPosition? = nil) async throws -> LogPosition {
        if !isOpen { try await open() }
        let head = try await log.offPool { [log] () throws(StoreFailure) in try log.head() }
        try await clean()
        while head.sequence > index?.end.sequence ?? .zero {
            try await step(upTo: head)
            try await clean()
        }
        if let position { try await seal(upTo: position) }
        return index?.end ?? head
    }

    private mutating func seal(upTo position: LogPosition) async throws {
        guard let old = index, old.sealed.sequence < position.sequence, position.sequence <= old.end.sequence else {
            return
        }
        var sealed = old.sealed
        while sealed.sequence < position.sequence {
            let segment = try await segment(after: sealed, upTo: position).segment
            try await put(segment, as: BackupNames.sealed(segment.name))
            sealed = segment.name.end
        }
        let isLeft = sealed.sequence < old.end.sequence
        let tail = isLeft ? [try await putPiece(segment(after: sealed, upTo: old.end).segment)] : []
        try await put(
            BackupIndex(
                generation: old.generation + 1, kind: kind, sealed: sealed, tail: tail,
                written: Int64(Date().timeIntervalSince1970 * 1000), clean: old.clean))
    }

    /// Goes on to the head or, where redactions are recorded before it, to the last record: until the store is clean, its
    /// states are those that were hashed up to there, not the ones behind.
    private mutating func step(upTo newest: LogPosition) async throws {
        let old = index
        let recorded = try await putBlobs(after: old?.end ?? .start(of: log.identity), upTo: newest)
        let head = old == nil ? newest : recorded ?? newest
        let isClean = recorded == nil && (old.map { $0.clean == $0.end.sequence } ?? true)
        var (sealed, pieces) = (old?.sealed ?? .start(of: log.identity), old?.tail ?? [])
        let kept = TailPlan.kept(pieces.map(\.bytes))
        let base = kept == 0 ? sealed : pieces[kept - 1].name.end
        let made = try await segment(after: base, upTo: head)
        pieces.removeSubrange(kept...)
        let size = pieces.reduce(made.segment.contentBytes) { $0 + $1.bytes }
        if !made.isSealed, size <= UInt64(settings.segmentBytes) {
            pieces.append(try await putPiece(made.segment))
        } else {
            (sealed, pieces) = try await seal(after: sealed, upTo: head)
        }
        try await put(
            BackupIndex(
                generation: (old?.generation ?? 0) + 1, kind: kind, sealed: sealed, tail: pieces,
                written: Int64(Date().timeIntervalSince1970 * 1000), clean: isClean ? head.sequence : old?.clean))
    }

    /// Round after round, as the log grows, until the task is cancelled or the report says that it is enough.
    ///
    /// - Parameter sealing: asked before each round what it shall seal.
    package mutating func follow(
        sealing: () -> LogPosition? = { nil }, _ report: (Result<LogPosition, any Error>) async -> Bool
    ) async {
        var pause = Self.pauseMilliseconds
        while !Task.isCancelled {
            let result: Result<LogPosition, any Error>
            do {
                result = .success(try await round(sealing: sealing()))
                pause = Self.pauseMilliseconds
            } catch {
                result = .failure(error)
                pause = min(pause * 2, Self.maximumPauseMilliseconds)
            }
            guard await report(result), !Task.isCancelled else { return }
            if case .success(let end) = result { await log.pause(after: end.sequence, atMost: Self.idleMilliseconds) }
            try? await Task.sleep(for: .milliseconds(pause))
        }
    }

    /// Every segment that is full, and the piece behind them.
    private mutating func seal(
        after position: LogPosition, upTo head: LogPosition
    ) async throws -> (LogPosition, [BackupIndex.Piece]) {
        var sealed = position
        while true {
            let (segment, isSealed) = try await segment(after: sealed, upTo: head)
            guard isSealed else { return (sealed, [try await putPiece(segment)]) }
            try await put(segment, as: BackupNames.sealed(segment.name))
            sealed = segment.name.end
        }
    }

    private func segment(
        after position: LogPosition, upTo head: LogPosition
    ) async throws -> (segment: Segment, isSealed: Bool) {
        let bytes = settings.segmentBytes
        return try await log.offPool { [log] () throws(StoreFailure) in
            try log.segment(after: position, upTo: head.sequence, maximumContentBytes: bytes)
        }
    }

    private mutating func putPiece(_ segment: Segment) async throws -> BackupIndex.Piece {
        unnamed.insert(segment.name)
        try await put(segment, as: BackupNames.tail(segment.name))
        return BackupIndex.Piece(name: segment.name, bytes: segment.contentBytes)
    }

    /// A segment of this name that is there already, from another version of zstd or before a redaction, is as good if
    /// it is sound; a damaged one is put again.
    private func put(_ segment: Segment, as name: String) async throws {
        let key = BlobKey.named(name)
        do throws(BlobFailure) {
            return try await store.put(key, bytes: UInt64(segment.bytes.count), from: OneChunk(segment.bytes))
        } catch {
            guard error.code == .exists else { throw error }
        }
        // One that cannot be read now is not damaged for that: the round fails, and nothing is removed.
        let there = try await store.wholeIfThere(key)
        if let there, (try? SegmentReader(there, name: segment.name)) != nil { return }
        try await store.delete(key)
        try await store.put(key, bytes: UInt64(segment.bytes.count), from: OneChunk(segment.bytes))
    }

    /// The last step of a round. Another backup that was first with this generation makes this one begin again.
    private mutating func put(_ next: BackupIndex) async throws {
        let bytes = try next.encoded()
        do throws(BlobFailure) {
            try await store.put(
                .named(BackupNames.index(log.identity, next.generation)), bytes: UInt64(bytes.count),
                from: OneChunk(bytes))
        } catch {
            if error.code == .exists { isOpen = false }
            throw error
        }
        unnamed.subtract(next.tail.map(\.name))
        (index, recent[next.generation]) = (next, Set(next.tail.map(\.name)))
        // Leftovers cost room, not safety: a later round or the next start removes them.
        try? await removeOld(before: next)
    }
}

extension LogBackup {
    /// Finds the newest index and whether this log can go on from it.
    private mutating func open() async throws {
        let newest = try await BackupReader(store: store).indexes(of: log.identity)
        index = newest.sound
        if let sound = newest.sound {
            index = try await resumed(sound)
            index?.generation = max(sound.generation, newest.last)
            // What was recorded behind may have been on another branch.
            if let end = index?.end.sequence { index?.clean = sound.clean.map { min($0, end) } }
            // An index whose answer was lost names what seemed unnamed; where that cannot be known, nothing is removed.
            do { try await sweep(behind: sound) } catch { unnamed = [] }
        } else if newest.last > 0 {
            // Damaged ones only: what they named is not known, and written again.
            unnamed = []
            index = BackupIndex(
                generation: newest.last, kind: kind, sealed: .start(of: log.identity), tail: [], written: 0)
        }
        isOpen = true
    }

    /// The index as far as it is this log's: all of it, or in a newer epoch the sealed segments in common.
    private func resumed(_ index: BackupIndex) async throws -> BackupIndex {
        let head = try log.head()
        if try log.contains(index.end) == .onChain { return index }
        guard head.epoch > index.end.epoch else {
            throw StoreFailure(
                code: "forked",
                message: "the backup holds events to sequence \(index.end.sequence) that the log in \(log.directory), "
                    + "which ends at \(head.sequence), has lost: restore it, or begin a new epoch without them "
                    + "(--new-epoch)",
                outcome: .unchanged)
        }
        var common = index
        (common.sealed, common.tail) = (.start(of: log.identity), [])
        let segments: [SegmentName]
        do { segments = try await BackupReader(store: store).sealed(upTo: index.sealed) } catch let failure
            as StoreFailure
            where failure.outcome == .damaged
        {
            // One is damaged or gone: all are put again, those that are sound stay.
            return common
        }
        for name in segments where try log.contains(name.end) == .onChain { common.sealed = name.end }
        return common
    }

    /// The blobs that new events name, before an index says that the events are there. Returns the end of the last batch
    /// that records a redaction.
    private mutating func putBlobs(after position: LogPosition, upTo head: LogPosition) async throws -> LogPosition? {
        var (end, missing, copied, recorded) = (position, UInt64(0), UInt64(0), LogPosition?.none)
        while end.sequence < head.sequence {
            let batches = try await batches(after: end, upTo: head)
            guard let next = batches.last?.end else { break }
            for digest in Set(batches.flatMap(\.namedBlobs)) {
                if try await copy(digest) { copied += 1 } else { missing += 1 }
            }
            recorded = batches.last { !$0.recordedRedactions.isEmpty }?.end ?? recorded
            end = next
        }
        (missingBlobs, copiedBlobs) = (missingBlobs + missing, copiedBlobs + copied)
        return recorded
    }

    func batches(after position: LogPosition, upTo head: LogPosition) async throws -> [StoredBatch] {
        let frames = settings.framesAtOnce
        return try await log.offPool { [log] () throws(StoreFailure) in
            try log.readStored(after: position, maximumFrames: frames).filter { $0.end.sequence <= head.sequence }
        }
    }

    private func copy(_ digest: Digest) async throws -> Bool {
        if try await store.information(.content(digest)) != nil { return true }
        guard let bytes = try await blobs.wholeIfThere(.content(digest)) else { return false }
        try await store.put(.content(digest), bytes: UInt64(bytes.count), from: OneChunk(bytes))
        return true
    }

    /// Removes the index that is one too many, after what only it names.
    private mutating func removeOld(before next: BackupIndex) async throws {
        for name in unnamed {
            try await store.delete(.named(BackupNames.tail(name)))
            unnamed.remove(name)
        }
        guard next.generation > settings.keptIndexes else { return }
        let old = next.generation - settings.keptIndexes
        // A piece that an index does not name any more is in none of the later ones, unless it was made again. What a
        // damaged index named is not known: the next start removes what is too much.
        if let last = try await pieces(of: old), let staying = try await pieces(of: old + 1) {
            for name in last.subtracting(staying).subtracting(next.tail.map(\.name)) {
                try await store.delete(.named(BackupNames.tail(name)))
            }
        }
        try await store.delete(.named(BackupNames.index(log.identity, old)))
        recent[old] = nil
    }

    /// Nil for an index that is damaged or gone.
    private func pieces(of generation: UInt64) async throws -> Set<SegmentName>? {
        if let known = recent[generation] { return known }
        return try await BackupReader(store: store).index(log.identity, generation).map { Set($0.tail.map(\.name)) }
    }

    /// Removes pieces that a backup left which ended before it wrote its index, and indexes that it did not come to
    /// remove. Pieces behind the sealed end may be those of another backup that is at work.
    private mutating func sweep(behind index: BackupIndex) async throws {
        let reader = BackupReader(store: store)
        var named: Set<SegmentName> = []
        for generation in try await reader.generations(of: log.identity) {
            guard generation + settings.keptIndexes > index.generation else {
                try await store.delete(.named(BackupNames.index(log.identity, generation)))
                continue
            }
            named.formUnion(try await reader.index(log.identity, generation)?.tail.map(\.name) ?? [])
        }
        unnamed.subtract(named)
        for name in try await reader.segments(in: BackupNames.tailFolder(log.identity))
        where !named.contains(name) && name.last <= index.sealed.sequence {
            try await store.delete(.named(BackupNames.tail(name)))
        }
    }
}

extension StoredBatch {
    /// The blobs that the batch's events name.
    package var namedBlobs: [Digest] {
        ends.indices.flatMap { index -> [Digest] in
            let frame = bytes.span.extracting(range(index))
            guard let layout = try? FrameLayout(frame), !layout.isRedacted || layout.hasSubstitute else { return [] }
            return Codec.namedBlobs(
                type: layout.type, schemaRevision: layout.schemaRevision,
                payload: frame.extracting(layout.payloadRange))
        }
    }

    private static let redactionType = eventType(named: "payload-redacted")

    /// The events that the batch's events say were redacted. The record is the same in both kinds of log.
    var recordedRedactions: [LogSequence] {
        ends.indices.compactMap { index in
            let frame = bytes.span.extracting(range(index))
            guard let layout = try? FrameLayout(frame), layout.type == Self.redactionType, !layout.isRedacted,
                case .log(.payloadRedacted(let sequence, _, _, _))? = try? GlobalCodec().decode(
                    type: layout.type, schemaRevision: layout.schemaRevision,
                    payload: frame.extracting(layout.payloadRange))
            else { return nil }
            return sequence
        }
    }
}

extension BlobStore {
    private var pieceBytes: Int { 1 << 20 }

    /// A whole blob of a size that memory holds. Fails with `not-found` when there is none.
    func whole(_ key: BlobKey) async throws(BlobFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let piece = try await read(key, offset: UInt64(bytes.count), count: pieceBytes)
            bytes += piece
            if piece.count < pieceBytes { return bytes }
        }
    }

    func wholeIfThere(_ key: BlobKey) async throws(BlobFailure) -> [UInt8]? {
        do throws(BlobFailure) { return try await whole(key) } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }
}
