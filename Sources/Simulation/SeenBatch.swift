import Codec
import Domain

/// A durable batch and what its bytes say, decoded once for all who look at it.
struct SeenBatch<Event: Sendable> {
    let batch: FrameBatch
    /// Those that this version knows, as far as they can be read.
    private(set) var events: [Envelope<Event>] = []
    /// The first frame that does not decode.
    private(set) var unreadable: (sequence: LogSequence, message: String)?

    init(_ batch: FrameBatch, _ codec: any EventCodec<Event>) {
        self.batch = batch
        events.reserveCapacity(batch.frames.count)
        for frame in batch.frames {
            do throws(CodecFailure) {
                let event = try codec.decode(
                    type: frame.type, schemaRevision: frame.schemaRevision, payload: frame.payload.span)
                if let event { events.append(Envelope(header: frame.header, event: event)) }
            } catch {
                unreadable = (frame.header.sequence, error.message)
                return
            }
        }
    }

    /// The frame of one of its events.
    func frame(of envelope: Envelope<Event>) -> Frame {
        let (first, sequence) = (batch.frames[0].header.sequence.rawValue, envelope.sequence.rawValue)
        return batch.frames[Int(sequence - first)]
    }
}

/// The newest durable batches of a log: who follows it reads them here, and older ones from the disk.
struct RecentBatches<Event: Sendable> {
    /// Invariant: each begins where the one before it ends.
    private var batches: [SeenBatch<Event>] = []
    private let maximumBatches: Int

    init(maximumBatches: Int) { self.maximumBatches = maximumBatches }

    mutating func add(_ seen: SeenBatch<Event>) {
        guard maximumBatches > 0 else { return }
        let follows = batches.last?.batch.end.sequence.next == seen.batch.frames.first?.header.sequence
        if !follows { batches = [] }
        if batches.count >= 2 * maximumBatches { batches.removeFirst(maximumBatches) }
        batches.append(seen)
    }

    /// Drops the newest ones up to the first whose end is not gone: those before it are on its chain.
    mutating func forget(_ isGone: (LogPosition) -> Bool) {
        while let last = batches.last, isGone(last.batch.end) { batches.removeLast() }
    }

    /// All behind the end of a batch; nil when they do not go back so far.
    func behind(_ sequence: LogSequence) -> ArraySlice<SeenBatch<Event>>? {
        guard let first = batches.first?.batch.frames.first?.header.sequence, first <= sequence.next else { return nil }
        var (low, high) = (0, batches.count)
        while low < high {
            let middle = (low + high) / 2
            if batches[middle].batch.end.sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return batches[low...]
    }
}
