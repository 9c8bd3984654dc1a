internal import Crypto
package import Domain
internal import Foundation
package import Ports
internal import Synchronization

/// A blob that comes in parts, over many requests and restarts.
///
/// Its bytes stand in `uploads/NAME/data`; `uploads/NAME/progress` has a header and one line a checkpoint, the offset
/// up to which the data is flushed. After a crash it goes on from the last checkpoint.
package final class ResumableUpload: Sendable {
    package let name: String
    package let bytes: UInt64
    /// What the whole must hash to; nil leaves it to the key or to the caller.
    package let digest: Domain.Digest?
    private let store: StoreReference
    private let directory: String
    private let state: Mutex<State>

    private struct State {
        /// Bytes taken. Invariant: `durable <= received <= bytes`.
        var received: UInt64 = 0
        var durable: UInt64 = 0
        /// Over the bytes received; nil when not all of them passed through this process.
        var hasher: SHA256?
        var isOver = false
    }

    private var dataPath: String { directory + "/data" }
    private var progressPath: String { directory + "/progress" }

    fileprivate init(
        name: String, bytes: UInt64, digest: Domain.Digest?, durable: UInt64, store: DirectoryBlobStore
    ) {
        (self.name, self.bytes, self.digest, self.store) = (name, bytes, digest, StoreReference(store))
        directory = store.path(["uploads", name])
        let hasher = durable == 0 && digest != nil ? SHA256() : nil
        state = Mutex(State(received: durable, durable: durable, hasher: hasher))
    }

    /// Where the next part starts. Not all before it need survive a crash; see `checkpoint`.
    package var offset: UInt64 { state.withLock(\.received) }

    /// Takes the bytes at an offset and returns where the next ones start. Bytes that are there already are passed
    /// over, so a part may be sent again; a part that would leave a gap is `mismatch`. Parts of 256 KiB or more are
    /// cheap.
    @discardableResult
    package func write(offset: UInt64, _ chunk: [UInt8]) async throws(BlobFailure) -> UInt64 {
        try await onFile { (state, store) throws(BlobFailure) in
            let (end, overflow) = offset.addingReportingOverflow(UInt64(chunk.count))
            guard !overflow, end <= self.bytes else {
                throw BlobFailure(.tooLarge, "the upload \(self.name) was announced with \(self.bytes) bytes only")
            }
            guard offset <= state.received else {
                throw BlobFailure(.mismatch, "the upload \(self.name) goes on at \(state.received), not at \(offset)")
            }
            guard end > state.received else { return state.received }
            try self.append(Array(chunk.dropFirst(Int(state.received - offset))), &state, store)
            return state.received
        }
    }

    private func append(_ part: [UInt8], _ state: inout State, _ store: DirectoryBlobStore) throws(BlobFailure) {
        let start = state.received
        do throws(BlobFailure) {
            try StoreFiles.with(dataPath, forWriting: true) { handle in
                try handle.seek(toOffset: start)
                try handle.write(contentsOf: Data(part))
            }
        } catch {
            throw error.code == .full ? store.full("the upload \(name)", bytes: bytes - start) : error
        }
        state.hasher?.update(data: part)
        state.received += UInt64(part.count)
        guard state.received - state.durable >= store.settings.uploadCheckpointBytes else { return }
        try flush(&state)
        // Others write as well: what had room at the beginning may have none now.
        try store.checkRoom("the upload \(name)", bytes: bytes - state.received)
    }

    /// Flushes what was taken, and returns the offset that a crash cannot take back: what a client may be told.
    @discardableResult
    package func checkpoint() async throws(BlobFailure) -> UInt64 {
        try await onFile { (state, _) throws(BlobFailure) in
            try self.flush(&state)
            return state.durable
        }
    }

    private func flush(_ state: inout State) throws(BlobFailure) {
        guard state.durable < state.received else { return }
        try StoreFiles.synchronize(dataPath)
        let line = Data("\(state.received)\n".utf8)
        try StoreFiles.with(progressPath, forWriting: true) { handle in
            try handle.seekToEnd()
            try handle.write(contentsOf: line)
            try handle.synchronize()
        }
        state.durable = state.received
    }

    /// Reads what has come so far, for those who fetch a build that still grows.
    package func read(offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        let end = self.offset
        guard offset < end else { return [] }
        let store = try store.value()
        return try await store.read(
            path: dataPath, name: "of the upload \(name)", offset: offset,
            count: Int(min(UInt64(max(0, count)), end - offset)))
    }

    /// Verifies the whole, gives it its key durably, and ends the upload. Where the digest is wrong the bytes are
    /// dropped, for they cannot become right; after any other failure `finish` can be called again.
    package func finish(as key: BlobKey) async throws(BlobFailure) {
        _ = try key.place()
        try await onFile { (state, store) throws(BlobFailure) in
            guard state.received == self.bytes else {
                throw BlobFailure(
                    .mismatch, "the upload \(self.name) has \(state.received) of \(self.bytes) bytes; send the rest")
            }
            try self.flush(&state)
            do throws(BlobFailure) { try self.verify(key, state) } catch {
                if error.code == .mismatch { try self.drop(&state, store) }
                throw error
            }
            try store.publish(self.dataPath, as: key)
            try self.drop(&state, store)
        }
    }

    private func verify(_ key: BlobKey, _ state: State) throws(BlobFailure) {
        var expected = digest.map { [$0] } ?? []
        if case .content(let own) = key { expected.append(own) }
        guard !expected.isEmpty else { return }
        let actual =
            if let hasher = state.hasher { storedDigest(hasher.finalize()) } else { try StoreFiles.digest(dataPath) }
        guard expected.allSatisfy({ $0 == actual }) else {
            throw BlobFailure(
                .mismatch, "the upload \(name) has the digest \(actual.hex), not the expected one; send it again")
        }
    }

    /// Ends the upload and drops what came.
    package func abandon() async throws(BlobFailure) {
        try await onFile { (state, store) throws(BlobFailure) in try self.drop(&state, store) }
    }

    private func drop(_ state: inout State, _ store: DirectoryBlobStore) throws(BlobFailure) {
        try StoreFiles.remove(directory)
        try StoreFiles.synchronizeDirectory(store.path(["uploads"]))
        state.isOver = true
        store.uploads.withLock { $0[name] = nil }
    }

    /// Runs `body` on a file thread, alone.
    private func onFile<Value: Sendable>(
        _ body: @escaping @Sendable (inout State, DirectoryBlobStore) throws(BlobFailure) -> Value
    ) async throws(BlobFailure) -> Value {
        let store = try store.value()
        return try await store.threads.run { () throws(BlobFailure) in
            let result = self.state.withLock { state in
                Result { () throws(BlobFailure) in
                    guard !state.isOver else {
                        throw BlobFailure(.notFound, "the upload \(self.name) is over; begin it again")
                    }
                    return try body(&state, store)
                }
            }
            return try result.get()
        }
    }
}

