import Codec
import Dispatch
package import Domain
import LMDB
package import Ports
import Synchronization

/// The batches after a position, as they become durable, from this process or another: an endless sequence that ends
/// when its task is cancelled and fails when the log is no longer the one the position came from.
package struct LogTail: AsyncSequence, Sendable {
    package typealias Element = FrameBatch
    package typealias Failure = StoreFailure

    let log: EventLog
    let start: LogPosition
    let maximumFrames: Int

    package func makeAsyncIterator() -> Iterator {
        Iterator(log: log, position: start, maximumFrames: maximumFrames)
    }

    package struct Iterator: AsyncIteratorProtocol {
        private let log: EventLog
        private let maximumFrames: Int
        /// The end of the last batch that was taken from the log; proved against the log's chain.
        private var position: LogPosition
        /// Read, and not given out yet; the next one last.
        private var waiting: [FrameBatch] = []
        /// The last transaction that was looked at; nil before the first look.
        private var transaction: UInt64?

        init(log: EventLog, position: LogPosition, maximumFrames: Int) {
            (self.log, self.position, self.maximumFrames) = (log, position, maximumFrames)
        }

        package mutating func next() async throws(StoreFailure) -> FrameBatch? {
            while true {
                if Task.isCancelled { return nil }
                if let batch = waiting.popLast() { return batch }
                try await look()
                if waiting.isEmpty { await log.pause(after: position.sequence) }
            }
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(StoreFailure) -> FrameBatch? { try await next() }

        private mutating func look() async throws(StoreFailure) {
            let (log, position, maximumFrames, seen) = (log, position, maximumFrames, transaction)
            let glance = try await log.offPool { () throws(StoreFailure) in
                try log.glance(after: position, maximumFrames: maximumFrames, seen: seen)
            }
            guard let glance else { return }
            // Where more is waiting than was read, the same transaction is looked at again.
            transaction = glance.batches.isEmpty ? glance.transaction : nil
            self.position = glance.batches.last?.end ?? position
            waiting = glance.batches.reversed()
        }
    }
}

extension EventLog {
    /// Follows the log from a position, which must be on its chain (`start(of:)` is). `maximumFrames` bounds what is
    /// read at once.
    package func tail(after position: LogPosition, maximumFrames: Int = 1000) -> LogTail {
        LogTail(log: self, start: position, maximumFrames: maximumFrames)
    }

    struct Glance: Sendable {
        var transaction: UInt64
        var batches: [FrameBatch]
    }

    /// What is new after a position; nil when there was no transaction since `seen`.
    func glance(
        after position: LogPosition, maximumFrames: Int, seen: UInt64?
    ) throws(StoreFailure) -> Glance? {
        let transaction = try attempt { try environment.lastTransaction() }
        guard environment.isCurrent() else {
            throw StoreFailure(
                code: "forked", message: "the log in \(directory) was replaced while it was followed: open it again",
                outcome: .unchanged)
        }
        if transaction == seen { return nil }
        try requireOnChain(position)
        let batches = try read(after: position.sequence, maximumFrames: maximumFrames)
        var chain = position.chain
        for batch in batches {
            chain = try attempt { try FrameCodec.chain(after: chain, batch.frames) }
            guard chain == batch.end.chain else {
                throw StoreFailure(
                    code: "damaged",
                    message: "the chain of the log in \(directory) breaks at \(batch.end.sequence): verify it",
                    outcome: .damaged)
            }
        }
        return Glance(transaction: transaction, batches: batches)
    }

    private func requireOnChain(_ position: LogPosition) throws(StoreFailure) {
        let found: String
        switch try contains(position) {
        case .onChain: return
        case .ahead(let head): found = "is past its end, \(head.sequence)"
        case .forked, .notBatchEnd: found = "is not on its chain"
        case .otherLog: found = "belongs to the log \(position.log)"
        }
        throw StoreFailure(
            code: "forked",
            message:
                "position \(position.sequence) \(found) (log \(identity) in \(directory)): derive again from its start",
            outcome: .unchanged)
    }

    /// Until there may be something new: at once after an append here, after the poll's interval in a reader.
    func pause(after sequence: LogSequence) async {
        if isReadOnly {
            try? await Task.sleep(for: .milliseconds(settings.pollMilliseconds))
        } else {
            await signal.wait(after: sequence.rawValue)
        }
    }

    /// The same, and over when the time is.
    func pause(after sequence: LogSequence, atMost milliseconds: Int) async {
        guard !isReadOnly else { return await pause(after: sequence) }
        _ = await waitForAppend(after: sequence, timeoutMilliseconds: milliseconds)
    }

    /// Runs blocking work on this log's own thread, never on the cooperative pool.
    package func offPool<Result: Sendable>(
        _ work: @escaping @Sendable () throws(StoreFailure) -> Result
    ) async throws(StoreFailure) -> Result {
        let outcome: Swift.Result<Result, StoreFailure> = await withCheckedContinuation { continuation in
            let work = WorkOnce(work)
            readQueue.async { continuation.resume(returning: work.run()) }
        }
        return try outcome.get()
    }
}

/// Work that is let go of before anybody hears of its end: with its last user a log is closed at once, and can be opened.
private final class WorkOnce<Result: Sendable>: Sendable {
    private let work: Mutex<(@Sendable () throws(StoreFailure) -> Result)?>

    init(_ work: @escaping @Sendable () throws(StoreFailure) -> Result) { self.work = Mutex(work) }

    func run() -> Swift.Result<Result, StoreFailure> {
        guard let work = work.withLock({ $0.take() }) else { preconditionFailure("work is run once") }
        return Swift.Result(catching: work)
    }
}
