import Dispatch
import Domain
import Ports
import Synchronization

/// What a log has behind its anchor: the sealed segments of its backup. They are read as the log is, one segment in
/// memory at a time; nothing of them is given that the chain does not prove.
final class LogArchive: Sendable {
    private struct Reading: Sendable {
        /// From the log's first event to one behind the anchor.
        var path: [SegmentName] = []
        var name: SegmentName?
        /// Of the named segment.
        var batches: [StoredBatch] = []
    }

    let place: String
    private let reader: BackupReader
    private let reading = Mutex(Reading())
    private let thread = ArchiveThread()

    init(in store: any BlobStore, place: String) {
        (reader, self.place) = (BackupReader(store: store), place)
    }

    /// Whole batches after a sequence, none past the anchor: one at least, then until `maximumFrames` is reached. The
    /// first may begin at or before the sequence. Damage fails after what is sound before it was given.
    func batches(
        after sequence: LogSequence, _ maximumFrames: Int, before anchor: LogAnchor, of log: EventLog
    ) throws(StoreFailure) -> [StoredBatch] {
        var (found, frames, last) = ([StoredBatch](), 0, sequence)
        while last < anchor.position.sequence {
            let batches: [StoredBatch]
            do throws(StoreFailure) { batches = try segment(holding: last.next, anchor, log) } catch {
                if found.isEmpty { throw error }
                return found
            }
            for batch in batches where batch.end.sequence > last {
                if batch.end.sequence > anchor.position.sequence { break }
                found.append(batch)
                (frames, last) = (
                    frames + Int(clamping: batch.end.sequence.rawValue - last.rawValue), batch.end.sequence
                )
                if frames >= maximumFrames { return found }
            }
        }
        return found
    }

    /// The end of the batch that ends at exactly this sequence.
    func position(
        at sequence: LogSequence, before anchor: LogAnchor, of log: EventLog
    ) throws(StoreFailure) -> LogPosition? {
        if sequence == .zero { return .start(of: log.identity) }
        return try segment(holding: sequence, anchor, log).first { $0.end.sequence >= sequence }
            .flatMap { $0.end.sequence == sequence ? $0.end : nil }
    }

    /// Lets go of the segment that was read last.
    func rest() { reading.withLock { ($0.name, $0.batches) = (nil, []) } }

    private func segment(
        holding sequence: LogSequence, _ anchor: LogAnchor, _ log: EventLog
    ) throws(StoreFailure) -> [StoredBatch] {
        do {
            return try reading.withLock { reading in
                if let name = reading.name, name.first <= sequence, sequence <= name.last { return reading.batches }
                if reading.path.last?.last ?? .zero < anchor.position.sequence {
                    reading.path = try thread.run { [reader] in try await reader.sealed(covering: anchor, of: log) }
                }
                guard let place = reading.path.firstIndex(where: { sequence <= $0.last }) else {
                    throw anchor.archived(sequence)
                }
                let (name, before) = (reading.path[place], reading.path[..<place].last?.end)
                let bytes = try thread.run { [reader] in try await reader.bytes(name, at: BackupNames.sealed) }
                (reading.name, reading.batches) = (nil, [])
                var batches: [StoredBatch] = []
                _ = try SegmentReader(bytes, name: name).batches(after: before ?? .start(of: name.log)) {
                    batches.append($0)
                }
                (reading.name, reading.batches) = (name, batches)
                return batches
            }
        } catch {
            throw Self.failure(error, place)
        }
    }

    private static func failure(_ error: any Error, _ place: String) -> StoreFailure {
        if let failure = error as? StoreFailure {
            if failure.code == "archived" { return failure }
            return StoreFailure(
                code: failure.code,
                message: "\(failure.message); it is read from the archive \(place): put it back there",
                outcome: failure.outcome)
        }
        return StoreFailure(
            code: "archived", message: "the archive \(place) cannot be read now: \(error)", outcome: .unchanged)
    }
}

/// Runs what is asynchronous to its end for a caller that blocks, on a thread of its own: the shared ones may all be
/// waiting here.
private final class ArchiveThread: TaskExecutor {
    private let queue = DispatchQueue(label: "drover.event-log.archive")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    func run<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
        let (done, result) = (DispatchSemaphore(value: 0), ArchiveResult<Value>())
        Task(executorPreference: self) {
            do { result.set(.success(try await work())) } catch { result.set(.failure(error)) }
            done.signal()
        }
        done.wait()
        return try result.get()
    }
}

private final class ArchiveResult<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)

    func set(_ value: Result<Value, any Error>) { result.withLock { $0 = value } }

    func get() throws -> Value {
        guard let result = result.withLock({ $0 }) else { preconditionFailure("the work has ended") }
        return try result.get()
    }
}

extension BackupReader {
    /// The sealed segments from the log's start over its anchor, the last one's end being on the log's chain. Empty
    /// where none holds the anchor.
    func sealed(covering anchor: LogAnchor, of log: EventLog) async throws -> [SegmentName] {
        try await sealed(covering: anchor.position, of: log)
    }

    func sealed(covering position: LogPosition, of log: EventLog) async throws -> [SegmentName] {
        let names = try await segments(in: BackupNames.sealedFolder(position.log))
            .filter { $0.first <= position.sequence && position.sequence <= $0.last }.sorted { $0.last < $1.last }
        for name in names where name.end == position {
            return try await sealed(upTo: name.end)
        }
        for name in names where name.last > position.sequence {
            // Behind the anchor, so the log itself knows.
            if try log.contains(name.end) == .onChain { return try await sealed(upTo: name.end) }
        }
        return []
    }
}
