import Codec
package import Domain
import Ports

extension EngineService {
    private static var framesAtOnce: UInt64 { 20_000 }

    /// The newest proof of a backup that the log tells of: which sequence it was of, and when. Blocks; looks backwards
    /// from the end, so that it costs what came since.
    package func lastBackupProof() -> (sequence: LogSequence, time: Timestamp)? {
        let type = eventType(named: "backup-proved")
        // What only the archive has is not looked through: its backup has proofs behind it.
        let first = (try? store.anchor())?.position.sequence.rawValue ?? 0
        var end = head.sequence.rawValue
        while end > first {
            let start = max(first, end - min(end, Self.framesAtOnce))
            var proof: (sequence: LogSequence, time: Timestamp)?
            // What cannot be read is the log's own trouble, and proves nothing.
            try? store.lend(after: LogSequence(rawValue: start), maximumFrames: Int(end - start)) {
                header, found, revision, payload, _ in
                guard found == type,
                    let event = try? codec.decode(type: found, schemaRevision: revision, payload: payload),
                    case .backupProved(let at, _, _, _)? = A.fact(event)
                else { return }
                proof = (at, header.time)
            }
            if let proof { return proof }
            end = start
        }
        return nil
    }
}
