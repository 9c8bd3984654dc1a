import Codec
import Domain
import EventLog
import Foundation
import Glibc
import Ports
import Testing

/// A log that begins at an anchor, with its past in an archive: the two together are the log that it was.
@Suite struct ArchiveTests {
    private let scratch: TemporaryDirectory
    private let log: EventLog
    private let store = FaultyStore()
    private let place = "/archive"

    init() throws {
        scratch = try TemporaryDirectory()
        log = try createLog(scratch.inside("log"))
    }

    private func backup(segmentBytes: Int = 4000) -> LogBackup {
        var settings = LogBackup.Settings()
        settings.segmentBytes = segmentBytes
        return LogBackup(of: log, kind: .global, blobs: FaultyStore(), to: store, settings: settings)
    }

    private func grow(batches: Int, _ numbers: inout SeededNumbers) throws {
        for _ in 0..<batches {
            let head = try log.head()
            let first = head.sequence.rawValue + 1
            let count = UInt64.random(in: 1...9, using: &numbers)
            _ = try log.append(testFrames(first...first + count - 1, epoch: max(1, head.epoch.rawValue)))
        }
    }

    /// The same log, from which nothing is taken.
    private func twin(of batches: [FrameBatch]) throws -> EventLog {
        let twin = try createLog(scratch.inside("twin"))
        let end = try twin.head().sequence
        for batch in batches where batch.end.sequence > end { _ = try twin.append(batch.frames) }
        return twin
    }

