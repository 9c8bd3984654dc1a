import Codec
import Domain
import Engine
import Foundation
import Testing

/// A snapshot of format 1 as it was first written, of the golden log's state at its end: its bytes can be read for ever.
/// Other reducers than those that made it pass it over; the same ones come to the same state.
@Suite struct GoldenSnapshotTests {
    /// SHA-256 of the file.
    private static let digest = "942a65b121da3cefb639813155ff0a1e387880a9dfb91a3572664bf746e522ea"

    private func replay() throws -> Replay<Global> {
        let recorded = try batches(
            [UInt8](Data(contentsOf: Seeds.folder.appending(path: "golden/1/global/log.ndjson"))))
        return try GlobalKind.replay(recorded, of: try #require(recorded.last).end.log)
    }

    @Test func itIsStillRead() throws {
        let path = Seeds.folder.appending(path: "golden/1/global/snapshot.state").path
        #expect(try StateCodec.hash([UInt8](Data(contentsOf: URL(filePath: path)))).hex == Self.digest)
        let snapshot = try StateSnapshots.read(path)
        let replay = try replay()
        #expect(snapshot.position == replay.head)
        #expect(snapshot.lastTime == replay.lastTime && snapshot.unknownEvents == replay.unknownEvents)
        guard snapshot.fingerprint == Global.reducerFingerprint else { return }
        #expect(try StateCodec.decode(GlobalState.self, snapshot.state) == replay.state)
        #expect(try StateCodec.encode(replay.state) == snapshot.state)
    }

    /// What is written now has the same bytes, while the reducers are the same.
    @Test func itIsStillWritten() throws {
        let replay = try replay()
        let bytes = try StateCodec.encode(replay.state)
        let snapshot = StateSnapshot(
            position: replay.head, fingerprint: Global.reducerFingerprint, lastTime: replay.lastTime,
            unknownEvents: replay.unknownEvents, state: bytes, digest: StateCodec.hash(bytes))
        let path = Seeds.folder.appending(path: "golden/1/global/snapshot.state")
        if Seeds.rewrites, !FileManager.default.fileExists(atPath: path.path) {
            try Data(snapshot.header + snapshot.state).write(to: path)
        }
        let golden = try StateSnapshots.read(path.path)
        if golden.fingerprint == Global.reducerFingerprint { #expect(golden.header == snapshot.header) }
    }
}
