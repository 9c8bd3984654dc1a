import Codec
import Domain
import Ports
import Swarm
import Synchronization

/// What the disk does with the next append.
enum AppendFault: Hashable, Sendable, CaseIterable {
    /// ENOSPC before the commit: nothing is written.
    case full
    /// EIO at the commit: the batch is in the log all the same.
    case landed
    /// EIO at the commit: the batch is nowhere.
    case missed
    /// EIO at the commit: the batch is not seen when the log is opened again, but its bytes are on the disk. A loss of
    /// power brings it back, until something durable stands in its place.
    case hidden
}

/// A log on a disk that is honest, and fails: real frames and a real chain, kept as bytes and decoded at every read.
///
/// A batch is in flight from its append to its `settle`; a crash meanwhile leaves all of it or nothing. What is settled
/// stays.
final class SimulatedStore: LogStore {
    private struct Batch {
        var bytes: [UInt8] = []
        /// Where each frame ends.
        var ends: [Int] = []
        var first: LogSequence
        var end: LogPosition
    }

    private struct State {
        var batches: [Batch] = []
        var flight: Batch?
        var hidden: Batch?
        var fault: AppendFault?
        var needsReopen = false
        /// A planted bug: the last batch of a flush that was reported goes with the power.
        var lies = false
    }

    let identity: LogIdentity
    private let state = Mutex(State())

    init(identity: LogIdentity) { self.identity = identity }

    func head() throws(StoreFailure) -> LogPosition { state.withLock { Self.head($0, identity) } }

    private static func head(_ state: borrowing State, _ identity: LogIdentity) -> LogPosition {
        state.flight?.end ?? state.batches.last?.end ?? .start(of: identity)
    }

    // MARK: Writing

    func lieAboutFlushes() { state.withLock { $0.lies = true } }

