import Codec
import Domain
import EventLog
import Foundation
import Ports
import Synchronization
import Testing

/// Backups of a growing log into a store that fails, and what a restore makes of them.
@Suite struct BackupTests {
    private let scratch: TemporaryDirectory
    private let log: EventLog
    private let store = FaultyStore()
    private let blobs = FaultyStore()

    init() throws {
        scratch = try TemporaryDirectory()
        log = try createLog(scratch.inside("log"))
    }

    /// Segments of some 40 events, so that a test seals many.
    private func backup(_ log: EventLog? = nil, segmentBytes: Int = 4000) -> LogBackup {
        var settings = LogBackup.Settings()
        (settings.segmentBytes, settings.keptIndexes) = (segmentBytes, 8)
        return LogBackup(of: log ?? self.log, kind: .global, blobs: blobs, to: store, settings: settings)
    }

    private func grow(by count: UInt64, _ log: EventLog? = nil) throws {
        let log = log ?? self.log
        let head = try log.head()
        let first = head.sequence.rawValue + 1
        _ = try log.append(testFrames(first...first + count - 1, epoch: head.epoch.rawValue))
    }

    private func restore(_ name: String = "restored", until: UInt64? = nil) async throws -> RestoredLog {
        let place = scratch.inside(name)
        try? FileManager.default.removeItem(atPath: place)
        return try await BackupReader(store: store).restore(
            testIdentity, until: until.map { LogSequence(rawValue: $0) }, to: place)
    }

    private func names(_ part: String) -> [String] { store.names.filter { $0.contains("/\(part)/") } }

    @Test func aRestoreIsTheLog() async throws {
        var backup = backup()
        for count in 1...60 {
            try grow(by: UInt64(1 + count % 7))
            #expect(try await backup.round() == log.head())
            guard count % 10 == 0 else { continue }
            let restored = try await restore()
            #expect(try restored.end == log.head() && restored.passedOver.isEmpty)
            let copy = try openReader(scratch.inside("restored"))
            #expect(try copy.everything() == log.everything() && copy.verify() == log.verify())
        }
        #expect(names("segments").count >= 4 && names("index").count == 8)
        // What no kept index names is gone, and each event was written a few times at most.
        #expect(names("tail").count <= 8 * 14)
        #expect(try await BackupReader(store: store).logs() == [testIdentity])
        // A round with nothing new writes nothing.
        let before = store.names
        #expect(try await backup.round() == log.head() && store.names == before)
    }

    @Test func aRestoreStopsWhereItIsTold() async throws {
        var backup = backup()
        for _ in 1...20 {
            try grow(by: 5)
            _ = try await backup.round()
        }
        for last in [5, 40, 95, 100] as [UInt64] {
            let restored = try await restore(until: last)
            #expect(restored.end.sequence.rawValue == last)
            #expect(try restored.end == log.position(at: LogSequence(rawValue: last)))
        }
    }

    /// The store fails, or the backup is killed, after every possible number of writes: nothing that was backed up is
    /// lost, and the next backup goes on.
    @Test(arguments: [false, true]) func everyFaultIsSurvived(losingAnswers: Bool) async throws {
        var (fault, failures) = (0, 0)
        var backup = backup()
        while fault < 12 {
            try grow(by: 30)
            let before =
                try await BackupReader(store: store).generations(of: testIdentity).isEmpty
                ? nil : restore().end
            store.fail(after: fault, losingAnswers: losingAnswers)
            do { _ = try await backup.round() } catch { failures += 1 }
            store.fail(after: nil)
            if let before { #expect(try await restore().end.sequence >= before.sequence) }
            // Killed: what it knew is gone. Not killed: it goes on with what it knows.
            if fault % 2 == 0 { backup = self.backup() }
            var tries = 0
            while try await restore0() != log.head(), tries < 3 {
                tries += 1
                _ = try? await backup.round()
            }
            #expect(try await restore().end == log.head(), "after a fault at write \(fault)")
            fault += 1
        }
        #expect(failures >= 3)
    }

    private func restore0() async throws -> LogPosition? { try? await restore().end }

    /// The check of the check: a backup that wrote its index first would be found out.
    @Test func anIndexWithoutItsPiecesIsPassedOver() async throws {
        var backup = backup()
        try grow(by: 5)
        _ = try await backup.round()
        try grow(by: 5)
        _ = try await backup.round()
        let newest = try #require(backup.index?.tail.last?.name)
        store.change("backups/\(testIdentity)/tail/\(newest)") { $0 = nil }
        let restored = try await restore()
        #expect(restored.end.sequence.rawValue == 5 && restored.passedOver.count == 1)
        #expect(restored.passedOver.first?.contains("\(newest)") == true)
    }

    @Test func damageIsNamedAndNothingIsMade() async throws {
        var backup = backup()
        for _ in 1...15 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        let sealed = try #require(names("segments").first)
        for damage in [{ $0 = nil }, { $0?[40] ^= 1 }, { $0?.removeLast() }] as [@Sendable (inout [UInt8]?) -> Void] {
            let kept = store.state.withLock { $0.blobs[.named(sealed)] }
            store.change(sealed, damage)
            await #expect {
                _ = try await restore()
            } throws: {
                let failure = $0 as? StoreFailure
                return failure?.outcome == .damaged
                    && !FileManager.default.fileExists(atPath: scratch.inside("restored"))
            }
            store.change(sealed) { $0 = kept }
        }
        #expect(try await restore().end == log.head())
        // Two segments that changed places are not what their names say.
        let other = try #require(names("segments").dropFirst().first)
        let (one, two) = store.state.withLock { ($0.blobs[.named(sealed)], $0.blobs[.named(other)]) }
        store.change(sealed) { $0 = two }
        store.change(other) { $0 = one }
        await #expect(throws: StoreFailure.self) { _ = try await restore() }
    }

