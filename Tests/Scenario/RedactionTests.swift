import Blobs
import Codec
import Commands
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Testing
import Views

/// Redacting events of recorded logs: the text is gone from the disk, and everything else goes on as it was.
@Suite struct RedactionTests {
    private static let secret = "s3cret-Pa55word"

    /// A recorded log whose every free text holds a secret, as a log on disk.
    private struct Made: Sendable {
        var scratch: Scratch
        var directory: String
        var head: LogPosition
        var batches: [FrameBatch]
    }

    private func made<Kind: LogKind>(
        _ recorded: RecordedLog, _ kind: Kind.Type, _ withText: (Kind.A.Event) -> Kind.A.Event?
    ) throws -> Made {
        let scratch = try Scratch()
        var all = try batches(recorded.bytes())
        for (place, batch) in all.enumerated() {
            for (index, frame) in batch.frames.enumerated() {
                guard let event = try Kind.codec.decode(frame)?.event, let said = withText(event) else { continue }
                all[place].frames[index].payload = try Kind.codec.encode(said).payload
            }
        }
        let directory = scratch.inside("log")
        let log = try EventLog.made(directory, of: all)
        return Made(
            scratch: scratch, directory: directory, head: try log.head(),
            batches: try log.read(after: .zero, maximumFrames: .max))
    }

    private func secretCount(_ made: Made) throws -> Int {
        let data = try Data(contentsOf: URL(filePath: made.directory + "/data.mdb"))
        return data.ranges(of: Data(Self.secret.utf8)).count
    }