    private func trim(to end: LogPosition, maximumFrames: Int = 10) async throws {
        var backup = backup()
        _ = try await backup.round(sealing: end)
        let proof = try #require(try await ArchiveProof.make(log, upTo: end, in: store, place: place))
        while try log.trim(to: proof, maximumFrames: maximumFrames) != end {}
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func theArchiveAndTheLogAreTheLog(_ seed: UInt64) async throws {
        var numbers = SeededNumbers(seed: seed)
        for _ in 0..<4 {
            try grow(batches: 40, &numbers)
            let whole = try log.everything()
            let twin = try twin(of: whole)
            let end = try #require(whole.randomElement(using: &numbers)?.end)
            let old = try log.anchor()?.position.sequence ?? .zero
            if end.sequence > old { try await trim(to: end) }
            let anchor = try #require(try log.anchor())
            #expect(anchor.position.sequence == max(end.sequence, old) && anchor.archive == place)
            #expect(try log.head() == whole.last?.end)

            let reader = try openReader(log.directory)
            #expect(throws: StoreFailure.self) { try reader.read(after: .zero, maximumFrames: 1) }
            let after = anchor.position.sequence
            #expect(
                try reader.read(after: after, maximumFrames: .max)
                    == twin.everything().filter { $0.end.sequence > after })
            #expect(try reader.verify().isSound && reader.verify().start == anchor.position)

            log.use(archive: store, place: place)
            #expect(try log.everything() == whole)
            #expect(try log.everything(maximumFrames: 7) == whole)
            for batch in whole {
                #expect(try log.position(at: batch.end.sequence) == batch.end)
                #expect(try log.contains(batch.end) == .onChain)
            }
            let middle = LogSequence(
                rawValue: UInt64.random(in: 0...whole.last!.end.sequence.rawValue, using: &numbers))
            #expect(try log.position(at: middle) == whole.last { $0.end.sequence == middle }?.end)
            #expect(
                try log.read(after: middle, maximumFrames: 5).first
                    == twin.read(after: middle, maximumFrames: 5).first)
            let (report, untrimmed) = try (log.verify(), twin.verify())
            #expect(report.isSound && report.end == untrimmed.end && report.batches == untrimmed.batches)
            #expect(report.frames == untrimmed.frames && report.archived == anchor.position.sequence)
        }
    }

    @Test func whatIsLentIsWhatIsRead() async throws {
        var numbers = SeededNumbers(seed: 9)
        try grow(batches: 60, &numbers)
        let whole = try log.everything()
        try await trim(to: whole[40].end)
        log.use(archive: store, place: place)
        var (frames, ends) = ([UInt64](), [LogPosition]())
        while frames.last ?? 0 < whole.last!.end.sequence.rawValue {
            try log.lend(after: LogSequence(rawValue: frames.last ?? 0), maximumFrames: 11) {
                header, _, _, payload, end in
                frames.append(header.sequence.rawValue)
                let expected = testFrame(header.sequence.rawValue).payload
                #expect(payload.indices.allSatisfy { payload[$0] == expected[$0] } && payload.count == expected.count)
                if let end { ends.append(end) }
            }
        }
        #expect(frames == Array(1...whole.last!.end.sequence.rawValue) && ends == whole.map(\.end))
    }

    /// A log may be trimmed to its very end, and goes on from there.
    @Test func nothingButTheAnchorIsALogToo() async throws {
        var numbers = SeededNumbers(seed: 4)
        try grow(batches: 10, &numbers)
        let head = try log.head()
        try await trim(to: head)
        #expect(try log.head() == head && log.read(after: head.sequence, maximumFrames: 1).isEmpty)
        #expect(try log.verify().isSound)
        try log.reopen()
        try grow(batches: 5, &numbers)
        let next = try await log.tail(after: head).first { _ in true }
        #expect(next?.frames.first?.header.sequence == head.sequence.next)
        let reader = try openReader(log.directory)
        #expect(try reader.verify().isSound && reader.contains(head) == .onChain)
        await #expect(throws: StoreFailure.self) {
            _ = try await reader.tail(after: .start(of: testIdentity)).first { _ in true }
        }
    }

    /// What comes back from the store is the whole log, also after a second trim and of a trimmed log's own backup.
    @Test func aBackupOfATrimmedLogIsWhole() async throws {
        var numbers = SeededNumbers(seed: 5)
        try grow(batches: 50, &numbers)
        let first = try log.everything()
        try await trim(to: first[20].end)
        try grow(batches: 50, &numbers)
        try await trim(to: first[45].end)
        log.use(archive: store, place: place)
        let whole = try log.everything()
        let other = FaultyStore()
        var second = LogBackup(of: log, kind: .global, blobs: FaultyStore(), to: other)
        #expect(try await second.round() == log.head())
        for place in [store, other] {
            let path = scratch.inside("restored-\(UUID().uuidString)")
            var backup = LogBackup(of: log, kind: .global, blobs: FaultyStore(), to: place)
            _ = try await backup.round()
            #expect(try await BackupReader(store: place).restore(testIdentity, to: path).end == log.head())
            let restored = try openReader(path)
            #expect(try restored.everything() == whole && restored.anchor() == nil && restored.verify().isSound)
        }
    }

    @Test func nothingGoesThatTheArchiveDoesNotHold() async throws {
        var numbers = SeededNumbers(seed: 6)
        try grow(batches: 60, &numbers)
        let whole = try log.everything()
        var backup = backup()
        _ = try await backup.round()
        // Not in any sealed segment yet.
        #expect(try await ArchiveProof.make(log, upTo: whole.last!.end, in: store, place: place) == nil)
        _ = try await backup.round(sealing: whole[50].end)
        let sealed = store.names.filter { $0.contains("/segments/") }.sorted().filter { name in
            SegmentName(name.split(separator: "/").last ?? "").map { $0.first <= whole[50].end.sequence } ?? false
        }
        try #require(sealed.count > 2)
        for (index, name) in sealed.enumerated() {
            let (bytes, key) = (try #require(store.bytes(name)), BlobKey.named(name))
            try await store.delete(key)
            await #expect(throws: StoreFailure.self, "without segment \(index)") { try await prove(whole[50].end) }
            var damaged = bytes
            damaged[bytes.count / 2] ^= 1
            try await store.put(key, bytes: UInt64(bytes.count), from: OneChunk(damaged))
            await #expect(throws: StoreFailure.self, "with segment \(index) damaged") { try await prove(whole[50].end) }
            try await store.delete(key)
            try await store.put(key, bytes: UInt64(bytes.count), from: OneChunk(bytes))
        }
        #expect(try await prove(whole[50].end) != nil)
        #expect(try log.anchor() == nil)
    }

    private func prove(_ end: LogPosition) async throws -> ArchiveProof? {
        let proof = try await ArchiveProof.make(log, upTo: end, in: store, place: place)
        guard let proof else { throw StoreFailure(code: "damaged", message: "no segment", outcome: .damaged) }
        return proof
    }

    @Test func aDamagedArchiveIsNamed() async throws {
        var numbers = SeededNumbers(seed: 7)
        try grow(batches: 60, &numbers)
        let whole = try log.everything()
        try await trim(to: whole[50].end)
        let sealed = store.names.filter { $0.contains("/segments/") }.sorted()
        let (name, bytes) = (sealed[1], try #require(store.bytes(sealed[1])))
        try await store.delete(.named(name))
        log.use(archive: store, place: place)
        let lost = #expect(throws: StoreFailure.self) { try log.everything() }
        #expect(lost?.code == "damaged" && lost?.message.contains(place) == true, "\(lost?.message ?? "")")
        #expect(try log.verify().damage != nil)
        var damaged = bytes
        damaged[bytes.count / 2] ^= 4
        try await store.put(.named(name), bytes: UInt64(bytes.count), from: OneChunk(damaged))
        log.use(archive: store, place: place)
        let broken = #expect(throws: StoreFailure.self) { try log.everything() }
        #expect(broken?.message.contains(place) == true)
        let report = try log.verify()
        #expect(report.damage != nil && report.sequence > .zero && report.sequence < whole[50].end.sequence)
        // What the log itself has is served.
        #expect(try log.read(after: whole[50].end.sequence, maximumFrames: .max).count == 9)
        log.use(archive: FaultyStore(), place: place)
        let missing = #expect(throws: StoreFailure.self) { try log.everything() }
        #expect(missing?.code == "archived" && missing?.message.contains(place) == true)
    }

    /// Killed at any moment, the log begins at some anchor that was reached, and has everything behind it.
    @Test(arguments: [1, 2, 4, 8] as [UInt32])
    func aKilledTrimLeavesALog(_ round: UInt32) async throws {
        var numbers = SeededNumbers(seed: 8)
        try grow(batches: 400, &numbers)
        let whole = try log.everything()
        var backup = backup()
        _ = try await backup.round(sealing: whole[390].end)
        let path = scratch.inside("killed")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: log.directory + "/data.mdb", toPath: path + "/data.mdb")
        let blobs = scratch.inside("segments")
        try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
        for name in store.names {
            let file = blobs + "/" + name.replacing("/", with: "%")
            try Data(try #require(store.bytes(name))).write(to: URL(filePath: file))
        }
        let end = whole[390].end.sequence.rawValue
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [
                path = path as String, blobs = blobs as String, end = end as UInt64, round = round as UInt32
            ] in
            let (log, store) = (try EventLog.open(directory: path, mode: .write), FaultyStore())
            for name in try FileManager.default.contentsOfDirectory(atPath: blobs) {
                let bytes = [UInt8](try Data(contentsOf: URL(filePath: "\(blobs)/\(name)")))
                try await store.put(
                    .named(name.replacing("%", with: "/")), bytes: UInt64(bytes.count), from: OneChunk(bytes))
            }
            let position = try #require(try log.position(at: LogSequence(rawValue: end)))
            let proof = try #require(try await ArchiveProof.make(log, upTo: position, in: store, place: "/archive"))
            Thread.detachNewThread {
                usleep(round * 1500)
                kill(getpid(), SIGKILL)
            }
            while true { _ = try log.trim(to: proof, maximumFrames: 5) }
        }
        let left = try EventLog.open(directory: path, mode: .write, settings: smallSettings())
        #expect(try left.verify().isSound)
        let after = try left.anchor()?.position.sequence ?? .zero
        #expect(try left.read(after: after, maximumFrames: .max) == whole.filter { $0.end.sequence > after })
        left.use(archive: store, place: place)
        #expect(try left.everything() == whole && left.head() == whole.last?.end)
        _ = try left.append([testFrame(whole.last!.end.sequence.rawValue + 1)])
        #expect(try left.verify().isSound)
    }
}
