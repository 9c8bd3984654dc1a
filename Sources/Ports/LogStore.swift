package import Domain

/// Durable, gapless, append-only storage of frames. One process appends; any number read.
///
/// `append` belongs to one thread (the engine's writer). Reads may come from any thread.
package protocol LogStore: AnyObject, Sendable {
    var identity: LogIdentity { get }

    /// The end of the last durable batch, or the log's start.
    func head() throws(StoreFailure) -> LogPosition

    /// Appends one batch and returns when it is durable. The frames' sequences follow the head without a gap.
    ///
    /// A `.unknown` outcome means the batch may or may not be durable: close, reopen and compare (`reopen`).
    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition

    /// Whole batches after a sequence, in order: at least one when there is one, then until `maximumFrames` is reached.
    /// `sequence` may lie inside a batch; then the first batch holds that batch's frames after it.
    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch]

    /// Lends what `read` would return, frame by frame: the payload's bytes are the store's own, for the call alone; `end`
    /// is the batch's at its last frame, nil at the others. Damage fails after what is sound before it was lent.
    ///
    /// The store is held meanwhile: `body` must neither append nor take long.
    func lend(
        after sequence: LogSequence, maximumFrames: Int,
        to body: (
            _ header: FrameHeader, _ type: UInt16, _ schemaRevision: UInt16, _ payload: Span<UInt8>, _ end: LogPosition?
        ) -> Void
    ) throws(StoreFailure)

    /// The position at the end of the batch that ends at exactly this sequence; nil when no batch ends there.
    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition?

    /// Where what is stored here begins, when that is not the log's start. What was before is read from its archive where
    /// that is at hand; else reading it fails with `archived`.
    func anchor() throws(StoreFailure) -> LogAnchor?

    /// Closes and opens the storage again after a failed or unknown append.
    func reopen() throws(StoreFailure)
}

/// Where the stored part of a log begins: the end of the last batch that is in the archive alone.
package struct LogAnchor: Hashable, Sendable {
    package var position: LogPosition
    /// The place of the archive, in its owner's words.
    package var archive: String

    package init(position: LogPosition, archive: String) { (self.position, self.archive) = (position, archive) }

    /// What is answered about a sequence before the anchor where the archive is not at hand.
    package func archived(_ sequence: LogSequence) -> StoreFailure {
        StoreFailure(
            code: "archived",
            message:
                "the log begins behind sequence \(position.sequence) here; what is behind \(sequence) is in the archive "
                + "\(archive): ask where that is at hand, or restore it (`drover restore`)",
            outcome: .unchanged)
    }
}

extension LogStore {
    package func anchor() throws(StoreFailure) -> LogAnchor? { nil }

    /// Out of what `read` copies.
    package func lend(
        after sequence: LogSequence, maximumFrames: Int,
        to body: (
            _ header: FrameHeader, _ type: UInt16, _ schemaRevision: UInt16, _ payload: Span<UInt8>, _ end: LogPosition?
        ) -> Void
    ) throws(StoreFailure) {
        for batch in try read(after: sequence, maximumFrames: maximumFrames) {
            for frame in batch.frames {
                let isLast = frame.header.sequence == batch.end.sequence
                body(frame.header, frame.type, frame.schemaRevision, frame.payload.span, isLast ? batch.end : nil)
            }
        }
    }
}

/// What went wrong with storage, and what is known of its effect.
package struct StoreFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Outcome: Hashable, Sendable {
        /// Nothing was written.
        case unchanged
        /// It may or may not have been written.
        case unknown
        /// What is stored is damaged after the named sequence; nothing is served from there on.
        case damaged
    }

    /// Stable: `disk-full`, `io`, `locked`, `damaged`, `not-a-log`, `wrong-version`, `archived`, `map-full`, `closed`,
    /// `out-of-order` (the frames do not follow the head), `too-large`, `forked` (not on this log's chain), `redacted`.
    package var code: String
    /// One sentence that says what is so and what to do.
    package var message: String
    package var outcome: Outcome

    package init(code: String, message: String, outcome: Outcome) {
        (self.code, self.message, self.outcome) = (code, message, outcome)
    }

    package var description: String { "\(message) [\(code)]" }
}