/// The store holds its uploads, so they hold it weakly.
private final class StoreReference: Sendable {
    private weak let store: DirectoryBlobStore?

    init(_ store: DirectoryBlobStore) { self.store = store }

    func value() throws(BlobFailure) -> DirectoryBlobStore {
        guard let store else { throw BlobFailure(.io, "the store of this upload is closed") }
        return store
    }
}

extension DirectoryBlobStore {
    /// Begins an upload, or goes on with the one of this name; one of another size or digest is `exists`.
    /// The name follows the rules of one part of a blob's name.
    package func beginUpload(
        _ name: String, bytes: UInt64, digest: Domain.Digest? = nil
    ) async throws(BlobFailure) -> ResumableUpload {
        try checkWritable()
        guard isNamePart(name) else {
            throw BlobFailure(.badKey, "an upload's name is 1 to 255 of A-Z a-z 0-9 . _ -, not starting with a dot")
        }
        return try await threads.run { () throws(BlobFailure) in
            let result = self.uploads.withLock { uploads in
                Result { () throws(BlobFailure) in
                    if let upload = uploads[name] { return try upload.checkSame(bytes: bytes, digest: digest) }
                    guard uploads.count < self.settings.maximumUploads else {
                        throw BlobFailure(.full, "\(uploads.count) uploads are open; finish or abandon some")
                    }
                    try self.checkRoom("the upload \(name)", bytes: bytes)
                    let upload = try ResumableUpload.create(name, bytes: bytes, digest: digest, store: self)
                    uploads[name] = upload
                    return upload
                }
            }
            return try result.get()
        }
    }

