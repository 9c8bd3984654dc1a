import ArgumentParser
import Domain
import Foundation

/// How long the global process takes from its start to `ready`, and what it holds in memory then.
struct StartBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract:
            "Seconds from start to ready over a long log: from a snapshot, without one, and with the views to make.",
        discussion: """
            The log is of weeks: 5,000 jobs a day that are heard 40 times and fail, but for the builds that are kept. It \
            takes about 200 bytes of disk an event, and as much again for its views.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "How long a log to make.")
    var events: UInt64 = 10_000_000

    @Option(help: "How many of its jobs succeed and are kept.")
    var builds: UInt64 = 5000

    private enum Way: String, CaseIterable {
        case snapshot = "from a snapshot"
        case none = "no snapshot"
        case views = "no snapshot, no views"
    }

    func run() async throws {
        let workplace = try Workplace(below: options.directory)
        let data = try workplace.directory("global")
        _ = try workplace.directory("global/log")
        let end = try LongLog(events: events, builds: builds).make(in: data + "/log") { progress("event \($0)") }
        try writeReleaseKey(data + "/release.key")
        let role = RoleProcess(
            name: "global", executable: product("projector"), directory: workplace.path,
            arguments: ["global", "--data", data, "--listen", "127.0.0.1:0"])
        progress("the first start makes the snapshot and the views")
        let (first, _) = try await start(role)
        try await settle(role, data)
        var report = Report("Start of a log of \(end.sequence) events", repetitions: options.repetitions)
        var seconds: [Way: [Double]] = [:]
        var memory: [Way: [Double]] = [:]
        for repetition in 1...max(1, options.repetitions) {
            for way in Way.allCases {
                progress("repetition \(repetition): \(way.rawValue)")
                let kept = data + "/snapshots.kept"
                if way != .snapshot { try FileManager.default.moveItem(atPath: data + "/snapshots", toPath: kept) }
                if way == .views { try move(data, "views.sqlite", "kept.sqlite") }
                let (took, anonymous) = try await start(role)
                seconds[way, default: []].append(took)
                memory[way, default: []].append(anonymous)
                await role.kill()
                if way != .snapshot {
                    try? FileManager.default.removeItem(atPath: data + "/snapshots")
                    try FileManager.default.moveItem(atPath: kept, toPath: data + "/snapshots")
                }
                if way == .views { try move(data, "kept.sqlite", "views.sqlite") }
            }
        }
        report.measurements =
            Way.allCases.map { Measurement(name: $0.rawValue, unit: "s to ready", values: seconds[$0] ?? []) }
            + Way.allCases.map { Measurement(name: $0.rawValue, unit: "MB RssAnon", values: memory[$0] ?? []) }
        report.notes = ["The first start after the log was made: \(number(first)) s."]
        try report.print(asJSON: options.json)
    }

    /// A log with builds is not served without one.
    private func writeReleaseKey(_ path: String) throws {
        let seed = String(repeating: "07", count: 32)
        guard
            FileManager.default.createFile(
                atPath: path, contents: Data("drover-release-key-1 \(seed)\n".utf8),
                attributes: [.posixPermissions: 0o600])
        else { throw BenchmarkFailure("\(path) cannot be written") }
    }

    /// Seconds to ready, and the megabytes that are the process's own alone a second later.
    private func start(_ role: RoleProcess) async throws -> (Double, Double) {
        let start = ContinuousClock.now
        try await role.start()
        let seconds = elapsed(since: start)
        try await Task.sleep(for: .seconds(1))
        return (seconds, Double(try role.anonymousBytes()) / 1e6)
    }

    /// Until the snapshot is there and the views have caught up; then a kill, for a start after a crash is meant.
    private func settle(_ role: RoleProcess, _ data: String) async throws {
        while true {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: data + "/snapshots")) ?? []
            let isBuilding = FileManager.default.fileExists(atPath: data + "/views.sqlite.rebuild")
            if names.contains(where: { $0.hasSuffix(".state") }), !isBuilding { break }
            try await Task.sleep(for: .seconds(1))
        }
        try await Task.sleep(for: .seconds(2))
        await role.stop()
    }

    /// Moves a file with what SQLite keeps beside it, over whatever stands there.
    private func move(_ directory: String, _ from: String, _ to: String) throws {
        let files = FileManager.default
        for suffix in ["", "-wal", "-shm", ".rebuild"] {
            try? files.removeItem(atPath: "\(directory)/\(to)\(suffix)")
            let old = "\(directory)/\(from)\(suffix)"
            if files.fileExists(atPath: old) { try files.moveItem(atPath: old, toPath: "\(directory)/\(to)\(suffix)") }
        }
    }
}