    private func check<Kind: LogKind>(
        _ recorded: RecordedLog, _ kind: Kind.Type, _ withText: (Kind.A.Event) -> Kind.A.Event?
    ) async throws {
        let made = try made(recorded, kind, withText)
        let texts = try made.batches.flatMap(\.frames).filter { frame in
            guard let event = try Kind.codec.decode(frame)?.event else { return false }
            return withText(event) != nil
        }
        #expect(try secretCount(made) >= texts.count && !texts.isEmpty)
        try FileManager.default.createDirectory(
            atPath: made.scratch.inside("snapshots"), withIntermediateDirectories: true)
        try Data(Self.secret.utf8).write(to: URL(filePath: made.scratch.inside("views.sqlite-wal")))
        // Of a proof that was killed.
        try FileManager.default.createDirectory(
            atPath: made.scratch.inside("backup-proof/log"), withIntermediateDirectories: true)
        // All of them, in an order that is not the log's.
        for frame in texts.reversed() {
            _ = try LogTexts.redact(
                frame.header.sequence, in: made.directory, reason: "a test", actor: .person("ada"))
        }
        #expect(try secretCount(made) == 0)
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: made.scratch.path)) == ["log"])

        let log = try EventLog.open(directory: made.directory, mode: .readOnly)
        let report = try log.verify()
        #expect(report.isSound, "\(report)")
        #expect(report.frames == made.head.sequence.rawValue + UInt64(texts.count))
        for batch in made.batches { #expect(try log.position(at: batch.end.sequence) == batch.end) }
        let now = try log.read(after: .zero, maximumFrames: .max)
        let replay = try Kind.replay(now, of: log.identity)
        #expect(Kind.impossible(replay.state) == 0)
        try replay.prove()
        let views = try Kind.openViews(made.scratch.inside("again.sqlite"))
        defer { views.close() }
        try await views.catchUp(from: log)
        #expect(try await views.difference(from: log) == nil)
        let said = try await views.query("SELECT count(*) FROM events WHERE data LIKE '%[redacted %'")
        #expect(said.rows == [[.integer(Int64(texts.count))]])

        _ = try LogText.export(log, to: made.scratch.inside("out"))
        let end = try LogText.import(made.scratch.inside("out"), to: made.scratch.inside("import"))
        #expect(end == (try log.head()))
        let imported = try EventLog.open(directory: made.scratch.inside("import"), mode: .readOnly)
        #expect(try imported.read(after: .zero, maximumFrames: .max) == now)
        #expect(try imported.verify().isSound)
    }

    @Test(arguments: Seeds.logs.filter(\.isGlobal)) func aGlobalLog(_ recorded: RecordedLog) async throws {
        try await check(recorded, GlobalKind.self) { $0.withoutFreeText(Self.secret) }
    }

    @Test(arguments: Seeds.logs.filter { !$0.isGlobal }) func aRegionsLog(_ recorded: RecordedLog) async throws {
        try await check(recorded, RegionalKind.self) { $0.withoutFreeText(Self.secret) }
    }

    private func one() throws -> (Made, LogSequence) {
        let global = Seeds.logs.first { $0.isGlobal }
        let recorded = try #require(global)
        let made = try made(recorded, GlobalKind.self) { $0.withoutFreeText(Self.secret) }
        let found = try made.batches.flatMap(\.frames).first { frame in
            try GlobalCodec().decode(frame)?.event.withoutFreeText("") != nil
        }
        return (made, try #require(found).header.sequence)
    }

    @Test func whatHasNoTextIsRefused() throws {
        let (made, _) = try one()
        #expect(throws: (any Error).self) {
            try LogTexts.redact(LogSequence(rawValue: 1), in: made.directory, reason: "r", actor: .person("ada"))
        }
        for sequence in [0, made.head.sequence.rawValue + 1] {
            #expect(throws: StoreFailure.self) {
                try LogTexts.redact(
                    LogSequence(rawValue: sequence), in: made.directory, reason: "r", actor: .person("ada"))
            }
        }
        #expect(try EventLog.open(directory: made.directory, mode: .readOnly).head() == made.head)
    }

    /// Whoever dies before the switch leaves the old log, and what it left behind is in nobody's way.
    @Test func aDeathBeforeTheSwitchLeavesTheOldLog() throws {
        struct Death: Error {}
        let (made, sequence) = try one()
        #expect(throws: Death.self) {
            try LogRedaction.redact(directory: made.directory, sequence: sequence) {
                throw Death()
            } decide: { frame in
                LogRedaction.Change(substitute: frame.payload, actor: .system, now: .zero) { _, _ in
                    try GlobalCodec().encode(.log(.levelRaised(level: 1)))
                }
            }
        }
        #expect(FileManager.default.fileExists(atPath: made.directory + "/creating/data.mdb"))
        #expect(try EventLog.open(directory: made.directory, mode: .readOnly).head() == made.head)
        _ = try LogTexts.redact(sequence, in: made.directory, reason: "again", actor: .person("ada"))
        let log = try EventLog.open(directory: made.directory, mode: .write)
        #expect(try log.verify().isSound)
        #expect(!FileManager.default.fileExists(atPath: made.directory + "/creating"))
    }

    /// What a backup restores behind a redaction comes to the states that the log says were there, also after the record.
    @Test func aBackupFollows() async throws {
        let (made, sequence) = try one()
        let store = try await DirectoryBlobStore.open(made.scratch.inside("store"))
        func backUp() async throws {
            let log = try EventLog.open(directory: made.directory, mode: .readOnly)
            var backup = LogBackup(of: log, kind: .global, blobs: store, to: store)
            #expect(try await backup.round() == log.head())
        }
        try await backUp()
        let record = try LogTexts.redact(sequence, in: made.directory, reason: "r", actor: .person("ada"))
        let hashed = record.sequence.next
        // Due once, at the first event behind the record.
        let hashing = StateHashing(intervalEvents: hashed.rawValue)
        let log = try EventLog.open(directory: made.directory, mode: .write)
        try append(.levelRaised(level: 1), to: log)
        let state = try StateCodec.stateHash(Replay<Global>.whole(log, codec: GlobalCodec()).state)
        try append(.stateHashed(at: hashed, fingerprint: Global.reducerFingerprint, digest: state), to: log)
        try await backUp()
        let place = made.scratch.inside("restored")
        _ = try await BackupReader(store: store).restore(log.identity, to: place)
        let restored = try EventLog.open(directory: place, mode: .readOnly)
        #expect(try restored.verify().isSound)
        let replay = try Replay<Global>.whole(restored, codec: GlobalCodec(), hashing: hashing)
        let whole = try Replay<Global>.whole(log, codec: GlobalCodec()).state
        #expect(try StateCodec.stateHash(replay.state) == StateCodec.stateHash(whole))
        let data = try Data(contentsOf: URL(filePath: place + "/data.mdb"))
        #expect(data.ranges(of: Data("[redacted \(sequence)]".utf8)).count > 0)
    }

    private func append(_ event: LogEvent, to log: EventLog) throws {
        let (head, encoded) = (try log.head(), try GlobalCodec().encode(.log(event)))
        let last = try log.read(after: .zero, maximumFrames: .max).last?.frames.last?.header.time ?? .zero
        let header = FrameHeader(
            epoch: head.epoch, sequence: head.sequence.next, time: last, command: head.sequence.next, actor: .system)
        _ = try log.append([
            Frame(
                header: header, type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
        ])
    }

    /// The table of readers of the new data is there with it, and is not the old data's.
    @Test func theTableOfReadersGoesWithItsData() throws {
        let (made, sequence) = try one()
        func table() throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: made.directory + "/lock.mdb")[.systemFileNumber] as? Int
        }
        let before = try EventLog.open(directory: made.directory, mode: .readOnly)
        let old = try table()
        _ = try LogTexts.redact(sequence, in: made.directory, reason: "r", actor: .person("ada"))
        let new = try table()
        #expect(new != nil && new != old)
        let after = try EventLog.open(directory: made.directory, mode: .write)
        #expect(try after.verify().isSound && table() == new)
        withExtendedLifetime(before) {}
    }

    /// What stands in a payload's place is not in the chain: another one is found by its record, or by its lack of one.
    @Test(arguments: [true, false]) func anUnrecordedSubstituteIsFound(hasRecord: Bool) throws {
        let (made, sequence) = try one()
        _ = try LogRedaction.redact(directory: made.directory, sequence: sequence) {
        } decide: { frame in
            LogRedaction.Change(substitute: frame.payload, actor: .system, now: .zero) { payload, substitute in
                let said = hasRecord ? StateCodec.hash([1]) : substitute
                return try GlobalCodec().encode(
                    .log(
                        hasRecord
                            ? .payloadRedacted(at: sequence, payload: payload, substitute: said, reason: "lie")
                            : .levelRaised(level: 1)))
            }
        }
        let report = try EventLog.open(directory: made.directory, mode: .readOnly).verify()
        #expect(report.damage?.afterSequence.next == sequence)
        #expect(report.damage?.message.contains("event \(sequence)") == true)
    }
}
