internal import Crypto
internal import Domain
internal import Foundation
package import Ports
internal import Synchronization

extension DirectoryBlobStore {
    package func put(
        _ key: BlobKey, bytes: UInt64, from chunks: any AsyncSequence<[UInt8], any Error> & Sendable
    ) async throws(BlobFailure) {
        try checkWritable()
        _ = try key.place()
        let path = temporaryPath()
        let file = try await threads.run { () throws(BlobFailure) in
            try self.checkRoom(key.text, bytes: bytes)
            return try TemporaryFile(path, isHashed: key.isContent)
        }
        do throws(BlobFailure) {
            try await receive(chunks, bytes: bytes, of: key, into: file)
            try await threads.run { () throws(BlobFailure) in
                let digest = try file.finish()
                if case .content(let expected) = key, digest != expected {
                    throw BlobFailure(.mismatch, "the bytes put as \(key.text) have another digest; send them again")
                }
                try self.publish(path, as: key)
            }
        } catch {
            try? await threads.run { () throws(BlobFailure) in try file.discard() }
            throw error.code == .full ? full(key.text, bytes: bytes) : error
        }
        // The blob is durable: a temporary that cannot be removed now is swept at the next start.
        try? await threads.run { () throws(BlobFailure) in try file.discard() }
    }

    /// Writes the chunks in larger steps, and counts.
    private func receive(
        _ chunks: any AsyncSequence<[UInt8], any Error> & Sendable, bytes: UInt64, of key: BlobKey,
        into file: TemporaryFile
    ) async throws(BlobFailure) {
        var (gathered, count) = ([UInt8](), UInt64(0))
        do {
            for try await chunk in chunks {
                count += UInt64(chunk.count)
                guard count <= bytes else { break }
                gathered += chunk
                guard gathered.count >= settings.writeBytes else { continue }
                try await flush(&gathered, into: file)
            }
        } catch let failure as BlobFailure { throw failure } catch {
            throw BlobFailure(.io, "the source of \(key.text) broke off after \(count) bytes: \(error); send it again")
        }
        guard count == bytes else {
            throw BlobFailure(
                .mismatch, "\(key.text) was announced with \(bytes) bytes, \(count) or more came; send it again")
        }
        try await flush(&gathered, into: file)
    }

    private func flush(_ gathered: inout [UInt8], into file: TemporaryFile) async throws(BlobFailure) {
        let part = gathered
        gathered.removeAll(keepingCapacity: false)
        try await threads.run { () throws(BlobFailure) in try file.append(part) }
    }
}

extension BlobKey {
    var isContent: Bool {
        switch self {
        case .content: true
        case .named: false
        }
    }
}

/// A file that is being written, hashed on the way where its key needs it. One caller at a time; its thread may change.
final class TemporaryFile: Sendable {
    private struct State {
        var handle: FileHandle
        var hasher: SHA256?
    }

    private let path: String
    private let state: Mutex<State>

    init(_ path: String, isHashed: Bool) throws(BlobFailure) {
        self.path = path
        try StoreFiles.create(path)
        state = Mutex(State(handle: try StoreFiles.open(path, forWriting: true), hasher: isHashed ? SHA256() : nil))
    }

    func append(_ bytes: [UInt8]) throws(BlobFailure) {
        let result = state.withLock { state in
            Result { () throws(BlobFailure) in
                state.hasher?.update(data: bytes)
                try StoreFiles.attempt("write", path) { try state.handle.write(contentsOf: Data(bytes)) }
            }
        }
        try result.get()
    }

    /// Flushes and closes; returns the digest where the file is hashed.
    func finish() throws(BlobFailure) -> Domain.Digest? {
        let result = state.withLock { state in
            Result { () throws(BlobFailure) in
                try StoreFiles.attempt("flush", path) {
                    try state.handle.synchronize()
                    try state.handle.close()
                }
                return state.hasher.map { storedDigest($0.finalize()) }
            }
        }
        return try result.get()
    }

    func discard() throws(BlobFailure) {
        state.withLock { try? $0.handle.close() }
        try StoreFiles.remove(path)
    }
}
