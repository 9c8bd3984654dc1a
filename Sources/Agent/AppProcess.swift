import Domain
import Foundation
import Glibc
import Logging
import Packs
import Ports
import Processes
import Synchronization

/// What is durably known of an app's process. Written before it is started, and again when it has a number, so that no
/// second copy is ever started: one that was started and not yet recorded is found by its token.
struct ProcessRecord: Codable, Sendable {
    /// In the process's environment as `DROVER_PROCESS`.
    var token: String
    var launch: Launch
    /// Nil from the decision to start until it has a number.
    var identity: ProcessIdentity?
}

/// A launch's process, and how to end it.
final class LaunchedProcess: Sendable {
    let launch: Launch
    let identity: ProcessIdentity
    let run: RunSettings
    private let killAt = Mutex<ContinuousClock.Instant?>(nil)

    init(_ launch: Launch, _ identity: ProcessIdentity, _ run: RunSettings) {
        (self.launch, self.identity, self.run) = (launch, identity, run)
    }

    /// When the grace is over, and whether this call began it: a server that drains is not told twice.
    func beginStop(graceSeconds: UInt32) -> (killAt: ContinuousClock.Instant, isFirst: Bool) {
        killAt.withLock { killAt in
            if let killAt { return (killAt, false) }
            let moment = ContinuousClock.now.advanced(by: .seconds(graceSeconds))
            killAt = moment
            return (moment, true)
        }
    }
}

/// What a former agent left.
enum Inheritance: Sendable {
    case nothing
    case running(LaunchedProcess)
    /// The process that was started is gone, but not all that it started.
    case remains(LaunchedProcess)
}

/// Starts, adopts and stops the process of one app. It is no child that dies with us: the app outlives its agent.
struct AppProcess: Sendable {
    let app: AppName
    let directory: AgentDirectory
    let settings: AgentSettings
    let runner = DetachedProcesses()
    let supervised = GroupRunner()
    let logger: Logger

    /// Between two looks at whether all is gone: doubled from the first to the last.
    static let stopLookMilliseconds: ClosedRange<Int64> = 20...250
    /// After KILL; what does not end then hangs in the kernel.
    static let hopelessSeconds = 30

    /// What a former agent left. Blocking.
    func inheritance() -> Inheritance {
        guard let data = FileManager.default.contents(atPath: directory.process(app)),
            var record = try? JSONDecoder().decode(ProcessRecord.self, from: data)
        else { return .nothing }
        if record.identity == nil { record.identity = find(token: record.token) }
        guard let identity = record.identity else { return .nothing }
        let process = LaunchedProcess(record.launch, identity, runSettings(record.launch.build))
        if runner.isRunning(identity) {
            try? write(record)
            return .running(process)
        }
        return runner.hasSession(identity) ? .remains(process) : .nothing
    }

    /// Runs a kept build. Blocking. Fails finally when the build itself cannot be run.
    func start(_ launch: Launch) throws -> LaunchedProcess {
        let (build, token) = (launch.build, UUID().uuidString)
        let run = try keptManifest(build).run
        try directory.switchCurrent(app, to: build)
        try write(ProcessRecord(token: token, launch: launch, identity: nil))
        let binary = directory.binary(app, build)
        var environment = self.environment(run, binary: binary)
        environment["DROVER_PROCESS"] = token
        environment["DROVER_APP"] = app.rawValue
        environment["DROVER_BUILD"] = build.build.description
        let specification = ProcessSpecification(
            executable: run.command.map { resolve($0, binary: binary) } ?? binary,
            arguments: run.arguments.map { $0.replacing("$DROVER_BINARY", with: binary) }, environment: environment,
            directory: directory.build(app, build), outputPath: directory.output(app))
        do throws(ProcessFailure) {
            let identity = try runner.startDetached(specification)
            try? write(ProcessRecord(token: token, launch: launch, identity: identity))
            return LaunchedProcess(launch, identity, run)
        } catch {
            throw AgentFailure("build \(build.build) cannot be started: \(error.message)", isFinal: true)
        }
    }

    /// The stop signal to all that was started, the grace, then KILL; returns when all of it is gone. May be called by
    /// several: the first one's grace counts. A cancelled call leaves the process to its grace, and to the next agent.
    func stop(_ process: LaunchedProcess, maximumGraceSeconds: UInt32 = .max) async {
        let grace = min(process.run.graceSeconds, maximumGraceSeconds)
        let (killAt, isFirst) = process.beginStop(graceSeconds: grace)
        let (runner, identity, number) = (runner, process.identity, process.run.stopSignal.number)
        if isFirst { await BlockingWork.run { runner.signalSession(identity, number) } }
        var pause = Self.stopLookMilliseconds.lowerBound
        while !Task.isCancelled, await BlockingWork.run({ runner.hasSession(identity) }) {
            let late = killAt.duration(to: .now)
            guard late < .seconds(Self.hopelessSeconds) else {
                logger.error("the app does not end, not even by KILL", metadata: ["app": "\(app)"])
                return
            }
            if late >= .zero { await BlockingWork.run { runner.signalSession(identity, SIGKILL) } }
            try? await Task.sleep(for: .milliseconds(pause))
            pause = min(pause * 2, Self.stopLookMilliseconds.upperBound)
        }
    }

    /// The manifest that travelled with a kept build.
    func keptManifest(_ build: ProvedBuild) throws -> Manifest {
        guard let data = FileManager.default.contents(atPath: directory.manifestName(app, build)) else {
            throw AgentFailure("build \(build.build) of \(app) is not kept here")
        }
        return try Manifest.decode([UInt8](data))
    }

    private func runSettings(_ build: ProvedBuild) -> RunSettings { (try? keptManifest(build).run) ?? RunSettings() }

    /// What the recipe sets, and what every command of an app gets.
    func environment(_ run: RunSettings, binary: String) -> [String: String] {
        var environment = run.environment
        environment["DROVER_BINARY"] = binary
        if environment["PATH"] == nil { environment["PATH"] = "/usr/local/bin:/usr/bin:/bin" }
        return environment
    }

    /// A word of the recipe: the binary itself, an absolute path, or a name looked up in the usual places.
    func resolve(_ word: String, binary: String) -> String {
        if word == "$DROVER_BINARY" { return binary }
        if word.hasPrefix("/") { return word }
        let places = ["/usr/local/bin/", "/usr/bin/", "/bin/"].map { $0 + word }
        return places.first { FileManager.default.isExecutableFile(atPath: $0) } ?? word
    }

    private func write(_ record: ProcessRecord) throws {
        try directory.write(try JSONEncoder().encode(record), to: directory.process(app))
    }

    /// The process that was started with this token in its environment, by an agent that died before it wrote the
    /// number. What it started has the token too, and belongs to its session.
    private func find(token: String) -> ProcessIdentity? {
        let wanted = Data("DROVER_PROCESS=\(token)\0".utf8)
        for pid in directory.names(in: "/proc").compactMap({ Int32($0) }).sorted() {
            guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ"),
                environment.range(of: wanted) != nil
            else { continue }
            if let leader = runner.sessionLeader(of: pid) { return leader }
        }
        return nil
    }
}
