import Blobs
import Codec
import Domain
import Engine
import EventLog
import Ports

/// Everything that a workload wrote, as the log had it when nothing had gone wrong: what a crashed log must be a
/// beginning of.
struct ReferenceLog: Sendable {
    let identity: LogIdentity
    /// By the sequence that a batch ends at; the start at 0.
    private(set) var positions: [LogSequence: LogPosition]
    private(set) var states: [LogSequence: GlobalState]
    private(set) var batches: [FrameBatch] = []

    func chain(at sequence: LogSequence) -> Digest? { positions[sequence]?.chain }

    var end: LogPosition { batches.last?.end ?? .start(of: identity) }

    /// - Parameter archive: where what the log has forgotten is read.
    init(directory: String, archive: String? = nil) async throws {
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        if let archive { log.use(archive: try await DirectoryBlobStore.open(archive, readOnly: true), place: archive) }
        identity = log.identity
        var replay = Replay<Global>(of: identity, codec: GlobalCodec())
        positions = [.zero: .start(of: identity)]
        states = [.zero: replay.state]
        while true {
            let next = try log.read(after: replay.head.sequence, maximumFrames: 1000)
            if next.isEmpty { return }
            for batch in next {
                try replay.take(batch)
                positions[batch.end.sequence] = batch.end
                states[batch.end.sequence] = replay.state
                batches.append(batch)
            }
        }
    }
}
