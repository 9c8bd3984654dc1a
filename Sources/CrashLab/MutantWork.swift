import Blobs
import Domain
import EventLog
import Foundation
import Ports
import Synchronization

/// A verb of the product with a promise taken out of it, for control.
struct MutantWork: Codable, Sendable {
    var mutant: Mutant
    /// The scenario's directory.
    var place: String

    /// Says what the verb says.
    func run() async throws {
        switch mutant {
        case .indexFirst:
            let log = try EventLog.open(directory: place + "/log", mode: .readOnly)
            let store = LateStore(try await DirectoryBlobStore.open(place + "/store"))
            let blobs = try await DirectoryBlobStore.open(place + "/blobs", readOnly: true)
            var backup = LogBackup(of: log, kind: .global, blobs: blobs, to: store)
            let end = try await backup.round()
            say("{\"sequence\":\(end.sequence)}")
        }
    }
}

/// Keeps back everything but indexes until an index was put.
private final class LateStore: BlobStore {
    private let store: DirectoryBlobStore
    private let late = Mutex<[(key: BlobKey, bytes: [UInt8])]>([])

    init(_ store: DirectoryBlobStore) { self.store = store }

    func put(
        _ key: BlobKey, bytes: UInt64, from chunks: any AsyncSequence<[UInt8], any Error> & Sendable
    ) async throws(BlobFailure) {
        if case .named(let name) = key, name.contains("/index/") {
            try await store.put(key, bytes: bytes, from: chunks)
            for (key, bytes) in late.withLock({ Array($0) }) {
                try await store.put(key, bytes: UInt64(bytes.count), from: OneChunk(bytes))
            }
            return late.withLock { $0 = [] }
        }
        var all: [UInt8] = []
        do { for try await chunk in chunks { all += chunk } } catch { throw BlobFailure(.io, "\(error)") }
        let whole = all
        late.withLock { $0.append((key, whole)) }
    }

    func information(_ key: BlobKey) async throws(BlobFailure) -> BlobInformation? { try await store.information(key) }
    func read(_ key: BlobKey, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        try await store.read(key, offset: offset, count: count)
    }
    func delete(_ key: BlobKey) async throws(BlobFailure) { try await store.delete(key) }
    func list(prefix: String, after: String?, limit: Int) async throws(BlobFailure) -> [BlobInformation] {
        try await store.list(prefix: prefix, after: after, limit: limit)
    }
}
