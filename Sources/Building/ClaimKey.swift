import Client
import Foundation
import Synchronization

/// The idempotency key of this worker's claim until it has its answer: the same for every repetition, also after a
/// restart, so that a job whose answer was lost on the way comes again instead of staying with nobody.
final class ClaimKey: Sendable {
    private let path: String
    private let known: Mutex<String?>

    init(path: String) {
        self.path = path
        let stored = try? String(contentsOfFile: path, encoding: .utf8)
        known = Mutex(stored.flatMap { $0.isEmpty ? nil : $0 })
    }

    /// A key that cannot be kept on disk still serves until this process ends.
    var current: String {
        known.withLock { known in
            if let known { return known }
            let key = Connection.newKey()
            try? Data(key.utf8).write(to: URL(filePath: path), options: .atomic)
            known = key
            return key
        }
    }

    /// The claim was answered with a job or with none: the next one is another.
    func answered() {
        known.withLock { known in
            known = nil
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