    /// Arms one fault; it hits the next append.
    func plan(_ fault: AppendFault) { state.withLock { $0.fault = fault } }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        try state.withLock { (state) throws(StoreFailure) in
            guard !state.needsReopen else {
                throw StoreFailure(code: "closed", message: "reopen it", outcome: .unchanged)
            }
            Self.settle(&state)
            let batch = try Self.encode(frames, after: Self.head(state, identity))
            guard let fault = state.fault.take() else {
                state.flight = batch
                return batch.end
            }
            try Self.fail(fault, batch, &state)
        }
    }

    private static func fail(_ fault: AppendFault, _ batch: Batch, _ state: inout State) throws(StoreFailure) -> Never {
        if fault == .full { throw StoreFailure(code: "disk-full", message: "no space", outcome: .unchanged) }
        state.needsReopen = true
        if fault == .landed { state.flight = batch }
        if fault == .hidden { state.hidden = batch }
        throw StoreFailure(code: "io", message: "EIO", outcome: .unknown)
    }

    private static func encode(_ frames: [Frame], after head: LogPosition) throws(StoreFailure) -> Batch {
        guard let first = frames.first?.header, let last = frames.last?.header, first.sequence == head.sequence.next,
            first.epoch >= head.epoch
        else {
            throw StoreFailure(
                code: "out-of-order", message: "a batch cannot follow \(head.sequence)", outcome: .unchanged)
        }
        var batch = Batch(first: first.sequence, end: head)
        var chain = BatchChain(after: head.chain, first: first.sequence, count: frames.count)
        do throws(FrameFailure) {
            for frame in frames {
                let start = batch.bytes.count
                let payload = try FrameCodec.append(frame, to: &batch.bytes)
                chain.add(head: batch.bytes[start..<payload.lowerBound], payload: batch.bytes[payload])
                batch.ends.append(batch.bytes.count)
            }
        } catch {
            throw StoreFailure(code: "too-large", message: error.message, outcome: .unchanged)
        }
        batch.end = LogPosition(log: head.log, epoch: last.epoch, sequence: last.sequence, chain: chain.end())
        return batch
    }

    /// The flush is over: what was in flight is durable.
    func settle() { state.withLock { Self.settle(&$0) } }

    private static func settle(_ state: inout State) {
        guard let flight = state.flight.take() else { return }
        state.batches.append(flight)
        state.hidden = nil
    }

    func reopen() throws(StoreFailure) { state.withLock { $0.needsReopen = false } }

    // MARK: Crashes

    /// What a crash makes of a batch that was in flight.
    enum Remains: String, Sendable {
        case nothing, lost, torn, landed, returned
    }

    /// The process ends, or the machine's power with it. Of a batch in flight sectors may be missing: then its frames do
    /// not decode, and it is not in the log.
    func crash(losesPower: Bool, _ generator: inout SeededGenerator) -> Remains {
        let (kind, seed) = (generator.below(3), generator.next())
        return state.withLock { state in
            state.needsReopen = false
            state.fault = nil
            var remains = Remains.nothing
            if let flight = state.flight.take() {
                remains = [.lost, .torn, .landed][kind]
                if remains == .torn { remains = Self.isWhole(Self.torn(flight, seed: seed)) ? .landed : .torn }
                if remains == .landed { (state.batches, state.hidden) = (state.batches + [flight], nil) }
            }
            if losesPower, state.lies { _ = state.batches.popLast() }
            guard losesPower, let hidden = state.hidden.take() else { return remains }
            state.batches.append(hidden)
            return .returned
        }
    }

    /// Some of its sectors were never written.
    private static func torn(_ batch: Batch, seed: UInt64) -> Batch {
        let sector = 512
        var (torn, generator) = (batch, SeededGenerator(seed: seed))
        for start in stride(from: 0, to: torn.bytes.count, by: sector) where generator.below(2) == 0 {
            for index in start..<min(start + sector, torn.bytes.count) { torn.bytes[index] = 0 }
        }
        return torn
    }

    private static func isWhole(_ batch: Batch) -> Bool { (try? frames(of: batch, after: .zero)) != nil }

    /// Another disk, with a copy of the log up to the end of one of its batches. Returns the ends of what is gone.
    func restore(to position: LogPosition) -> [LogPosition] {
        state.withLock { state in
            (state.flight, state.hidden, state.fault, state.needsReopen) = (nil, nil, nil, false)
            let kept = Self.place(of: position.sequence, in: state.batches)
            defer { state.batches.removeSubrange(kept...) }
            return state.batches[kept...].map(\.end)
        }
    }

    // MARK: Reading

    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        try state.withLock { (state) throws(StoreFailure) in
            var found: [FrameBatch] = []
            var count = 0
            var place = Self.place(of: sequence, in: state.batches)
            while count < maximumFrames, place <= state.batches.count {
                let batch = place < state.batches.count ? state.batches[place] : state.flight
                guard let batch, batch.end.sequence > sequence else { break }
                let frames = try Self.frames(of: batch, after: sequence)
                found.append(FrameBatch(frames: frames, end: batch.end))
                (count, place) = (count + frames.count, place + 1)
            }
            return found
        }
    }

    /// The first batch that ends behind a sequence.
    private static func place(of sequence: LogSequence, in batches: [Batch]) -> Int {
        var (low, high) = (0, batches.count)
        while low < high {
            let middle = (low + high) / 2
            if batches[middle].end.sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func frames(of batch: Batch, after sequence: LogSequence) throws(StoreFailure) -> [Frame] {
        var frames: [Frame] = []
        do throws(FrameFailure) {
            for (index, end) in batch.ends.enumerated()
            where batch.first.rawValue + UInt64(index) > sequence.rawValue {
                let start = index == 0 ? 0 : batch.ends[index - 1]
                frames.append(try FrameCodec.decode(batch.bytes.span.extracting(start..<end)))
            }
        } catch {
            throw StoreFailure(code: "damaged", message: error.message, outcome: .damaged)
        }
        return frames
    }

    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? {
        state.withLock { state in
            if state.flight?.end.sequence == sequence { return state.flight?.end }
            let place = Self.place(of: LogSequence(rawValue: max(1, sequence.rawValue) - 1), in: state.batches)
            guard place < state.batches.count, state.batches[place].end.sequence == sequence else { return nil }
            return state.batches[place].end
        }
    }
}
