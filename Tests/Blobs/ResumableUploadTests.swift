import Domain
import Foundation
import Ports
import Testing

@testable import Blobs

struct ResumableUploadTests {
    /// Held by the suite, so that it outlives every use of its path.
    private let workshop: Workshop

    init() throws { workshop = try Workshop() }

    private func open(
        checkpoint: UInt64 = 1000, _ name: String = "store"
    ) async throws -> DirectoryBlobStore {
        var settings = BlobStoreSettings()
        settings.uploadCheckpointBytes = checkpoint
        return try await DirectoryBlobStore.open(workshop.path + "/" + name, settings: settings)
    }

    private func send(_ bytes: [UInt8], to upload: ResumableUpload, upTo end: Int, by step: Int = 300) async throws {
        while upload.offset < end {
            let start = Int(upload.offset)
            try await upload.write(offset: upload.offset, Array(bytes[start..<min(start + step, end)]))
        }
    }

    @Test(arguments: [true, false], [true, false]) func partsBecomeABlob(isNamed: Bool, isAnnounced: Bool) async throws
    {
        let store = try await open()
        var generator = SeededGenerator(seed: 1)
        let bytes = generator.noise(10_000)
        let key = isNamed ? BlobKey.named("packs/web/42") : .content(sha256(bytes))
        let upload = try await store.beginUpload("u", bytes: 10_000, digest: isAnnounced ? sha256(bytes) : nil)
        try await send(bytes, to: upload, upTo: 5000)
        #expect(await failureCode { () throws(BlobFailure) in try await upload.finish(as: key) } == .mismatch)
        #expect(try await upload.read(offset: 4990, count: 100) == Array(bytes[4990..<5000]))
        #expect(try await upload.read(offset: 5000, count: 100) == [])
        try await send(bytes, to: upload, upTo: 10_000)
        try await upload.finish(as: key)
        #expect(try await store.readAll(key) == bytes)
        #expect(store.openUploads().isEmpty && workshop.files("store/uploads") == [])
        #expect(await failureCode { () throws(BlobFailure) in try await upload.finish(as: key) } == .notFound)
        let late = await failureCode { () throws(BlobFailure) in try await upload.write(offset: 0, [1]) }
        #expect(late == .notFound)
    }

    /// Others write as well: an upload that had room when it began is stopped at a checkpoint, not by a full disk.
    @Test func roomIsLookedAtAtEachCheckpoint() async throws {
        let bytes = [UInt8](repeating: 7, count: 3000)
        let roomy = try await open()
        try await roomy.beginUpload("u", bytes: 3000).write(offset: 0, Array(bytes[..<500]))
        roomy.close()
        var settings = BlobStoreSettings()
        (settings.uploadCheckpointBytes, settings.minimumFreeBytes) = (1000, .max - 5000)
        let narrow = try await DirectoryBlobStore.open(workshop.path + "/store", settings: settings)
        let upload = try #require(narrow.openUploads().first)
        let start = Int(upload.offset)
        try await upload.write(offset: upload.offset, Array(bytes[start..<(start + 400)]))
        let code = await failureCode { () throws(BlobFailure) in
            try await upload.write(offset: upload.offset, [UInt8](repeating: 7, count: 1000))
        }
        #expect(code == .full)
    }

    @Test func anEmptyUploadBecomesAnEmptyBlob() async throws {
        let store = try await open()
        try await store.beginUpload("u", bytes: 0, digest: sha256([])).finish(as: .content(sha256([])))
        #expect(try await store.information(.content(sha256([])))?.bytes == 0)
    }

    @Test func partsMayBeSentAgainButLeaveNoGap() async throws {
        let store = try await open()
        let bytes = [UInt8](0..<100)
        let upload = try await store.beginUpload("u", bytes: 100, digest: sha256(bytes))
        #expect(try await upload.write(offset: 0, Array(bytes[..<50])) == 50)
        #expect(try await upload.write(offset: 10, Array(bytes[10..<40])) == 50)
        #expect(try await upload.write(offset: 30, Array(bytes[30..<70])) == 70)
        #expect(try await upload.write(offset: 70, []) == 70)
        func code(_ offset: UInt64, _ count: Int) async -> BlobFailure.Code? {
            await failureCode { () throws(BlobFailure) in
                try await upload.write(offset: offset, [UInt8](repeating: 0, count: count))
            }
        }
        #expect(await code(71, 1) == .mismatch)
        #expect(await code(70, 31) == .tooLarge)
        #expect(await code(.max, 1) == .tooLarge)
        #expect(upload.offset == 70)
        try await upload.write(offset: 70, Array(bytes[70...]))
        try await upload.finish(as: .named("a"))
        #expect(try await store.readAll(.named("a")) == bytes)
    }

    @Test func wrongBytesAreDropped() async throws {
        let store = try await open()
        for (digest, key) in [(sha256([1]), BlobKey.named("a")), (nil, .content(sha256([1])))] {
            let upload = try await store.beginUpload("u", bytes: 1, digest: digest)
            try await upload.write(offset: 0, [2])
            #expect(await failureCode { () throws(BlobFailure) in try await upload.finish(as: key) } == .mismatch)
            #expect(try await store.information(key) == nil)
            #expect(workshop.files("store/uploads") == [])
        }
    }

    @Test func aTakenNameLeavesTheUpload() async throws {
        let store = try await open()
        try await store.put(.named("a"), [1])
        let upload = try await store.beginUpload("u", bytes: 1)
        try await upload.write(offset: 0, [2])
        #expect(await failureCode { () throws(BlobFailure) in try await upload.finish(as: .named("a")) } == .exists)
        try await upload.finish(as: .named("b"))
        #expect(try await store.readAll(.named("a")) == [1])
        #expect(try await store.readAll(.named("b")) == [2])
    }

    @Test func beginningAgainGoesOn() async throws {
        let store = try await open()
        let first = try await store.beginUpload("u", bytes: 5)
        try await first.write(offset: 0, [1, 2])
        #expect(try await store.beginUpload("u", bytes: 5).offset == 2)
        for (bytes, digest): (UInt64, Digest?) in [(6, nil), (5, sha256([1]))] {
            let code = await failureCode { () throws(BlobFailure) in
                _ = try await store.beginUpload("u", bytes: bytes, digest: digest)
            }
            #expect(code == .exists)
        }
        try await first.abandon()
        #expect(try await store.beginUpload("u", bytes: 6).offset == 0)
        for name in ["", ".", "..", "../u", "a/b", ".u", "u\0"] {
            let code = await failureCode { () throws(BlobFailure) in _ = try await store.beginUpload(name, bytes: 1) }
            #expect(code == .badKey, "\(name)")
        }
    }

    /// Cuts an upload off at random places by copying the store as kill -9 leaves it; then, as loss of power may, drops
    /// or garbles what was not flushed. It always goes on from a place at or before what was sent, and ends right.
    @Test func anUploadGoesOnAfterACrash() async throws {
        let seed = propertySeed("anUploadGoesOnAfterACrash")
        var generator = SeededGenerator(seed: seed)
        let bytes = generator.noise(20_000)
        for round in 0..<25 {
            let store = try await open(checkpoint: 3000, "store-\(round)")
            let upload = try await store.beginUpload("u", bytes: 20_000, digest: sha256(bytes))
            let sent = Int.random(in: 0...20_000, using: &generator)
            try await send(bytes, to: upload, upTo: sent, by: Int.random(in: 1000...2500, using: &generator))
            let promised = Bool.random(using: &generator) ? try await upload.checkpoint() : 0
            let image = "\(workshop.path)/image-\(round)"
            try FileManager.default.copyItem(atPath: store.directory, toPath: image)
            try tear(image + "/uploads/u", keeping: promised, &generator)
            let copy = try await open(checkpoint: 3000, "image-\(round)")
            let resumed = try await copy.beginUpload("u", bytes: 20_000, digest: sha256(bytes))
            #expect(resumed.offset >= promised && resumed.offset <= sent, "seed \(seed), round \(round)")
            // What was torn must not garble the checkpoints after it: a second crash.
            try await send(bytes, to: resumed, upTo: min(20_000, Int(resumed.offset) + 1500))
            let second = try await resumed.checkpoint()
            copy.close()
            let reopened = try await open(checkpoint: 3000, "image-\(round)")
            let last = try await reopened.beginUpload("u", bytes: 20_000, digest: sha256(bytes))
            #expect(last.offset == second, "seed \(seed), round \(round)")
            try await send(bytes, to: last, upTo: 20_000, by: 2500)
            try await last.finish(as: .content(sha256(bytes)))
            let isSame = try await reopened.readAll(.content(sha256(bytes))) == bytes
            #expect(isSame, "seed \(seed), round \(round)")
        }
    }

    /// What a disk may do to bytes after the last flush: the data's are anything, a line of progress is torn.
    private func tear(_ directory: String, keeping promised: UInt64, _ generator: inout SeededGenerator) throws {
        let data = URL(fileURLWithPath: directory + "/data"), progress = URL(fileURLWithPath: directory + "/progress")
        let record = try #require(
            UploadRecord(try Data(contentsOf: progress), dataBytes: UInt64(try Data(contentsOf: data).count)))
        #expect(record.offset >= promised)
        var content = try Data(contentsOf: data)
        for index in Int(record.offset)..<max(Int(record.offset), content.count) { content[index] = 0 }
        try content.write(to: data)
        var lines = try Data(contentsOf: progress)
        let tails = ["", "1", "19999", "\0\0\0\0", "999999\n", "-1\n", "x\n5\n", "\n"]
        lines += Data((tails.randomElement(using: &generator) ?? "").utf8)
        try lines.write(to: progress)
    }

    @Test func aCrashBetweenLinkAndRemovalIsFinishedAgain() async throws {
        let dead = try await open()
        let begun = try await dead.beginUpload("u", bytes: 3)
        try await begun.write(offset: 0, [1, 2, 3])
        try await begun.checkpoint()
        dead.close()
        let place = workshop.path + "/store/named/.blobs"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try FileManager.default.linkItem(atPath: workshop.path + "/store/uploads/u/data", toPath: place + "/a")
        let store = try await open()
        let upload = try #require(store.openUploads().first)
        #expect(upload.offset == 3)
        try await upload.finish(as: .named("a"))
        #expect(try await store.readAll(.named("a")) == [1, 2, 3])
    }

    @Test func progressFilesAreReadStrictly() throws {
        func record(_ text: String, data: UInt64 = 100) -> UploadRecord? {
            UploadRecord(Data(text.utf8), dataBytes: data)
        }
        for text in ["", "\n", "upload-1 5 -", "upload-2 5 -\n", "upload-1 5\n", "upload-1 -5 -\n", "upload-1 5 xyz\n"]
        {
            #expect(record(text) == nil, "\(text)")
        }
        #expect(record("upload-1 50 -\n")?.offset == 0)
        #expect(record("upload-1 50 -\n10\n20\n")?.offset == 20)
        #expect(record("upload-1 50 -\n10\n20")?.offset == 10)
        #expect(record("upload-1 50 -\n10\n20")?.goodBytes == 17)
        #expect(record("upload-1 50 -\n10\n9\n30\n")?.offset == 10)
        #expect(record("upload-1 50 -\n10\n51\n")?.offset == 10)
        #expect(record("upload-1 50 -\n10\n20\n", data: 15)?.offset == 10)
    }
}
