import Client
import Domain
import Foundation
import Glibc
import Ports
import Processes
import Testing

/// The built binaries, started as a user would.
final class System: Sendable {
    let directory: String
    let processes = DetachedProcesses()
    private static let groups = GroupRunner()

    init() throws {
        directory = FileManager.default.temporaryDirectory.path + "/drover-system-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Where the products stand: beside the bundle of these tests.
    static let products = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()

    static func product(_ name: String) throws -> String {
        let candidates = [products.appending(path: name), Tree.root.appending(path: ".build/debug/\(name)")]
        return try #require(
            candidates.map(\.path).first { FileManager.default.isExecutableFile(atPath: $0) },
            "the product \(name) is not built")
    }

    /// Starts `projector` with these arguments; returns its process and the URL that it says it is ready at.
    func start(
        _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> (ProcessIdentity, String) {
        let ready = "\(directory)/ready-\(UUID().uuidString)"
        let identity = try await startUnready(arguments + ["--ready-file", ready], environment: environment)
        let url = try await eventually("projector \(arguments) is ready") {
            try? String(contentsOfFile: ready, encoding: .utf8).trimmingCharacters(in: .newlines)
        }
        return (identity, url)
    }

    /// Starts `projector` and does not wait for it.
    func startUnready(
        _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> ProcessIdentity {
        var command = [try Self.product("projector")] + arguments
        // A preloaded library may set variables, and Swift then finds no arguments: it does so in `env` already.
        if environment["LD_PRELOAD"] != nil { command.insert("/usr/bin/env", at: 0) }
        return try await processes.startDependent(
            ProcessSpecification(
                executable: command[0], arguments: Array(command.dropFirst()),
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"].merging(environment) { $1 },
                directory: directory, outputPath: "\(directory)/output.log"),
            deathSignal: SIGKILL)
    }

    func client(_ url: String) -> GlobalClient { GlobalClient(endpoint: url, actor: .person("test")) }

    func stop(_ identity: ProcessIdentity, _ signal: Int32 = SIGTERM) async {
        processes.signal(identity, signal)
        _ = await processes.waitForEnd(identity)
    }

    /// Runs `drover`: its exit code and what it printed.
    func drover(_ arguments: [String], server: String) async throws -> (code: Int32, text: String) {
        try await run(try Self.product("drover"), arguments, ["DROVER_SERVER": server])
    }

    func run(_ executable: String, _ arguments: [String], _ environment: [String: String] = [:]) async throws -> (
        code: Int32, text: String
    ) {
        let command = SupervisedCommand(
            executable: executable, arguments: arguments,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory].merging(environment) { $1 },
            directory: directory)
        let done = try await Self.groups.collect(
            command, limits: RunLimits(timeoutSeconds: 240, graceSeconds: 1), maximumOutputBytes: 1 << 20)
        guard case .ended(.exited(let code)) = done.end else { return (-1, "\(done.end)") }
        return (code, String(decoding: done.output, as: UTF8.self))
    }

    /// A repository whose commits print their own version; the ids, oldest first.
    func repository(versions: Int) async throws -> (path: String, commits: [String]) {
        let path = "\(directory)/repository"
        var commits: [String] = []
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try await git(path, "init", "-q", "-b", "main")
        try Data("build: cp app.sh app && chmod +x app\nartifact: app\n".utf8).write(
            to: URL(filePath: path + "/drover.yml"))
        for version in 1...versions {
            let script = """
                #!/bin/sh
                if [ "$1" = --version ]; then echo "app \(version)"; exit; fi
                while true; do sleep 1; done
                """
            try Data(script.utf8).write(to: URL(filePath: path + "/app.sh"))
            try await commitAll(path, "version \(version)")
            commits.append(try await git(path, "rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return (path, commits)
    }

    /// Commits all that stands there.
    func commitAll(_ path: String, _ message: String) async throws {
        try await git(path, "add", "-A")
        try await git(path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", message)
    }

    @discardableResult
    func git(_ path: String, _ arguments: String...) async throws -> String {
        let done = try await run("/usr/bin/git", ["-C", path] + arguments)
        try #require(done.code == 0, "git \(arguments): \(done.text)")
        return done.text
    }
}

/// The repository's root: this file stands in Tests/Integration.
enum Tree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
}

/// Looks until there is something to see. The bound only keeps a broken system from hanging the tests.
func eventually<Value>(
    _ what: String, seconds: Double = 120, _ look: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
    while ContinuousClock.now < deadline {
        if let value = try await look() { return value }
        try await Task.sleep(for: .milliseconds(100))
    }
    throw Unmet(what: what)
}

func freePort() throws -> UInt16 {
    // Bound for a moment: the kernel says whether it is free.
    for port in (20_000...30_000 as ClosedRange<UInt16>).shuffled() {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        (address.sin_family, address.sin_port) = (sa_family_t(AF_INET), port.bigEndian)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let isFree = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(socket, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isFree { return port }
    }
    throw Unmet(what: "a free port")
}

struct Unmet: Error, CustomStringConvertible {
    var what: String
    var description: String { "never came: \(what)" }
}