    @Test func aDamagedIndexIsPassedOver() async throws {
        var backup = backup()
        for _ in 1...3 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        let index = try #require(names("index").last)
        store.change(index) { $0?[20] ^= 1 }
        let restored = try await restore()
        #expect(restored.end.sequence.rawValue == 20 && restored.passedOver.count == 1)
        // A new backup goes on behind it.
        var next = self.backup()
        _ = try await next.round()
        #expect(try await restore().end == log.head())
    }

    /// Two at once: each round is one's or the other's, and what stands is whole.
    @Test func twoBackupsTakeTurns() async throws {
        var (one, two, refused) = (backup(), backup(), 0)
        for round in 0..<40 {
            try grow(by: 7)
            for turn in 0..<2 {
                do { _ = try await turn == round % 2 ? one.round() : two.round() } catch { refused += 1 }
                #expect(try await restore().passedOver.isEmpty)
            }
        }
        #expect(refused > 0)
        _ = try? await one.round()
        _ = try await one.round()
        #expect(try await restore().end == log.head())
    }

    @Test func aSealedSegmentIsWrittenOnce() async throws {
        var backup = backup()
        for round in 0..<40 {
            try grow(by: 10)
            if round % 7 == 0 { backup = self.backup() }
            _ = try await backup.round()
        }
        let sealed = store.state.withLock { $0.puts.filter { $0.contains("/segments/") } }
        #expect(sealed.count > 5 && Set(sealed).count == sealed.count)
    }

