internal import Foundation
internal import Glibc

/// Who is below whom, and who holds what, as `/proc` says. For the rare case that a command has got rid of its keeper.
enum ProcessTree {
    /// Every process below this one, nearest first.
    static func descendants(of pid: Int32) -> [Int32] {
        var found: [Int32] = []
        var left = children(of: pid)
        while let next = left.popLast() {
            guard !found.contains(next) else { continue }
            found.append(next)
            left += children(of: next)
        }
        return found
    }

    private static func children(of pid: Int32) -> [Int32] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return threads.flatMap { thread in
            let text = try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/children", encoding: .utf8)
            return (text ?? "").split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
        }
    }

    /// Processes that have the pipe of this descriptor open, but us and our own children: those are keepers, or
    /// about to become a program, which closes it.
    static func holders(of descriptor: Int32) -> [Int32] {
        let own = children(of: getpid()) + [getpid()]
        guard let pipe = target("/proc/self/fd/\(descriptor)"), pipe.hasPrefix("pipe:") else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { !own.contains($0) && holds($0, pipe) }
    }

    private static func holds(_ pid: Int32, _ pipe: String) -> Bool {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        return files.contains { target("/proc/\(pid)/fd/\($0)") == pipe }
    }

    private static func target(_ path: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    }
}