    /// The uploads that are neither finished nor abandoned, by name.
    package func openUploads() -> [ResumableUpload] {
        uploads.withLock { $0.values.sorted { $0.name < $1.name } }
    }

    /// Takes up the uploads of the process before this one.
    func reopenUploads() throws(BlobFailure) {
        for name in try StoreFiles.names(in: path(["uploads"])).sorted() {
            if isNamePart(name), let upload = try ResumableUpload.reopen(name, store: self) {
                uploads.withLock { $0[name] = upload }
            } else {
                // It was never begun: the crash came before its header was durable.
                try StoreFiles.remove(path(["uploads", name]))
            }
        }
    }
}

extension ResumableUpload {
    fileprivate func checkSame(bytes: UInt64, digest: Domain.Digest?) throws(BlobFailure) -> ResumableUpload {
        guard self.bytes == bytes, self.digest == digest else {
            throw BlobFailure(.exists, "the upload \(name) was begun with another size or digest; abandon it first")
        }
        return self
    }

    fileprivate static func create(
        _ name: String, bytes: UInt64, digest: Domain.Digest?, store: DirectoryBlobStore
    ) throws(BlobFailure) -> ResumableUpload {
        let upload = ResumableUpload(name: name, bytes: bytes, digest: digest, durable: 0, store: store)
        try StoreFiles.remove(upload.directory)
        try StoreFiles.makeDirectory(upload.directory)
        try StoreFiles.create(upload.dataPath)
        try StoreFiles.create(upload.progressPath)
        try StoreFiles.with(upload.progressPath, forWriting: true) { handle in
            try handle.write(contentsOf: Data("upload-1 \(bytes) \(digest?.hex ?? "-")\n".utf8))
            try handle.synchronize()
        }
        try StoreFiles.synchronizeDirectory(upload.directory)
        try StoreFiles.synchronizeDirectory(store.path(["uploads"]))
        return upload
    }

    /// Nil when its header is not whole. What follows the last good line, and data after its offset, is cut off.
    fileprivate static func reopen(_ name: String, store: DirectoryBlobStore) throws(BlobFailure) -> ResumableUpload? {
        let directory = store.path(["uploads", name])
        guard let size = try StoreFiles.size(directory + "/data"),
            try StoreFiles.size(directory + "/progress") != nil
        else { return nil }
        let progress = try StoreFiles.with(directory + "/progress") { try $0.readToEnd() ?? Data() }
        guard let record = UploadRecord(progress, dataBytes: size) else { return nil }
        try StoreFiles.with(directory + "/progress", forWriting: true) { try $0.truncate(atOffset: record.goodBytes) }
        try StoreFiles.with(directory + "/data", forWriting: true) { try $0.truncate(atOffset: record.offset) }
        return ResumableUpload(
            name: name, bytes: record.bytes, digest: record.digest, durable: record.offset, store: store)
    }
}

/// What a `progress` file says. Lines that a crash tore are passed over.
struct UploadRecord: Equatable {
    var bytes: UInt64
    var digest: Domain.Digest?
    /// The last checkpoint.
    var offset: UInt64 = 0
    /// Bytes of the file up to the end of its last good line.
    var goodBytes: UInt64

    init?(_ file: Data, dataBytes: UInt64) {
        var lines = file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        // What follows the last newline is no line.
        guard lines.popLast() != nil, let header = lines.first else { return nil }
        let words = String(decoding: header, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[0] == "upload-1", let bytes = plainDecimal(words[1]) else { return nil }
        digest = Domain.Digest(hex: words[2])
        guard digest != nil || words[2] == "-" else { return nil }
        (self.bytes, goodBytes) = (bytes, UInt64(header.count + 1))
        for line in lines.dropFirst() {
            guard let next = plainDecimal(String(decoding: line, as: UTF8.self)), next > offset,
                next <= min(bytes, dataBytes)
            else { return }
            offset = next
            goodBytes += UInt64(line.count + 1)
        }
    }
}
