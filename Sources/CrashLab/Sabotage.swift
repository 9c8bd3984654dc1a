import Codec
import Domain
import EventLog
import Ports
import Synchronization

/// Mutations of a promise, planted at the log's port: the laboratory must find each.
package enum Sabotage: String, Codable, Sendable, CaseIterable {
    /// A batch is answered before it is written: it is written with the next one.
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
    private let waiting = Mutex<(frames: [Frame], end: LogPosition)?>(nil)

    init(_ log: EventLog) { self.log = log }

    var identity: LogIdentity { log.identity }
    func head() throws(StoreFailure) -> LogPosition { 
        if let waiting = waiting.withLock({ $0 }) { return waiting.end }
        return try log.head()
    }
    func read(after sequence: LogSequence, maximumFrames: Int) throws(StoreFailure) -> [FrameBatch] {
        try log.read(after: sequence, maximumFrames: maximumFrames)
    }
    func position(at sequence: LogSequence) throws(StoreFailure) -> LogPosition? { try log.position(at: sequence) }
    func reopen() throws(StoreFailure) { try log.reopen() }

    func append(_ frames: [Frame]) throws(StoreFailure) -> LogPosition {
        if let before = waiting.withLock({ $0 }) { _ = try log.append(before.frames) }
        let end = try CrashLab.end(of: frames, after: log.head())
        waiting.withLock { $0 = (frames, end) }
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
