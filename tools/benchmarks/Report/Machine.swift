import Foundation

/// The machine that was measured, when, and how busy it was: without these a number says nothing.
struct Machine: Encodable {
    var processors = ProcessInfo.processInfo.activeProcessorCount
    var memoryBytes = ProcessInfo.processInfo.physicalMemory
    var kernel = Machine.line("/proc/sys/kernel/osrelease")
    var started = Date().formatted(.iso8601)
    /// Over 1, 5 and 15 minutes.
    var loadAtStart = Machine.load()
    var loadAtEnd = ""
    private let ticksAtStart = ProcessorTicks()
    /// Of the processors' time between start and end.
    var idleShare = 0.0

    mutating func finish() {
        loadAtEnd = Self.load()
        idleShare = ProcessorTicks().idleShare(since: ticksAtStart)
    }

    var text: String {
        "\(started), \(processors) processors, \(memoryBytes >> 30) GiB, Linux \(kernel); load \(loadAtStart) at the "
            + "start, \(loadAtEnd) at the end, idle \(number(idleShare * 100)) %"
    }

    private static func load() -> String {
        line("/proc/loadavg").split(separator: " ").prefix(3).joined(separator: " ")
    }

    private static func line(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? "unknown"
    }

    private enum CodingKeys: String, CodingKey {
        case processors, memoryBytes, kernel, started, loadAtStart, loadAtEnd, idleShare
    }
}

/// The kernel's count of what all processors did since it started.
private struct ProcessorTicks {
    private var idle = 0.0
    private var all = 0.0

    init() {
        let text = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? ""
        let numbers = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        all = numbers.reduce(0, +)
        if numbers.count > 4 { idle = numbers[3] + numbers[4] }
    }

    func idleShare(since start: ProcessorTicks) -> Double {
        all > start.all ? (idle - start.idle) / (all - start.all) : 0
    }
}
