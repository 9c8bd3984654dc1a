import Blobs
import Domain
import Foundation
import Glibc
import Ports
import Testing

struct DirectoryBlobStoreTests {
    /// Held by the suite, so that it outlives every use of its path.
    private let workshop: Workshop

    init() throws { workshop = try Workshop() }

    private func open(
        _ settings: BlobStoreSettings = BlobStoreSettings()
    ) async throws -> DirectoryBlobStore {
        try await DirectoryBlobStore.open(workshop.path + "/store", settings: settings)
    }

    @Test(arguments: BlobStoreContract.allCases) func keepsTheContract(_ part: BlobStoreContract) async throws {
        var settings = BlobStoreSettings()
        settings.writeBytes = 5000
        let store = try await open(settings)
        try await part.check(store)
        #expect(workshop.files("store/temporary") == [])
    }

    @Test func blobsOutliveTheProcess() async throws {
        let key = BlobKey.content(sha256([1, 2, 3]))
        do {
            let store = try await open()
            try await store.put(key, [1, 2, 3])
            try await store.put(.named("a/b"), [4])
            store.close()
            #expect(await failureCode { () throws(BlobFailure) in try await store.put(.named("c"), [1]) } == .io)
        }
        let store = try await open()
        #expect(try await store.readAll(key) == [1, 2, 3])
        #expect(try await store.readAll(.named("a/b")) == [4])
    }

    @Test func aStoreHasOneOwnerAndAnyReaders() async throws {
        let store = try await open()
        try await store.put(.named("a"), [1])
        let second = await failureCode { () throws(BlobFailure) in
            _ = try await DirectoryBlobStore.open(workshop.path + "/store")
        }
        #expect(second == .io)
        let reader = try await DirectoryBlobStore.open(workshop.path + "/store", readOnly: true)
        #expect(try await reader.readAll(.named("a")) == [1])
        #expect(await failureCode { () throws(BlobFailure) in try await reader.put(.named("b"), [1]) } == .io)
        #expect(await failureCode { () throws(BlobFailure) in try await reader.delete(.named("a")) } == .io)
        let upload = await failureCode { () throws(BlobFailure) in _ = try await reader.beginUpload("u", bytes: 1) }
        #expect(upload == .io)
        try await store.put(.named("b"), [2])
        #expect(try await reader.readAll(.named("b")) == [2])
    }

    @Test func leftoversOfTheDeadAreSweptAtOpen() async throws {
        let dead = try await open()
        try await dead.put(.named("a"), [1])
        dead.close()
        let leftovers = ["store/temporary/77-1", "store/temporary/directory/file", "store/uploads/half/data"]
        for leftover in leftovers {
            let url = URL(fileURLWithPath: workshop.path + "/" + leftover)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data([1, 2]).write(to: url)
        }
        let store = try await open()
        #expect(workshop.files("store/temporary") == [])
        #expect(workshop.files("store/uploads") == [])
        #expect(try await store.readAll(.named("a")) == [1])
    }

    /// Copies the store between any two chunks, as kill -9 would leave it, and opens the copy.
    @Test func aKilledWriterLeavesNothingHalf() async throws {
        var settings = BlobStoreSettings()
        settings.writeBytes = 1
        let store = try await open(settings)
        try await store.put(.named("old"), [9])
        let bytes = [UInt8](0..<100)
        let key = BlobKey.content(sha256(bytes))
        let images = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        // Chunks are asked for one by one: each image is taken when all before it is written.
        let source = Snapshots(chunks: bytes.map { [$0] }) { index in
            guard index.isMultiple(of: 20) else { return }
            try FileManager.default.copyItem(
                atPath: workshop.path + "/store", toPath: workshop.path + "/image-\(index)")
            images.continuation.yield([UInt8(index)])
        }
        try await store.put(key, bytes: 100, from: source)
        try FileManager.default.copyItem(atPath: workshop.path + "/store", toPath: workshop.path + "/image-200")
        images.continuation.finish()
        var count = 0
        for try await image in images.stream {
            let name = "image-\(image[0])"
            #expect(workshop.files("\(name)/temporary").count == 1)
            let copy = try await DirectoryBlobStore.open(workshop.path + "/" + name)
            #expect(workshop.files("\(name)/temporary") == [])
            #expect(try await copy.information(key) == nil)
            #expect(try await copy.readAll(.named("old")) == [9])
            try await copy.put(key, bytes)
            #expect(try await copy.readAll(key) == bytes)
            count += 1
        }
        #expect(count == 6)
        let last = try await DirectoryBlobStore.open(workshop.path + "/image-200")
        #expect(try await last.readAll(key) == bytes)
    }

    @Test func limitsAreKept() async throws {
        var settings = BlobStoreSettings()
        (settings.maximumBlobBytes, settings.maximumReadBytes, settings.maximumUploads) = (10, 5, 1)
        let store = try await open(settings)
        let eleven = [UInt8](repeating: 1, count: 11)
        #expect(await failureCode { () throws(BlobFailure) in try await store.put(.named("a"), eleven) } == .tooLarge)
        try await store.put(.named("a"), [UInt8](repeating: 1, count: 10))
        let read = await failureCode { () throws(BlobFailure) in
            _ = try await store.read(.named("a"), offset: 0, count: 6)
        }
        #expect(read == .tooLarge)
        let large = await failureCode { () throws(BlobFailure) in _ = try await store.beginUpload("u", bytes: 11) }
        #expect(large == .tooLarge)
        _ = try await store.beginUpload("u", bytes: 10)
        #expect(await failureCode { () throws(BlobFailure) in _ = try await store.beginUpload("v", bytes: 1) } == .full)
    }

