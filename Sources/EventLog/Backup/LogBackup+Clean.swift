import Domain
import Ports

/// What was redacted in the log goes out of the store: a segment's name covers the chain, which a redaction leaves as it
/// is, so every segment that holds the event is put again under its own name.
extension LogBackup {
    /// Follows the redactions that are recorded up to the index's end. Killed, it does all of it again: only the next
    /// index says that it was done.
    mutating func clean() async throws {
        guard let index, index.clean ?? .zero < index.end.sequence else { return }
        let redacted = try await redactions(upTo: index)
        if !redacted.isEmpty {
            let (sealed, tail) = (BackupNames.sealedFolder(log.identity), BackupNames.tailFolder(log.identity))
            for folder in [sealed, tail] { try await clean(folder, of: redacted) }
        }
        self.index?.clean = index.end.sequence
    }

    private func redactions(upTo index: BackupIndex) async throws -> Set<LogSequence> {
        var found: Set<LogSequence> = []
        guard var end = try log.position(at: index.clean ?? .zero) else { return [] }
        while end.sequence < index.end.sequence {
            let batches = try await batches(after: end, upTo: index.end)
            guard let next = batches.last?.end else { break }
            found.formUnion(batches.flatMap(\.recordedRedactions))
            end = next
        }
        return found
    }

    private func clean(_ folder: String, of redacted: Set<LogSequence>) async throws {
        let reader = BackupReader(store: store)
        let standing = try await reader.segments(in: folder)
        // What was put aside and not yet back when a round died.
        let names = Set(try await standing + reader.segments(in: BackupNames.aside(folder)))
        for name in names where redacted.contains(where: { name.first <= $0 && $0 <= name.last }) {
            try await putAgain(name, as: "\(folder)\(name)")
        }
    }

    /// At every moment the segment is under its name or aside, as it was or as it is now in the log.
    private func putAgain(_ name: SegmentName, as object: String) async throws {
        let (key, aside) = (BlobKey.named(object), BlobKey.named(BackupNames.aside(object)))
        // Of a branch that a new epoch left behind, nothing can be made again.
        guard let segment = try await remade(name) else {
            try await store.delete(key)
            return try await store.delete(aside)
        }
        if try await !isPut(segment, as: key) {
            try await store.delete(aside)
            _ = try await isPut(segment, as: aside)
            try await store.delete(key)
            _ = try await isPut(segment, as: key)
        }
        try await store.delete(aside)
    }

    private func remade(_ name: SegmentName) async throws -> Segment? {
        try await log.offPool { [log] () throws(StoreFailure) in
            let before = LogSequence(rawValue: name.first.rawValue - 1)
            guard try log.contains(name.end) == .onChain, let start = try log.position(at: before) else { return nil }
            return try log.segment(after: start, upTo: name.last, maximumContentBytes: .max).segment
        }
    }

    /// False where other bytes have the name.
    private func isPut(_ segment: Segment, as key: BlobKey) async throws -> Bool {
        do throws(BlobFailure) {
            try await store.put(key, bytes: UInt64(segment.bytes.count), from: OneChunk(segment.bytes))
            return true
        } catch {
            guard error.code == .exists else { throw error }
            return false
        }
    }
}