    /// What a damaged index named is not known, so nothing goes because of it that the newest one names.
    @Test func aDamagedIndexCostsTheNewestNothing() async throws {
        for damaged in [8, 9, 10, 17, 20] {
            store.state.withLock { $0.blobs = [:] }
            let place = scratch.inside("log-\(damaged)")
            let log = try createLog(place)
            // Pieces that stay in the tail for many rounds.
            var backup = backup(log, segmentBytes: 1_000_000)
            for _ in 1...damaged + 3 {
                try grow(by: 40, log)
                _ = try await backup.round()
            }
            let index = try #require(names("index").first { Int($0.suffix(20)) == damaged })
            store.change(index) { $0?[20] ^= 1 }
            // What it read before a start, a backup does not read again.
            backup = self.backup(log, segmentBytes: 1_000_000)
            for _ in 1...9 {
                try grow(by: 40, log)
                _ = try await backup.round()
                // The newest, and all that it names.
                let newest = try #require(backup.index)
                #expect(
                    try await BackupReader(store: store).batches(of: newest) { _ in } == log.head(),
                    "index \(damaged) is damaged")
            }
        }
    }

    /// An index that is stored though its answer was lost names its pieces: they are not removed as leftovers.
    @Test func everyKeptIndexIsWholeAfterALostAnswer() async throws {
        var backup = backup()
        for lost in 0..<30 {
            try grow(by: 4)
            // A piece, and the index.
            store.fail(after: 1, losingAnswers: true)
            _ = try? await backup.round()
            store.fail(after: nil)
            for _ in 0..<2 + lost % 4 {
                try grow(by: 2)
                _ = try? await backup.round()
            }
            let reader = BackupReader(store: store)
            // An older one that could not be removed yet does not count.
            let last = try #require(try await reader.generations(of: testIdentity).last)
            for generation in try await reader.generations(of: testIdentity) where generation + 8 > last {
                let index = try #require(try await reader.index(testIdentity, generation))
                _ = try await reader.batches(of: index) { _ in }
            }
        }
    }

    /// One damaged segment of the old branch does not end the backup of the new one.
    @Test(arguments: [true, false]) func aDamagedSegmentDoesNotStopANewEpoch(isGone: Bool) async throws {
        var backup = backup()
        for _ in 1...20 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        _ = try await restore("short", until: 150)
        let sealed = try #require(names("segments").dropFirst().first)
        store.change(sealed) { bytes in
            // In the footer, which says what stands before the segment.
            if isGone { bytes = nil } else if let count = bytes?.count { bytes?[count - 120] ^= 1 }
        }
        let short = try EventLog.open(directory: scratch.inside("short"), mode: .write, settings: smallSettings())
        _ = try short.append(testFrames(151...153, epoch: 2))
        var other = self.backup(short)
        #expect(try await other.round() == short.head())
        #expect(try await restore().end == short.head())
    }

    /// A segment that a disk does not give for a while stays: only one whose bytes are wrong is put again.
    @Test func aSegmentThatCannotBeReadIsNotRemoved() async throws {
        var backup = backup()
        for _ in 1...12 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        let sealed = try #require(names("segments").first)
        store.change(sealed) { $0?[60] ^= 1 }
        let damaged = store.state.withLock { $0.blobs[.named(sealed)] }
        for index in names("index") { store.change(index) { $0?[20] ^= 1 } }
        store.state.withLock { $0.unreadable = "/segments/" }
        try grow(by: 1)
        var next = self.backup()
        await #expect(throws: BlobFailure.self) { _ = try await next.round() }
        #expect(store.state.withLock { $0.blobs[.named(sealed)] } == damaged)
        store.state.withLock { $0.unreadable = nil }
        #expect(try await next.round() == log.head())
        #expect(try await restore().end == log.head())
    }

    /// What a store that failed could not remove goes at the next start.
    @Test func leftoversAreSweptAtTheNextStart() async throws {
        var backup = backup()
        for _ in 1...40 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        let stale = "backups/\(testIdentity)/index/00000000000000000001"
        let end = try log.position(at: LogSequence(rawValue: 10))
        let early = SegmentName(first: LogSequence(rawValue: 1), end: try #require(end))
        store.change(stale) { $0 = [1] }
        store.change("backups/\(testIdentity)/tail/\(early)") { $0 = [1] }
        try grow(by: 10)
        var next = self.backup()
        _ = try await next.round()
        #expect(!store.names.contains(stale) && !store.names.contains { $0.hasSuffix("tail/\(early)") })
        #expect(try await restore().end == log.head())
    }

    /// A log that lost its end after a backup does not overwrite what the backup has.
    @Test func aLogThatLostEventsIsRefusedUntilANewEpoch() async throws {
        var backup = backup()
        for _ in 1...12 {
            try grow(by: 10)
            _ = try await backup.round()
        }
        _ = try await restore("short", until: 100)
        let short = try EventLog.open(directory: scratch.inside("short"), mode: .write, settings: smallSettings())
        var other = self.backup(short)
        await #expect { _ = try await other.round() } throws: { ($0 as? StoreFailure)?.code == "forked" }
        #expect(try await restore().end == log.head())
        _ = try short.append(testFrames(101...103, epoch: 2))
        #expect(try await other.round() == short.head())
        #expect(try await restore().end == short.head())
        try grow(by: 20, short)
        #expect(try await other.round() == short.head())
        #expect(try await restore().end == short.head())
        // The old branch is not taken back.
        try grow(by: 1)
        await #expect(throws: (any Error).self) { _ = try await backup.round() }
        await #expect(throws: (any Error).self) { _ = try await backup.round() }
        #expect(try await restore().end == short.head())
    }

    @Test func blobsThatTheLogNamesComeAlong() async throws {
        let manifest = Array("a manifest".utf8)
        let lost = StateCodec.hash(Array("lost".utf8))
        try await blobs.put(
            .content(StateCodec.hash(manifest)), bytes: UInt64(manifest.count), from: OneChunk(manifest))
        let events: [GlobalEvent] = [
            .queue(.uploaded(JobID(rawValue: 1), AttemptNumber(rawValue: 1), pack(StateCodec.hash(manifest)))),
            .queue(.uploaded(JobID(rawValue: 2), AttemptNumber(rawValue: 1), pack(lost))),
        ]
        for (index, event) in events.enumerated() {
            let encoded = try GlobalCodec().encode(event)
            var frame = testFrame(UInt64(index + 1))
            (frame.type, frame.schemaRevision, frame.payload) = (encoded.type, encoded.schemaRevision, encoded.payload)
            _ = try log.append([frame])
        }
        var backup = backup()
        _ = try await backup.round()
        #expect(backup.missingBlobs == 1)
        let restored = try await restore()
        let target = FaultyStore()
        #expect(try await BackupReader(store: store).copyBlobs(restored.blobs, to: target) == [lost])
        #expect(try await target.read(.content(StateCodec.hash(manifest)), offset: 0, count: 100) == manifest)
        // A blob that was damaged in the store is not given out.
        store.state.withLock { $0.blobs[.content(StateCodec.hash(manifest))] = [1] }
        #expect(try await BackupReader(store: store).copyBlobs(restored.blobs, to: FaultyStore()).count == 2)
    }

    private func pack(_ manifest: Digest) -> UploadedPack {
        UploadedPack(manifest: manifest, region: RegionName(unchecked: "one"), rawBytes: 1, packedBytes: 1)
    }

    /// However small the rounds, few pieces stand and each event is written a few times.
    @Test func tailsStayShort() {
        var (sizes, written) = ([UInt64](), UInt64(0))
        for _ in 0..<20_000 {
            let kept = TailPlan.kept(sizes)
            let size = sizes[kept...].reduce(200, +)
            sizes.removeSubrange(kept...)
            sizes.append(size)
            written += size
            #expect(sizes.count <= 7 * 5)
        }
        #expect(sizes.reduce(0, +) == 20_000 * 200)
        #expect(written < 20_000 * 200 * 16)
    }
}
