import Codec
import Domain
import EventLog
import Ports
import Synchronization

/// Mutations of a promise, planted at the log's port: the laboratory must find each.
package enum Sabotage: String, Codable, Sendable, CaseIterable {
    /// A batch is answered before it is written: it is written when some more have come.
    case earlyAnswer = "early-answer"
    /// A batch that could not be written is answered as if it were.
    case failureHidden = "failure-hidden"

    func spoil(_ log: EventLog) -> any LogStore {
        switch self {
        case .earlyAnswer: EarlyStore(log)
        case .failureHidden: ForgivingStore(log)
        }
    }
}

/// Where a batch will end.
private func end(of frames: [Frame], after head: LogPosition) throws(StoreFailure) -> LogPosition {
    do throws(FrameFailure) {
        let last = frames.last?.header
        return LogPosition(
            log: head.log, epoch: last?.epoch ?? head.epoch, sequence: last?.sequence ?? head.sequence,
            chain: try FrameCodec.chain(after: head.chain, frames))
    } catch {
        throw StoreFailure(code: "too-large", message: error.message, outcome: .unchanged)
    }
}

private final class EarlyStore: LogStore {
    private let log: EventLog
    /// As many batches are answered and not written.
    private static let maximumWaiting = 4
    private let waiting = Mutex<[(frames: [Frame], end: LogPosition)]>([])

    init(_ log: EventLog) { self.log = log }

    var identity: LogIdentity { log.identity }
    func head() throws(StoreFailure) -> LogPosition {
        if let last = waiting.withLock({ $0.last }) { return last.end }
        return try log.head()
    }
    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        try log.read(after: sequence, maximumFrames: maximumFrames)
    }
    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? { try log.position(at: sequence) }
    func reopen() throws(StoreFailure) { try log.reopen() }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        let end = try CrashLab.end(of: frames, after: head())
        let due = waiting.withLock { waiting in
            waiting.append((frames, end))
            return waiting.count > Self.maximumWaiting ? waiting.removeFirst() : nil
        }
        if let due { _ = try log.append(due.frames) }
        return end
    }
}

private final class ForgivingStore: LogStore {
    private let log: EventLog

    init(_ log: EventLog) { self.log = log }

    var identity: LogIdentity { log.identity }
    func head() throws(StoreFailure) -> LogPosition { try log.head() }
    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        try log.read(after: sequence, maximumFrames: maximumFrames)
    }
    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? { try log.position(at: sequence) }
    func reopen() throws(StoreFailure) { try log.reopen() }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        let head = try log.head()
        do throws(StoreFailure) { return try log.append(frames) } catch { return try end(of: frames, after: head) }
    }
}
