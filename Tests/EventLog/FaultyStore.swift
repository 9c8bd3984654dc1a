import Codec
import Domain
import EventLog
import Ports
import Synchronization

/// A blob store in memory that fails when it is told to, as a disk does or a process that is killed.
final class FaultyStore: BlobStore {
    struct State {
        var blobs: [BlobKey: [UInt8]] = [:]
        /// Writes that still succeed; nil for all.
        var writesLeft: Int?
        var failure = BlobFailure(.full, "no space left")
        /// The write that fails is stored all the same: its answer is lost.
        var losesAnswers = false
        /// Reads of names that contain it fail.
        var unreadable: String?
        /// Named blobs that were put.
        var puts: [String] = []
    }

    let state = Mutex(State())

    /// Every named object, in order.
    var names: [String] {
        state.withLock { state in
            state.blobs.keys.compactMap { if case .named(let name) = $0 { name } else { nil } }.sorted()
        }
    }

    /// Of a named object; nil when there is none.
    func bytes(_ name: String) -> [UInt8]? { state.withLock { $0.blobs[.named(name)] } }

    func fail(after writes: Int?, losingAnswers: Bool = false) {
        state.withLock { ($0.writesLeft, $0.losesAnswers) = (writes, losingAnswers) }
    }

    func change(_ name: String, _ body: (inout [UInt8]?) -> Void) {
        state.withLock { state in
            var bytes = state.blobs[.named(name)]
            body(&bytes)
            state.blobs[.named(name)] = bytes
        }
    }

    func information(_ key: BlobKey) async throws(BlobFailure) -> BlobInformation? {
        state.withLock { $0.blobs[key].map { BlobInformation(key: key, bytes: UInt64($0.count)) } }
    }

    func put(
        _ key: BlobKey, bytes: UInt64, from chunks: any AsyncSequence<[UInt8], any Error> & Sendable
    ) async throws(BlobFailure) {
        var content: [UInt8] = []
        do { for try await chunk in chunks { content += chunk } } catch { throw BlobFailure(.io, "\(error)") }
        if case .content(let digest) = key, StateCodec.hash(content) != digest {
            throw BlobFailure(.mismatch, "another digest")
        }
        let failure = state.withLock { state -> BlobFailure? in
            let isLast = state.writesLeft == 0
            if let left = state.writesLeft, left > 0 { state.writesLeft = left - 1 }
            if isLast, !state.losesAnswers { return state.failure }
            if let there = state.blobs[key], there != content { return BlobFailure(.exists, "there is another") }
            state.blobs[key] = content
            if case .named(let name) = key { state.puts.append(name) }
            return isLast ? state.failure : nil
        }
        if let failure { throw failure }
    }

    func read(_ key: BlobKey, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        let (found, unreadable) = state.withLock { ($0.blobs[key], $0.unreadable) }
        if let unreadable, case .named(let name) = key, name.contains(unreadable) {
            throw BlobFailure(.io, "input/output error")
        }
        guard let bytes = found else { throw BlobFailure(.notFound, "none") }
        return Array(bytes.dropFirst(Int(clamping: offset)).prefix(count))
    }

    func delete(_ key: BlobKey) async throws(BlobFailure) {
        let isDown = state.withLock { state in
            if state.writesLeft != 0 { state.blobs[key] = nil }
            return state.writesLeft == 0
        }
        if isDown { throw BlobFailure(.io, "down") }
    }

    func list(prefix: String, after: String?, limit: Int) async throws(BlobFailure) -> [BlobInformation] {
        let found = names.filter { $0.hasPrefix(prefix) && $0 > after ?? "" }.prefix(limit)
        return state.withLock { state in
            found.map { BlobInformation(key: .named($0), bytes: UInt64(state.blobs[.named($0)]?.count ?? 0)) }
        }
    }
}
