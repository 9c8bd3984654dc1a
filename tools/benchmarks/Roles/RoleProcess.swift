import Foundation
import Glibc
import Ports
import Processes
import Synchronization

/// One role's process: a release binary, started again with the same arguments after a kill. It dies with us.
final class RoleProcess: Sendable {
    static let readySeconds = 300.0

    let name: String
    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private let directory: String
    private let processes = DetachedProcesses()
    private let state = Mutex<(identity: ProcessIdentity?, memory: Memory)>((nil, Memory()))

    init(
        name: String, executable: String, directory: String, arguments: [String], environment: [String: String] = [:]
    ) {
        (self.name, self.executable, self.directory, self.arguments) = (name, executable, directory, arguments)
        self.environment = environment
    }

    /// Where the role's standard error goes.
    var outputPath: String { "\(directory)/\(name).log" }

    /// Starts it, and waits until it says where it is ready.
    @discardableResult
    func start() async throws -> String {
        let readyFile = "\(directory)/\(name).ready"
        try? FileManager.default.removeItem(atPath: readyFile)
        let identity = try await processes.startDependent(
            ProcessSpecification(
                executable: executable, arguments: arguments + ["--ready-file", readyFile],
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"].merging(environment) { $1 }, directory: directory,
                outputPath: outputPath),
            deathSignal: SIGKILL)
        state.withLock { $0.identity = identity }
        let start = ContinuousClock.now
        while elapsed(since: start) < Self.readySeconds, processes.isRunning(identity) {
            if let text = try? String(contentsOfFile: readyFile, encoding: .utf8), text.hasSuffix("\n") {
                return text.trimmingCharacters(in: .newlines)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchmarkFailure("\(name) did not become ready: see \(outputPath)")
    }

    /// Asks it to end, and waits.
    func stop() async { await end(by: SIGTERM) }

    /// Ends it at once, as a power cut would.
    func kill() async { await end(by: SIGKILL) }

    private func end(by signal: Int32) async {
        lookAtMemory()
        guard let identity = state.withLock({ $0.identity }) else { return }
        processes.signal(identity, signal)
        _ = await processes.waitForEnd(identity)
    }

    /// Processor seconds that its present process has used.
    func processorSeconds() throws -> Double {
        guard let pid = state.withLock({ $0.identity?.pid }) else {
            throw BenchmarkFailure("\(name) does not run: see \(outputPath)")
        }
        return try usedProcessorSeconds(pid)
    }

    /// What its present process has resident that is its own alone.
    func anonymousBytes() throws -> UInt64 {
        guard let pid = state.withLock({ $0.identity?.pid }),
            let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
            let kilobytes = UInt64(line.filter(\.isNumber))
        else { throw BenchmarkFailure("\(name) does not run: see \(outputPath)") }
        return kilobytes << 10
    }

    /// Looks at its memory now; call it now and then, for what ends unseen is not counted.
    func lookAtMemory() {
        guard let pid = state.withLock({ $0.identity?.pid }),
            let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        else { return }
        func bytes(_ field: String) -> UInt64 {
            let line = text.split(separator: "\n").first { $0.hasPrefix(field) } ?? ""
            return (UInt64(line.filter(\.isNumber)) ?? 0) << 10
        }
        let seen = Memory(peakBytes: bytes("VmHWM:"), anonymousBytes: bytes("RssAnon:"))
        state.withLock { state in
            state.memory.peakBytes = max(state.memory.peakBytes, seen.peakBytes)
            state.memory.anonymousBytes = max(state.memory.anonymousBytes, seen.anonymousBytes)
        }
    }

    /// The most of all its processes so far.
    var memory: Memory { state.withLock { $0.memory } }
}

/// What a process had resident at most.
struct Memory: Sendable {
    /// All of it, by the kernel's own count (`VmHWM`): pages of mapped files included.
    var peakBytes: UInt64 = 0
    /// What was its own alone, as far as it was looked at.
    var anonymousBytes: UInt64 = 0
}

/// Processor seconds that a process has used, in user code and in the kernel; and its children that have ended, when asked.
func usedProcessorSeconds(_ pid: Int32, withChildren: Bool = false) throws -> Double {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let end = text.lastIndex(of: ")")
    else { throw BenchmarkFailure("process \(pid) does not run") }
    // Fields 14 and 15 of proc(5), and 16 and 17 for children: the parenthesis ends field 2.
    let ticks = text[end...].split(separator: " ").dropFirst(12).prefix(withChildren ? 4 : 2).compactMap { Double($0) }
    guard ticks.count >= 2 else { throw BenchmarkFailure("/proc/\(pid)/stat cannot be read") }
    return ticks.reduce(0, +) / Double(sysconf(Int32(_SC_CLK_TCK)))
}