    @Test func aBlobThatWouldFillTheDiskIsRefusedBeforeItIsSent() async throws {
        var settings = BlobStoreSettings()
        settings.minimumFreeBytes = .max - 100
        let store = try await open(settings)
        do {
            try await store.put(.named("a"), [UInt8](repeating: 1, count: 90))
            Issue.record("the disk has no 16 EiB")
        } catch {
            #expect(error.code == .full)
            #expect(error.message.contains("a needs 90 bytes"))
        }
        let capacity = try await store.capacity()
        #expect(capacity.totalBytes >= capacity.freeBytes && capacity.freeBytes > 0)
    }

    /// A disk that fills up while a blob comes. It needs a small file system of its own, which only root can mount.
    @Test func aDiskThatFillsUpLeavesNothing() async throws {
        let mount = workshop.path + "/small"
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
        guard geteuid() == 0, try run("/bin/mount", ["-t", "tmpfs", "-o", "size=4m", "drover", mount]) == 0 else {
            return print("aDiskThatFillsUpLeavesNothing: skipped, no file system can be mounted here")
        }
        defer { _ = try? run("/bin/umount", ["-l", mount]) }
        var settings = BlobStoreSettings()
        (settings.minimumFreeBytes, settings.writeBytes) = (0, 1000)
        let store = try await DirectoryBlobStore.open(mount + "/store", settings: settings)
        let chunk = [UInt8](repeating: 1, count: 100_000)
        let source = Snapshots(chunks: [[UInt8]](repeating: chunk, count: 20)) { index in
            if index == 10 { try Data(count: 2_500_000).write(to: URL(fileURLWithPath: mount + "/filler")) }
        }
        do {
            try await store.put(.named("a"), bytes: 2_000_000, from: source)
            Issue.record("4 MiB held more than they can")
        } catch {
            #expect(error.code == .full)
            #expect(error.message.contains("a needs 2000000 bytes"))
        }
        #expect(workshop.files("small/store/temporary") == [])
        #expect(try await store.information(.named("a")) == nil)

        let upload = try await store.beginUpload("u", bytes: 1_400_000)
        var code: BlobFailure.Code?
        while code == nil, upload.offset < 1_400_000 {
            code = await failureCode { () throws(BlobFailure) in try await upload.write(offset: upload.offset, chunk) }
        }
        #expect(code == nil || code == .full)
        try FileManager.default.removeItem(atPath: mount + "/filler")
        while upload.offset < 1_400_000 { try await upload.write(offset: upload.offset, chunk) }
        try await upload.finish(as: .named("a"))
        #expect(try await store.readAll(.named("a")) == [UInt8](repeating: 1, count: 1_400_000))
    }

    @Test func damageIsFoundByVerification() async throws {
        let store = try await open()
        let bytes = [UInt8](repeating: 7, count: 3_000_000)
        let key = BlobKey.content(sha256(bytes))
        try await store.put(key, bytes)
        try await store.put(.named("a"), [1])
        #expect(try await store.verify(key) == sha256(bytes))
        #expect(try await store.verify(.named("a")) == sha256([1]))
        let missing = await failureCode { () throws(BlobFailure) in _ = try await store.verify(.named("none")) }
        #expect(missing == .notFound)
        let path = try #require(try await store.localPath(key))
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.seek(toOffset: 1_500_000)
        try file.write(contentsOf: Data([8]))
        try file.close()
        #expect(await failureCode { () throws(BlobFailure) in _ = try await store.verify(key) } == .mismatch)
        #expect(await failureCode { () throws(BlobFailure) in try await store.put(key, bytes) } == .mismatch)
        try await store.delete(key)
        try await store.put(key, bytes)
        #expect(try await store.verify(key) == sha256(bytes))
    }

    @Test func aServerMaySendTheFileItself() async throws {
        let store = try await open()
        #expect(try await store.localPath(.named("a")) == nil)
        try await store.put(.named("a"), [1, 2])
        let path = try #require(try await store.localPath(.named("a")))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2]))
    }

    @Test func deletionLeavesNoDirectories() async throws {
        let store = try await open()
        for number in 0..<5 { try await store.put(.named("logs/1/1/\(number)"), [1]) }
        try await store.put(.content(sha256([1])), [1])
        for number in 0..<5 { try await store.delete(.named("logs/1/1/\(number)")) }
        try await store.delete(.content(sha256([1])))
        for name in ["named", "content"] {
            #expect(try FileManager.default.subpathsOfDirectory(atPath: workshop.path + "/store/" + name) == [])
        }
    }

    /// Directories come and go under the writers' feet.
    @Test func writersAndDeletersDoNotDisturbEachOther() async throws {
        let store = try await open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<6 {
                group.addTask {
                    for round in 0..<15 {
                        let key = BlobKey.named("shared/deep/\(writer)")
                        try await store.put(key, [UInt8(round)])
                        #expect(try await store.readAll(key) == [UInt8(round)])
                        try await store.delete(key)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.list(prefix: "", after: nil, limit: 10) == [])
    }

    private func run(_ tool: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// Chunks that are made when they are asked for; `before` runs first, with the chunk's index.
struct Snapshots: AsyncSequence, Sendable {
    let chunks: [[UInt8]]
    let before: @Sendable (Int) throws -> Void

    struct Iterator: AsyncIteratorProtocol {
        var rest: ArraySlice<[UInt8]>
        let before: @Sendable (Int) throws -> Void

        mutating func next() async throws -> [UInt8]? {
            try before(rest.startIndex)
            return rest.popFirst()
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(rest: chunks[...], before: before) }
}
