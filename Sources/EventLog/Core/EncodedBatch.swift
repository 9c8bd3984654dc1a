import Codec
import Domain
import Ports

/// A batch's frames as bytes in one buffer, checked among themselves, before any transaction begins.
struct EncodedBatch {
    let first: UInt64
    let last: UInt64
    let firstEpoch: UInt64
    let lastEpoch: UInt64
    private(set) var bytes: [UInt8] = []
    /// Where each frame ends in `bytes`.
    private(set) var ends: [Int] = []
    /// Where each frame's payload lies in `bytes`.
    private var payloads: [Range<Int>] = []
    /// Frames of which a redaction has left something else than was written.
    private var redacted: Set<Int> = []

    /// Fails, with nothing written, when a frame is too large, a sequence leaves a gap or an epoch decreases.
    init(_ frames: [Frame]) throws(StoreFailure) {
        guard let head = frames.first?.header, let tail = frames.last?.header else {
            throw StoreFailure(code: "out-of-order", message: "a batch needs a frame", outcome: .unchanged)
        }
        (first, last) = (head.sequence.rawValue, tail.sequence.rawValue)
        (firstEpoch, lastEpoch) = (head.epoch.rawValue, tail.epoch.rawValue)
        ends.reserveCapacity(frames.count)
        payloads.reserveCapacity(frames.count)
        bytes.reserveCapacity(frames.count * 160)
        var expected = first
        var epoch = firstEpoch
        for frame in frames {
            guard frame.header.sequence.rawValue == expected, frame.header.epoch.rawValue >= epoch else {
                throw StoreFailure(
                    code: "out-of-order",
                    message: "frame \(frame.header.sequence) of epoch \(frame.header.epoch) cannot follow sequence "
                        + "\(expected &- 1) of epoch \(epoch): number them without a gap, epochs never falling",
                    outcome: .unchanged)
            }
            (expected, epoch) = (expected &+ 1, frame.header.epoch.rawValue)
            do throws(FrameFailure) {
                payloads.append(try FrameCodec.append(frame, to: &bytes))
            } catch {
                throw StoreFailure(code: error.code.rawValue, message: error.message, outcome: .unchanged)
            }
            if frame.redaction != nil { redacted.insert(ends.count) }
            ends.append(bytes.count)
        }
    }

    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// The row that this batch adds behind the hash of the chain before it.
    func row(after previous: Digest) -> BatchRow {
        var chain = BatchChain(after: previous, first: LogSequence(rawValue: first), count: ends.count)
        for index in ends.indices {
            let (start, payload) = (range(index).lowerBound, payloads[index])
            if redacted.contains(index) {
                let hash = payload.lowerBound - FrameLayout.redactedPayloadBytes
                chain.add(head: bytes[start..<hash], redacted: bytes[hash..<payload.lowerBound])
                continue
            }
            chain.add(head: bytes[start..<payload.lowerBound], payload: bytes[payload])
        }
        return BatchRow(first: first, last: last, epoch: lastEpoch, chain: chain.end())
    }
}
