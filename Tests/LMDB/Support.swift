import Foundation
import LMDB

/// A directory for one test, removed when it is over.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/drover-lmdb-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

let numbers = Environment.Database(0)

func options(
    _ access: Environment.Access = .create, initialMapBytes: Int = 1 << 20, maximumMapBytes: Int = 1 << 30
) -> Environment.Options {
    var options = Environment.Options(databases: ["numbers"], access: access)
    (options.initialMapBytes, options.maximumMapBytes) = (initialMapBytes, maximumMapBytes)
    return options
}

func key(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * UInt32($0))) } }

extension Environment {
    func put(_ range: Range<UInt32>, bytes: Int = 8) throws {
        try write { transaction in
            for number in range {
                try transaction.put(
                    numbers, key: key(number).span, value: value(number, bytes: bytes).span, appending: true)
            }
        }
    }

    /// The numbers that are stored, in order; each one's value is checked.
    func stored(from: UInt32 = 0) throws -> [UInt32] {
        var found: [UInt32] = []
        try read { transaction in
            try transaction.scan(numbers, from: key(from).span) { key, value in
                let number = key.indices.reduce(UInt32(0)) { $0 << 8 | UInt32(key[$1]) }
                let bytes = value.indices.map { value[$0] }
                found.append(bytes == LMDBTests.value(number, bytes: bytes.count) ? number : .max)
                return true
            }
        }
        return found
    }
}

func value(_ number: UInt32, bytes: Int) -> [UInt8] { (0..<bytes).map { UInt8(truncatingIfNeeded: Int(number) &+ $0) } }

/// The descriptors of this process that are open on a file.
func descriptors(of path: String) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
        let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
        return target == path ? Int32(name) : nil
    }
}
