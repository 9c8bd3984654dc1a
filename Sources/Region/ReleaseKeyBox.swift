import Domain
import Foundation
import Synchronization

/// The release key's public half: learnt once from the global process, then from this region's own disk, so that a
/// region that is cut off still starts.
final class ReleaseKeyBox: Sendable {
    private let path: String
    private let known: Mutex<[UInt8]?>

    init(path: String) {
        self.path = path
        let stored = try? String(contentsOfFile: path, encoding: .utf8)
        known = Mutex(stored.flatMap { bytesFromHex($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
    }

    var value: [UInt8]? { known.withLock { $0 } }

    func key(fetch: () async throws -> [UInt8]) async throws -> [UInt8] {
        if let value { return value }
        let key = try await fetch()
        try Data((hexadecimal(key) + "\n").utf8).write(to: URL(filePath: path), options: .atomic)
        known.withLock { $0 = key }
        return key
    }
}
