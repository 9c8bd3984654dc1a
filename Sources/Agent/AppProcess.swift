import AsyncHTTPClient
import Client
import Domain
import Foundation
import Glibc
import Logging
import NIOCore
import NIOHTTP1
import Packs
import Ports
import Processes

/// What is durably known of an app's process. Written before it is started, and again when it has a number, so that no
/// second copy is ever started: one that was started and not yet recorded is found by its token.
struct ProcessRecord: Codable, Sendable {
    /// In the process's environment as `DROVER_PROCESS`.
    var token: String
    var build: BuildID
    /// Nil from the decision to start until it has a number.
    var identity: ProcessIdentity?
}

/// Starts, adopts, stops and checks the process of one app. It is no child that dies with us: the app outlives its agent.
struct AppProcess: Sendable {
    let app: AppName
    let directory: AgentDirectory
    let runner: DetachedProcesses
    let supervised: GroupRunner
    let logger: Logger

    /// The process of a former agent, if it still runs.
    func adopt() -> ProcessRecord? {
        guard let data = FileManager.default.contents(atPath: directory.process(app)),
            var record = try? JSONDecoder().decode(ProcessRecord.self, from: data)
        else { return nil }
        if record.identity == nil { record.identity = find(token: record.token) }
        guard let identity = record.identity, runner.isRunning(identity) else { return nil }
        try? write(record)
        return record
    }

    /// Runs a kept build. Fails finally when the build itself cannot be run.
    func start(_ build: BuildID, _ run: RunSettings, token: String) throws -> ProcessIdentity {
        try directory.switchCurrent(app, to: build)
        try write(ProcessRecord(token: token, build: build, identity: nil))
        let binary = directory.binary(app, build)
        var environment = run.environment
        environment["DROVER_PROCESS"] = token
        environment["DROVER_APP"] = app.rawValue
        environment["DROVER_BUILD"] = build.description
        environment["DROVER_BINARY"] = binary
        if environment["PATH"] == nil { environment["PATH"] = "/usr/local/bin:/usr/bin:/bin" }
        let specification = ProcessSpecification(
            executable: run.command.map { resolve($0, binary: binary) } ?? binary,
            arguments: run.arguments.map { $0.replacing("$DROVER_BINARY", with: binary) }, environment: environment,
            directory: directory.build(app, build), outputPath: directory.output(app))
        do throws(ProcessFailure) {
            let identity = try runner.startDetached(specification)
            try? write(ProcessRecord(token: token, build: build, identity: identity))
            return identity
        } catch {
            throw AgentFailure("build \(build) cannot be started: \(error.message)", isFinal: true)
        }
    }

    /// TERM (or the recipe's signal), the grace, then KILL; returns when it is gone.
    func stop(_ identity: ProcessIdentity, _ run: RunSettings) async {
        runner.signal(identity, run.stopSignal.number)
        let runner = runner
        await withTaskGroup { group in
            group.addTask { _ = await runner.waitForEnd(identity) }
            group.addTask {
                try? await Task.sleep(for: .seconds(run.graceSeconds))
                if !Task.isCancelled { runner.signal(identity, SIGKILL) }
            }
            await group.next()
            if runner.isRunning(identity) { await group.next() }
            group.cancelAll()
        }
    }

    /// Nil when healthy; else what was seen last. Returns as soon as it is healthy, or when its time is over.
    func check(_ identity: ProcessIdentity, _ build: BuildID, _ run: RunSettings) async -> String? {
        switch run.health {
        case .alive(let seconds):
            try? await Task.sleep(for: .seconds(seconds))
            return runner.isRunning(identity) ? nil : "it ended within \(seconds) s: \(lastOutput())"
        case .command(let executable, let arguments, let seconds):
            return await poll(identity, withinSeconds: seconds) { await command([executable] + arguments, build, run) }
        case .http(let path, let port, let seconds):
            return await poll(identity, withinSeconds: seconds) { await http("http://127.0.0.1:\(port)\(path)") }
        }
    }

    private func poll(
        _ identity: ProcessIdentity, withinSeconds seconds: UInt32, _ look: () async -> String?
    ) async -> String? {
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while true {
            guard runner.isRunning(identity) else { return "it ended before it was healthy: \(lastOutput())" }
            guard let problem = await look() else { return nil }
            if ContinuousClock.now >= deadline || Task.isCancelled {
                return "not healthy within \(seconds) s: \(problem)"
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    private func command(_ words: [String], _ build: BuildID, _ run: RunSettings) async -> String? {
        guard let executable = words.first else { return nil }
        let binary = directory.binary(app, build)
        var environment = run.environment
        environment["DROVER_BINARY"] = binary
        if environment["PATH"] == nil { environment["PATH"] = "/usr/local/bin:/usr/bin:/bin" }
        let command = SupervisedCommand(
            executable: resolve(executable, binary: binary),
            arguments: words.dropFirst().map { $0.replacing("$DROVER_BINARY", with: binary) }, environment: environment,
            directory: directory.build(app, build))
        do {
            let done = try await supervised.collect(
                command, limits: RunLimits(timeoutSeconds: 10, graceSeconds: 1), maximumOutputBytes: 4096)
            if done.end == .ended(.exited(0)) { return nil }
            return "\(executable): \(done.end) \(String(decoding: done.output.suffix(200), as: UTF8.self))"
        } catch {
            return "\(error)"
        }
    }

    private func http(_ url: String) async -> String? {
        do {
            let response = try await SharedHTTPClient.client.execute(HTTPClientRequest(url: url), timeout: .seconds(2))
            return (200..<400).contains(response.status.code) ? nil : "\(url) answered \(response.status.code)"
        } catch {
            return "\(url): \(error)"
        }
    }

    /// A word of the recipe: the binary itself, an absolute path, or a name looked up in the usual places.
    private func resolve(_ word: String, binary: String) -> String {
        if word == "$DROVER_BINARY" { return binary }
        if word.hasPrefix("/") { return word }
        let places = ["/usr/local/bin/", "/usr/bin/", "/bin/"].map { $0 + word }
        return places.first { FileManager.default.isExecutableFile(atPath: $0) } ?? word
    }

    /// The end of what the app printed.
    func lastOutput() -> String {
        guard let handle = FileHandle(forReadingAtPath: directory.output(app)), let end = try? handle.seekToEnd()
        else { return "" }
        try? handle.seek(toOffset: end > 200 ? end - 200 : 0)
        return String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func write(_ record: ProcessRecord) throws {
        try directory.write(try JSONEncoder().encode(record), to: directory.process(app))
    }

    /// The process that carries this token in its environment: started by an agent that died before it wrote the number.
    private func find(token: String) -> ProcessIdentity? {
        let wanted = Data("DROVER_PROCESS=\(token)\0".utf8)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for pid in names.compactMap({ Int32($0) }).sorted() {
            guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ"),
                environment.range(of: wanted) != nil
            else { continue }
            if let identity = runner.identity(of: pid) { return identity }
        }
        return nil
    }
}
