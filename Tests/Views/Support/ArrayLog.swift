import Codec
import Domain
import Ports
import Synchronization

/// A log in memory.
final class ArrayLog: LogStore {
    let identity: LogIdentity
    private let batches = Mutex<[FrameBatch]>([])

    init(_ identity: LogIdentity = LogIdentity(high: 1, low: 2)) { self.identity = identity }

    func head() -> LogPosition { batches.withLock { $0.last?.end } ?? .start(of: identity) }

    @discardableResult
    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        let head = head()
        guard let last = frames.last, let chain = try? FrameCodec.chain(after: head.chain, frames) else {
            throw StoreFailure(code: "io", message: "not a batch", outcome: .unchanged)
        }
        let end = LogPosition(log: identity, epoch: last.header.epoch, sequence: last.header.sequence, chain: chain)
        batches.withLock { $0.append(FrameBatch(frames: frames, end: end)) }
        return end
    }

    func read(after sequence: LogSequence, maximumFrames: Int) -> [FrameBatch] {
        batches.withLock { batches in
            // Batches end in ascending order.
            var (low, high) = (0, batches.count)
            while low < high {
                let middle = (low + high) / 2
                if batches[middle].end.sequence <= sequence { low = middle + 1 } else { high = middle }
            }
            var (result, count): ([FrameBatch], Int) = ([], 0)
            for var batch in batches[low...] {
                if count >= maximumFrames { break }
                batch.frames.removeAll { $0.header.sequence <= sequence }
                count += batch.frames.count
                result.append(batch)
            }
            return result
        }
    }

    func position(at sequence: LogSequence) -> LogPosition? {
        batches.withLock { $0.first { $0.end.sequence == sequence }?.end }
    }

    func reopen() {}

    /// The same log up to a batch's end.
    func prefix(_ count: Int) -> ArrayLog {
        let log = ArrayLog(identity)
        let first = Array(batches.withLock { $0.prefix(count) })
        log.batches.withLock { $0 = first }
        return log
    }

    var all: [FrameBatch] { batches.withLock { $0 } }
}
