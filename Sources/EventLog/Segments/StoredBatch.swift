import Codec
package import Domain
package import Ports

/// One batch as the log stores it: its frames' very bytes (redacted ones too) and the position at their end, which is
/// computed here and so always is on the chain of the position before.
package struct StoredBatch: Hashable, Sendable {
    package let first: LogSequence
    package let end: LogPosition
    /// The frames' bytes one after the other.
    package let bytes: [UInt8]
    /// Where each frame ends in `bytes`.
    package let ends: [Int]

    /// Fails with `damaged` when the frames are not whole, or do not follow the position.
    package init(after previous: LogPosition, bytes: [UInt8], ends: [Int]) throws(StoreFailure) {
        first = previous.sequence.next
        var chain = BatchChain(after: previous.chain, first: first, count: ends.count)
        var (start, sequence, epoch) = (0, previous.sequence, previous.epoch)
        for end in ends {
            let layout: FrameLayout
            do throws(FrameFailure) { layout = try FrameLayout(bytes.span.extracting(start..<end)) } catch {
                throw Self.failure(after: sequence, error)
            }
            guard layout.sequence == sequence.next, layout.epoch >= epoch else {
                throw Self.damage(
                    after: sequence, "an event says that it is \(layout.sequence) of epoch \(layout.epoch)")
            }
            chain.add(bytes[start..<end], layout)
            (start, sequence, epoch) = (end, layout.sequence, layout.epoch)
        }
        guard !ends.isEmpty, start == bytes.count else {
            throw Self.damage(after: previous.sequence, "a batch without an event, or with bytes behind its last")
        }
        (self.bytes, self.ends) = (bytes, ends)
        end = LogPosition(log: previous.log, epoch: epoch, sequence: sequence, chain: chain.end())
    }

    package func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// The frames, but for the redacted ones, whose payloads are gone. Fails with `damaged` where a text is none.
    package func frames() throws(StoreFailure) -> [Frame] {
        var frames: [Frame] = []
        frames.reserveCapacity(ends.count)
        for index in ends.indices {
            do throws(FrameFailure) {
                frames.append(try FrameCodec.decode(bytes.span.extracting(range(index))))
            } catch {
                if error.code == .redacted { continue }
                throw Self.damage(after: LogSequence(rawValue: first.rawValue + UInt64(index) - 1), error.message)
            }
        }
        return frames
    }

    /// What a reader of the log behind a sequence gets of this batch.
    func frames(after sequence: LogSequence) throws -> FrameBatch {
        var frames: [Frame] = []
        for index in ends.indices where first.rawValue + UInt64(index) > sequence.rawValue {
            frames.append(try FrameCodec.decode(bytes.span.extracting(range(index))))
        }
        return FrameBatch(frames: frames, end: end)
    }

    /// The same, lent frame by frame (`LogStore.lend`).
    func lend(
        after sequence: LogSequence,
        to body: (
            _ header: FrameHeader, _ type: UInt16, _ schemaRevision: UInt16, _ payload: Span<UInt8>, _ end: LogPosition?
        ) -> Void
    ) throws {
        for index in ends.indices where first.rawValue + UInt64(index) > sequence.rawValue {
            let frame = bytes.span.extracting(range(index))
            let layout = try FrameLayout(frame)
            body(
                try FrameCodec.header(frame, layout), layout.type, layout.schemaRevision,
                frame.extracting(layout.payloadRange), index == ends.indices.last ? end : nil)
        }
    }

    private static func failure(after sequence: LogSequence, _ failure: FrameFailure) -> StoreFailure {
        // Under a sound checksum, what is unknown was written by a newer version.
        guard failure.code != .unknownFormat else {
            return StoreFailure(code: "wrong-version", message: failure.message, outcome: .unchanged)
        }
        return damage(after: sequence, failure.message)
    }

    private static func damage(after sequence: LogSequence, _ what: String) -> StoreFailure {
        StoreFailure(code: "damaged", message: "damaged after sequence \(sequence): \(what)", outcome: .damaged)
    }
}
