import Blobs
import Domain
import EventLog
import Foundation

/// What `--keep-log` does, with the engine at rest: the backup seals what the log has, it is proved to be there, and the
/// log forgets it a few frames at a time.
struct TrimWork: Codable, Sendable {
    /// The scenario's directory.
    var place: String
    /// At most, in a transaction; whole batches, and one at least.
    var frames: Int

    /// Says after each transaction what the log begins behind.
    func run() async throws {
        let log = try EventLog.open(directory: place + "/log", mode: .write)
        let store = try await DirectoryBlobStore.open(place + "/store")
        let blobs = try await DirectoryBlobStore.open(place + "/blobs", readOnly: true)
        log.use(archive: store, place: place + "/store")
        let head = try log.head()
        var backup = LogBackup(of: log, kind: .global, blobs: blobs, to: store)
        _ = try await backup.round(sealing: head)
        guard let proof = try await ArchiveProof.make(log, upTo: head, in: store, place: place + "/store") else {
            throw LaboratoryFailure("the backup was to hold everything up to \(head.sequence), and does not")
        }
        var anchor: LogPosition?
        while anchor != proof.end {
            let next = try log.trim(to: proof, maximumFrames: frames)
            anchor = next
            say("{\"sequence\":\(next.sequence)}")
        }
    }
}
