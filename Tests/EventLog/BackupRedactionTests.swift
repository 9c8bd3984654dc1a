import Codec
import Domain
import EventLog
import Foundation
import Ports
import Synchronization
import Testing

/// Redactions of events that a backup holds already.
@Suite struct BackupRedactionTests {
    private static let secret = Array("s3cret-Pa55word".utf8)

    private let scratch: TemporaryDirectory
    private let store = FaultyStore()

    init() throws { scratch = try TemporaryDirectory() }

    private var directory: String { scratch.inside("log") }

    private func backup(_ log: EventLog) -> LogBackup {
        var settings = LogBackup.Settings()
        settings.segmentBytes = 4000
        return LogBackup(of: log, kind: .global, blobs: FaultyStore(), to: store, settings: settings)
    }

    /// A secret in each of some events, with rounds between them: sealed segments and pieces of a tail hold them.
    private func make(_ secrets: Set<UInt64>, events: UInt64 = 160) async throws {
        let log = try createLog(directory)
        var backup = backup(log)
        for first in stride(from: UInt64(1), through: events, by: 5) {
            var frames = testFrames(first...first + 4)
            for index in frames.indices where secrets.contains(first + UInt64(index)) {
                frames[index].payload = Self.secret + frames[index].payload
            }
            _ = try log.append(frames)
            _ = try await backup.round()
        }
    }

    private func redact(_ sequence: UInt64) throws {
        let sequence = LogSequence(rawValue: sequence)
        _ = try LogRedaction.redact(directory: directory, sequence: sequence) { frame in
            let left = Array(frame.payload.dropFirst(Self.secret.count))
            return LogRedaction.Change(substitute: left, actor: .system, now: .zero) { payload, substitute in
                try GlobalCodec().encode(
                    .log(.payloadRedacted(at: sequence, payload: payload, substitute: substitute, reason: "a test")))
            }
        }
    }

    private func open() throws -> EventLog {
        try EventLog.open(directory: directory, mode: .write, settings: smallSettings())
    }

    /// The objects that hold the secret, whatever names them.
    private func holders() throws -> [String] {
        try store.names.filter { object in
            guard let name = SegmentName(object.split(separator: "/").last ?? ""),
                let bytes = store.state.withLock({ $0.blobs[.named(object)] })
            else { return false }
            let reader = try SegmentReader(bytes, name: name)
            let before = LogPosition(
                log: name.log, epoch: Epoch(rawValue: 1), sequence: LogSequence(rawValue: name.first.rawValue - 1),
                chain: reader.footer.before)
            var found = false
            _ = try reader.batches(after: before) {
                found = found || !Data($0.bytes).ranges(of: Data(Self.secret)).isEmpty
            }
            return found
        }
    }

    private func restored() async throws -> EventLog {
        let place = scratch.inside("restored")
        try? FileManager.default.removeItem(atPath: place)
        _ = try await BackupReader(store: store).restore(testIdentity, to: place)
        return try openReader(place)
    }

    @Test(arguments: [3, 77, 158] as [UInt64]) func aRedactionReachesTheStore(_ sequence: UInt64) async throws {
        try await make([sequence])
        #expect(try !holders().isEmpty)
        try redact(sequence)
        let log = try open()
        let first = log.identity
        _ = try log.append(testFrames(162...163))
        var backup = backup(log)
        #expect(try await backup.round() == log.head())
        #expect(try holders().isEmpty)
        #expect(!store.names.contains { $0.hasPrefix("aside/") })
        let copy = try await restored()
        #expect(try copy.identity == first && copy.everything() == log.everything() && copy.verify().isSound)
        // Nothing is put again for it a second time.
        let puts = store.state.withLock { $0.puts.count }
        _ = try log.append(testFrames(164...165))
        #expect(try await backup.round() == log.head())
        #expect(store.state.withLock { $0.puts.count } == puts + 2)
    }

    /// Killed at every write: at each moment a restore is whole, sound, and no shorter, and the next round makes it clean.
    @Test func aRedactionThatIsKilledIsDoneAgain() async throws {
        let secrets: [UInt64] = [3, 77, 158]
        try await make(Set(secrets))
        for sequence in secrets { try redact(sequence) }
        let log = try open()
        let (before, full) = (store.state.withLock { $0.blobs }, try log.head())
        var (fault, killed) = (0, true)
        while killed {
            store.state.withLock { $0.blobs = before }
            store.fail(after: fault)
            var first = backup(log)
            do {
                _ = try await first.round()
                killed = false
            } catch { killed = true }
            store.fail(after: nil)
            let copy = try await restored()
            #expect(try copy.head().sequence.rawValue >= 160 && copy.verify().isSound, "at write \(fault)")
            // The same backup goes on, or one that knows nothing.
            var next = fault % 2 == 0 ? first : backup(log)
            #expect(try await next.round() == full)
            #expect(try holders().isEmpty && !store.names.contains { $0.hasPrefix("aside/") }, "at write \(fault)")
            let whole = try await restored()
            #expect(try whole.everything() == log.everything() && whole.verify().isSound)
            fault += 1
        }
        #expect(fault > 10)
    }

    /// A backup by a version that did not follow redactions is made clean by the next.
    @Test func anIndexThatDoesNotSayIsNotClean() async throws {
        try await make([3, 158])
        for sequence in [3, 158] as [UInt64] { try redact(sequence) }
        let log = try open()
        var old = try #require(try await BackupReader(store: store).index(testIdentity, 32))
        #expect(old.clean == old.end.sequence)
        old.clean = nil
        let bytes = try old.encoded()
        #expect(!String(decoding: bytes, as: UTF8.self).contains("clean"))
        store.change("backups/\(testIdentity)/index/00000000000000000032") { $0 = bytes }
        var backup = backup(log)
        _ = try await backup.round()
        #expect(try holders().isEmpty)
    }

    /// What the log still has is redacted behind its anchor, which stays; what only the archive has is not.
    @Test func aLogWithAnAnchorIsRedactedBehindIt() async throws {
        try await make([20, 150])
        do {
            let log = try open()
            let position = try #require(try log.position(at: LogSequence(rawValue: 100)))
            var backup = backup(log)
            _ = try await backup.round(sealing: position)
            let proof = try #require(try await ArchiveProof.make(log, upTo: position, in: store, place: "/archive"))
            while try log.trim(to: proof) != position {}
        }
        try redact(150)
        let failure = #expect(throws: StoreFailure.self) { try redact(20) }
        #expect(failure?.code == "archived" && failure?.message.contains("/archive") == true)
        let log = try open()
        #expect(try log.verify().isSound && log.anchor()?.position.sequence == LogSequence(rawValue: 100))
        var backup = backup(log)
        #expect(try await backup.round() == log.head())
        log.use(archive: store, place: "/archive")
        #expect(try log.verify().isSound && log.verify().start.sequence == .zero)
    }
}
