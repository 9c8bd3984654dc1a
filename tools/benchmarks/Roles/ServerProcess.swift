import Foundation
import Glibc
import NIOCore
import NIOPosix
import Ports
import Processes
import Synchronization

/// Somebody else's server, started by a benchmark in a directory of its own. It dies with us.
final class ServerProcess: Sendable {
    static let readySeconds = 30.0

    private let name: String
    private let directory: String
    private let processes = DetachedProcesses()
    private let identity = Mutex<ProcessIdentity?>(nil)

    init(name: String, directory: String) { (self.name, self.directory) = (name, directory) }

    /// Starts it, and waits until it takes connections at a port of 127.0.0.1.
    func start(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], port: Int
    ) async throws {
        let output = "\(directory)/\(name).log"
        let started = try await processes.startDependent(
            ProcessSpecification(
                executable: executable, arguments: arguments,
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"].merging(environment) { $1 },
                directory: directory, outputPath: output), deathSignal: SIGKILL)
        identity.withLock { $0 = started }
        let start = ContinuousClock.now
        while elapsed(since: start) < Self.readySeconds, processes.isRunning(started) {
            let connection = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port)
            if let channel = try? await connection.get() {
                try await channel.close()
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchmarkFailure("\(name) did not become ready: see \(output)")
    }

    func stop(by signal: Int32 = SIGTERM) async {
        guard let running = identity.withLock({ $0.take() }) else { return }
        processes.signal(running, signal)
        _ = await processes.waitForEnd(running)
    }
}

/// Runs a program to its end; what it wrote.
func output(
    of executable: String, _ arguments: [String], environment: [String: String] = [:], in directory: String
) async throws -> String {
    let processes = DetachedProcesses()
    let path = "\(directory)/output-\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let identity = try await processes.startDependent(
        ProcessSpecification(
            executable: executable, arguments: arguments,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"].merging(environment) { $1 }, directory: directory,
            outputPath: path), deathSignal: SIGKILL)
    let end = await processes.waitForEnd(identity)
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    guard end == .exited(0) else { throw BenchmarkFailure("\(executable) ended with \(end): \(text.suffix(500))") }
    return text
}
