import Codec
import Domain
import Foundation
import Ports

extension LogText {
    /// Writes a log that is in memory to a new file.
    static func write(_ batches: [FrameBatch], to path: String) throws {
        do {
            try Data(batches.flatMap { NDJSON.lines($0) })
                .write(to: URL(filePath: path), options: .withoutOverwriting)
        } catch {
            throw CommandStop(
                .refused, "drover: \(path) cannot be written: name a new file in a directory of yours")
        }
    }
}
