import Foundation

/// A problem that ends a benchmark, in one sentence that says what to do.
struct BenchmarkFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A directory of one run, on the file system that is measured; gone at its end.
final class Workplace: Sendable {
    let path: String

    /// Below `parent`, which must be on a real disk: a file system in memory flushes nothing.
    init(below parent: String) throws {
        path = URL(filePath: parent).path + "/drover-bench-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A new directory in it.
    func directory(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        return "\(path)/\(name)"
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }

    var freeBytes: UInt64 {
        get throws {
            let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
            return (attributes[.systemFreeSize] as? NSNumber)?.uint64Value ?? 0
        }
    }
}

/// Tells the person who waits what goes on; standard output is the report's.
func progress(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

func elapsed(since start: ContinuousClock.Instant) -> Double { start.duration(to: .now) / .seconds(1) }

/// What this process has used of its processors, in user code and in the kernel.
func processorSeconds() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }
