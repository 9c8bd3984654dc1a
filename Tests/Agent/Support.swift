import Client
import Domain
import Foundation
import Glibc
import Logging
import Packs
import Ports
import Processes
import Swarm
import Synchronization
import Testing
import Transfer

@testable import Agent

let web = AppName(unchecked: "web")

let quietLogger: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

/// The machine's clocks.
struct MachineClock: ClockSource {
    private let start = ContinuousClock.now

    func read() -> ClockReading {
        let elapsed = start.duration(to: .now).components
        return ClockReading(
            wallMilliseconds: Int64(Date().timeIntervalSince1970 * 1000),
            monotonicMilliseconds: elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
    }
}

/// Looks until it is so. The bound only keeps a broken agent from hanging the tests.
@discardableResult
func eventually(
    _ what: Comment, seconds: Double = 60, sourceLocation: SourceLocation = #_sourceLocation, _ question: () -> Bool
) async -> Bool {
    let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
    while ContinuousClock.now < deadline {
        if question() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    let isSo = question()
    #expect(isSo, what, sourceLocation: sourceLocation)
    return isSo
}

/// A packed build: a script, or any bytes.
struct Packed {
    let build: ProvedBuild
    let manifest: Manifest
    let raw: [UInt8]
    let pack: [UInt8]
}

/// An agent's directory, and apps in it that write down what they do. Its processes are killed with it.
final class Home: Sendable {
    let directory: AgentDirectory
    let key: ReleaseKey
    private let scratch: String

    init() throws {
        scratch = FileManager.default.temporaryDirectory.path + "/drover-agent-\(UUID().uuidString)"
        directory = AgentDirectory(root: scratch + "/agent")
        try directory.prepare()
        try directory.make(directory.app(web))
        key = try ReleaseKey.loadOrCreate(path: scratch + "/key")
        try directory.write(Data(hexadecimal(key.publicKey).utf8), to: "\(directory.root)/release-key.pub")
    }

    deinit {
        for pid in processes() { kill(pid, SIGKILL) }
        try? FileManager.default.removeItem(atPath: scratch)
    }

    /// What the scripts write down, a line each.
    var journal: [String] {
        let text = (try? String(contentsOfFile: scratch + "/journal", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    func file(_ name: String) -> String { "\(scratch)/\(name)" }

    /// A script whose lines may use `$JOURNAL` and `$HOME`, the scratch directory.
    func pack(
        _ number: UInt64, _ script: String, health: HealthCheck = .alive(seconds: 0), graceSeconds: UInt32 = 10
    ) throws -> Packed {
        let text = "#!/bin/sh\nJOURNAL='\(scratch)/journal'\nHOME='\(scratch)'\n\(script)\n"
        return try pack(
            number, raw: Array(text.utf8), RunSettings(arguments: [], health: health, graceSeconds: graceSeconds))
    }

    func pack(_ number: UInt64, raw: [UInt8], _ run: RunSettings = RunSettings()) throws -> Packed {
        let (artifact, pack) = (file("artifact-\(UUID().uuidString)"), file("pack-\(UUID().uuidString)"))
        try Data(raw).write(to: URL(filePath: artifact))
        let unsigned = try PackWriter().pack(
            artifact: artifact, to: pack,
            PackRequest(
                app: web, build: BuildID(rawValue: number), attempt: .first, commit: String(repeating: "a", count: 40),
                repository: "https://example.org/web.git", run: run,
                provenance: PackProvenance(
                    worker: WorkerName(unchecked: "w1"), region: RegionName(unchecked: "r1"), builtAt: .zero,
                    recipe: .zero, buildCommand: "make")))
        let manifest = try Manifest.decode(Manifest.sign(unsigned.bytes, signer: key))
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: pack)))
        return Packed(
            build: ProvedBuild(build: BuildID(rawValue: number), manifest: manifest.digest), manifest: manifest,
            raw: raw, pack: bytes)
    }

    /// Puts a build here as if it had been fetched before.
    @discardableResult
    func keep(_ packed: Packed) throws -> ProvedBuild {
        let build = packed.build
        try Data(packed.pack).write(to: URL(filePath: directory.pack(build)))
        try Data(packed.manifest.bytes).write(to: URL(filePath: directory.manifest(build.manifest)))
        try directory.make(directory.build(web, build))
        try PackReader(path: directory.pack(build), manifest: packed.manifest).unpack(to: directory.binary(web, build))
        try directory.write(Data(packed.manifest.bytes), to: directory.manifestName(web, build))
        return build
    }

    /// Everything that was started from here and still runs.
    func processes() -> [Int32] {
        let marker = Data("DROVER_BINARY=\(directory.root)/".utf8)
        return directory.names(in: "/proc").compactMap { Int32($0) }.filter { pid in
            guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
            return environment.range(of: marker) != nil
        }
    }

    /// The recorded process.
    var leader: ProcessIdentity? {
        FileManager.default.contents(atPath: directory.process(web))
            .flatMap { try? JSONDecoder().decode(ProcessRecord.self, from: $0).identity }
    }
}

/// An agent's runner of one app, alive until it is stopped; the region cannot be reached, unless one is named.
final class RunningAgent: Sendable {
    let runner: AppRunner
    let packs: PackKeeper
    private let reports: RecordedReports
    private let task: Task<Void, Never>

    /// - Parameter runs: whether the app's runner starts, which offers what is kept at a moment of its own.
    init(
        _ home: Home, settings: AgentSettings = AgentSettings(), region: String = "http://127.0.0.1:1",
        runs: Bool = true
    ) {
        let (reports, shelf) = (RecordedReports(), PackShelf())
        self.reports = reports
        packs = PackKeeper(
            peer: PeerName(unchecked: "p1"), endpoint: "http://127.0.0.1:2", directory: home.directory,
            settings: settings,
            client: RegionClient(
                endpoint: region, actor: .peer(PeerName(unchecked: "p1")), settings: .withoutRetries),
            shelf: shelf, clock: MachineClock(), logger: quietLogger)
        let runner = AppRunner(
            app: web,
            process: AppProcess(app: web, directory: home.directory, settings: settings, logger: quietLogger),
            packs: packs, seed: 1,
            now: { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) },
            report: { reports.add($1) }, logger: quietLogger)
        self.runner = runner
        task = Task { if runs { await runner.run() } }
    }

    deinit { task.cancel() }

    var reported: [PeerApp] { reports.all }

    func assign(_ number: UInt64, _ build: ProvedBuild?) {
        runner.tell(
            .assigned(
                Assignment(
                    app: web, revision: Revision(epoch: Epoch(rawValue: 1), number: number), build: build,
                    expires: .distantFuture)))
    }

    /// Waits for the health at a revision.
    func becomes(
        _ health: PeerHealth, at number: UInt64, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        await eventually("\(health) at revision \(number)", sourceLocation: sourceLocation) {
            reports.all.last.map { $0.health == health && $0.revision.number == number } ?? false
        }
    }

    /// Ends the agent, not the app.
    func stop() async {
        task.cancel()
        await task.value
        await packs.shutdown()
    }
}

private final class RecordedReports: Sendable {
    private let reports = Mutex<[PeerApp]>([])

    func add(_ report: PeerApp) { reports.withLock { $0.append(report) } }
    var all: [PeerApp] { reports.withLock { $0 } }
}
