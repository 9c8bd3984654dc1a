import Domain
import Foundation
import Glibc
import Ports
import Synchronization

extension Laboratory {
    private static let diskClients = 16
    private static let diskBytes = 8 << 20
    /// What is taken away to make space again.
    private static let ballastBytes = [2 << 20, 4 << 20, 5 << 20]

    /// A small file system that fills up under the engine, and has space again.
    package func attackWithFullDisk(sabotage: Sabotage? = nil) async throws -> AttackReport {
        guard geteuid() == 0 else { return .skipped("full disk", "needs root, to mount a small file system") }
        let report = Mutex(AttackReport?.none)
        let work = FullDiskWork(settings: settings, sabotage: sabotage)
        // In a mount namespace of its own, which ends with it, however it ends.
        let surroundings = Children.Surroundings(under: ["/usr/bin/unshare", "--mount", "--propagation", "private"])
        let end = try await children.run(.fullDisk(work), surroundings) { line in
            if let progressed = FullDiskWork.progress(line) {
                progress("full disk", progressed, Self.ballastBytes.count)
            }
            if let told = FullDiskWork.report(line) { report.withLock { $0 = told } }
        }
        guard let report = report.withLock({ $0 }) else {
            throw LaboratoryFailure("the small disk's own process ended (\(end)): is unshare of util-linux there?")
        }
        return report
    }

    fileprivate func fillDisks(_ sabotage: Sabotage?) async throws -> AttackReport {
        try await timed("full disk") { report in
            for (round, ballast) in Self.ballastBytes.enumerated() {
                progress("full disk", round, Self.ballastBytes.count)
                let root = try place("full")
                let disk = SmallDisk(root: root, bytes: Self.diskBytes)
                guard let kind = try await disk.mount() else {
                    report.skipped = "no small file system can be mounted here"
                    return
                }
                report.attack = "full disk, \(kind)"
                report.tried += 1
                let outcome = await Result { try await fill(disk.path, ballast: ballast, sabotage) }
                if case .success(let problem?) = outcome {
                    try keep(
                        Finding("full disk", problem.message),
                        .log(directory: disk.path + "/log", lines: problem.lines), &report)
                    report.lost += 1
                } else {
                    report.opened += 1
                }
                await disk.unmount()
                _ = try outcome.get()
            }
            report.distinct = report.tried
            removePlace("full")
        }
    }

    private func fill(_ disk: String, ballast: Int, _ sabotage: Sabotage?) async throws -> (
        message: String, lines: [String]
    )? {
        let ballastPath = disk + "/ballast"
        try Data(count: ballast).write(to: URL(filePath: ballastPath))
        var workload = Workload(directory: disk + "/log", commands: nil)
        (workload.clients, workload.sabotage) = (Self.diskClients, sabotage)
        let lines = Mutex([String]())
        let end = try await children.run(.workload(workload)) { line in lines.withLock { $0.append(line) } }
        let said = lines.withLock { $0 }
        if case .signalled(let number) = end {
            return ("the engine crashed (signal \(number)): \(said.last ?? "")", said)
        }
        guard Told((said.joined(separator: "\n") + "\n").utf8).failed.count > 0 || sabotage != nil else {
            return ("the engine ended (\(end)) and told nobody why: \(said.last ?? "")", said)
        }
        try FileManager.default.removeItem(atPath: ballastPath)
        let verdict = try await check(disk + "/log", said)
        return verdict.kind == .sound ? nil : ("\(verdict.kind.rawValue): \(verdict.message)", said)
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

/// A file system of its own: ext4 in a file, or where there are no loop devices, memory with a limit.
private struct SmallDisk {
    let root: String
    let bytes: Int

    var path: String { root + "/disk" }

    /// Which kind it became; nil for none.
    func mount() async throws -> String? {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let file = root + "/file"
        try Data().write(to: URL(filePath: file))
        try FileHandle(forWritingTo: URL(filePath: file)).truncate(atOffset: UInt64(bytes))
        if await run("mkfs.ext4", "-q", "-F", "-m", "0", file), await run("mount", "-o", "loop", file, path) {
            return "ext4"
        }
        return await run("mount", "-t", "tmpfs", "-o", "size=\(bytes)", "none", path) ? "tmpfs" : nil
    }

    func unmount() async { _ = await run("umount", path) }

    private func run(_ words: String...) async -> Bool {
        let places = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"]
        guard let tool = places.map({ $0 + words[0] }).first(where: FileManager.default.isExecutableFile) else {
            return false
        }
        let children = Children(program: [], recorder: "", directory: root)
        guard let process = try? await children.start([tool] + words.dropFirst(), .init()) else { return false }
        return (try? await children.listen(to: process) { _ in }) == .exited(0)
    }
}

/// The attack, in a process that mounts what nobody else sees.
struct FullDiskWork: Codable, Sendable {
    var settings: Laboratory.Settings
    var sabotage: Sabotage?

    private static let roundWord = "round "
    private static let reportWord = "report "

    /// Says `round N` on the way and `report JSON` at its end.
    func run() async throws {
        let laboratory = try Laboratory(settings) { _, done, _ in say("\(Self.roundWord)\(done)") }
        let report = try await laboratory.fillDisks(sabotage)
        say(Self.reportWord + String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    }

    static func progress(_ line: String) -> Int? {
        line.hasPrefix(roundWord) ? Int(line.dropFirst(roundWord.count)) : nil
    }

    static func report(_ line: String) -> AttackReport? {
        guard line.hasPrefix(reportWord) else { return nil }
        return try? JSONDecoder().decode(AttackReport.self, from: Data(line.utf8.dropFirst(reportWord.utf8.count)))
    }
}
