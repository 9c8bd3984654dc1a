import Crypto
import Domain
import Foundation
import Ports
import Testing

/// SplitMix64: small, and the same everywhere. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

/// The seed of a property test: `DROVER_SEED`, or a fresh one. It is printed, so that a failure can be run again.
func propertySeed(_ test: String) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["DROVER_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("\(test): DROVER_SEED=\(seed)")
    return seed
}

func sha256(_ bytes: [UInt8]) -> Domain.Digest { Domain.Digest(bytes: Array(SHA256.hash(data: bytes))) ?? .zero }

/// A directory of a test's own, removed with the last reference.
final class Workshop: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "drover-blobs-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Every file below a directory, by its path from there.
    func files(_ directory: String) -> [String] {
        let all = (try? FileManager.default.subpathsOfDirectory(atPath: path + "/" + directory)) ?? []
        return all.filter { name in
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(directory)/\(name)")
            return attributes?[.type] as? FileAttributeType == .typeRegular
        }.sorted()
    }
}

/// The bytes in chunks, as a network brings them.
func chunks(_ bytes: [UInt8], of size: Int = 1000) -> AsyncThrowingStream<[UInt8], any Error> {
    AsyncThrowingStream { continuation in
        for start in stride(from: 0, to: bytes.count, by: size) {
            continuation.yield(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        continuation.finish()
    }
}

extension BlobStore {
    func put(_ key: BlobKey, _ bytes: [UInt8]) async throws(BlobFailure) {
        try await put(key, bytes: UInt64(bytes.count), from: chunks(bytes))
    }

    func readAll(_ key: BlobKey) async throws(BlobFailure) -> [UInt8] {
        let size = try await information(key)?.bytes ?? 0
        return try await read(key, offset: 0, count: Int(size))
    }
}

/// The code of the failure that `body` throws; nil when it throws none.
func failureCode(_ body: () async throws(BlobFailure) -> Void) async -> BlobFailure.Code? {
    do throws(BlobFailure) {
        try await body()
        return nil
    } catch { return error.code }
}
