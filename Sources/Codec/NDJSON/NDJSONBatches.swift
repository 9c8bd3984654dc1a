package import Domain

/// A log's NDJSON read line by line, from its start: gives each batch back, proved.
///
/// No line can be missing, doubled, moved or changed unnoticed: sequences have no gap, and the chain's hash at the end
/// of a batch covers every header and payload up to it.
package struct NDJSONBatches: Sendable {
    /// What a line may have; the longest event's has less than a quarter of it.
    package static let maximumLineBytes = 1 << 16

    /// The end of the last batch; nil before the first.
    package private(set) var end: LogPosition?
    /// Lines taken so far.
    package private(set) var lines = 0
    /// The events since the last batch's end.
    private var frames: [Frame] = []

    package init() {}

    /// Takes the next line, without its line feed; returns the batch that it ends.
    ///
    /// Fails with `malformed` where the line does not follow the ones before, and as `NDJSON.parse` does; the message
    /// begins with the line's number.
    package mutating func take(_ line: some Collection<UInt8>) throws(CodecFailure) -> FrameBatch? {
        lines += 1
        switch try parse(line) {
        case .event(let frame):
            try add(frame)
            return nil
        case .batch(let end): return try endBatch(end)
        }
    }

    /// Nothing follows: fails when the last events have no batch's end, or there was none at all.
    package func finish() throws(CodecFailure) {
        guard frames.isEmpty else {
            throw failure("the text ends within a batch, after event \(last): its end was cut off")
        }
        guard end != nil else { throw CodecFailure(.malformed, "the text holds no batch: it is no log") }
    }

    private var last: LogSequence { frames.last?.header.sequence ?? end?.sequence ?? .zero }

    private var epoch: Epoch { frames.last?.header.epoch ?? end?.epoch ?? .first }

    private func parse(_ line: some Collection<UInt8>) throws(CodecFailure) -> NDJSON.Line {
        guard line.count <= Self.maximumLineBytes else {
            throw failure("it has more than \(Self.maximumLineBytes) bytes: it is no event's")
        }
        do throws(CodecFailure) { return try NDJSON.parse(line) } catch {
            throw CodecFailure(error.code, "line \(lines): \(error.message)")
        }
    }

    private mutating func add(_ frame: Frame) throws(CodecFailure) {
        let header = frame.header
        guard header.sequence == last.next else {
            throw failure(
                "event \(header.sequence) comes where \(last.next) should: lines are missing, doubled or out of order")
        }
        guard header.epoch >= epoch else {
            throw failure("event \(header.sequence) is of epoch \(header.epoch), behind epoch \(epoch)")
        }
        frames.append(frame)
    }

    private mutating func endBatch(_ next: LogPosition) throws(CodecFailure) -> FrameBatch {
        let before = end ?? .start(of: next.log)
        guard next.log == before.log else {
            throw failure("the batch is of log \(next.log), those before are of \(before.log)")
        }
        guard !frames.isEmpty, next.sequence == last, next.epoch == epoch else {
            throw failure(
                "the batch ends at \(next.epoch)/\(next.sequence), the events before it at \(epoch)/\(last): lines are "
                    + "missing, doubled or out of order")
        }
        guard try chain(after: before.chain) == next.chain else {
            throw failure(
                "the batch up to event \(last) is not on the chain: a line since event \(before.sequence) was changed, "
                    + "or a batch's end is missing")
        }
        end = next
        defer { frames = [] }
        return FrameBatch(frames: frames, end: next)
    }

    private func chain(after previous: Digest) throws(CodecFailure) -> Digest {
        do throws(FrameFailure) { return try FrameCodec.chain(after: previous, frames) } catch {
            throw failure("a frame of the batch up to event \(last) cannot be stored: \(error.message)")
        }
    }

    private func failure(_ problem: String) -> CodecFailure {
        CodecFailure(.malformed, "line \(lines): \(problem)")
    }
}
