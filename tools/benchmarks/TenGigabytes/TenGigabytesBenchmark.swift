import ArgumentParser
import Domain
import Foundation

/// The long form: one very large artifact goes the whole road, every role is killed on it, memory stays bounded.
struct TenGigabytesBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ten-gigabytes",
        abstract: "A 10 GB artifact: worker, store, second region's store, one peer; every role killed once.",
        discussion: """
            Six copies of the artifact lie on the disk at the end (artifact, pack, two stores, the peer's pack and its \
            binary), so that 10 GB need 60 GB free. Every role is a process of its own. Killed with -9 and started \
            again: the worker while it builds, the first region while it takes the upload, the global process a little \
            later, the second region while it mirrors, the peer while it fetches.
            """)

    static let copies: UInt64 = 6
    static let memoryLimitBytes: UInt64 = 512 << 20
    static let budgetSeconds = 1800.0

    @Flag(help: "Print JSON instead of a table.")
    var json = false

    @Option(help: ArgumentHelp("Where to write: a disk with room for six copies.", valueName: "directory"))
    var directory = "."

    @Option(help: "The artifact's size; smaller ones try the same road.")
    var gigabytes = 10.0

    @Flag(help: "Kill nobody: the times of an undisturbed road.")
    var undisturbed = false

    func run() async throws {
        let workplace = try Workplace(below: directory)
        let bytes = UInt64(gigabytes * 1e9)
        let (needed, free) = (bytes * Self.copies, try workplace.freeBytes)
        guard free >= needed else {
            throw BenchmarkFailure(
                "\(number(Double(needed) / 1e9)) GB must be free on the disk of \(directory), and "
                    + "\(number(Double(free) / 1e9)) GB are: name another --directory")
        }
        var report = Report("\(number(gigabytes)) GB of random bytes from a commit to a running peer", repetitions: 1)
        let repository = try await Repository.make(at: workplace.directory("repository"), bytes: bytes)
        let fleet = try await Fleet.start(
            in: workplace.directory("fleet"), regions: 2, peerRegions: [1],
            globalArguments: ["--heartbeat-seconds", "1"])
        let watch = Task {
            while !Task.isCancelled {
                for role in fleet.all { role.lookAtMemory() }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        defer { watch.cancel() }
        do {
            var road = Road(fleet: fleet, bytes: bytes, isUndisturbed: undisturbed)
            try await road.go(repository)
            for role in fleet.all { role.lookAtMemory() }
            report.measurements = try await measurements(fleet, road)
            report.notes = road.notes
            await fleet.stop()
            try report.print(asJSON: json)
            try checkMemory(fleet)
        } catch {
            await fleet.stop()
            throw error
        }
    }

    private func measurements(_ fleet: Fleet, _ road: Road) async throws -> [Measurement] {
        let stages = try await Stages(fleet.client).measurements(
            packWhole: road.packWhole, bytes: road.bytes, budgetSeconds: Self.budgetSeconds)
        return stages
            + fleet.all.map { role in
                let megabytes = { (bytes: UInt64) in Double(bytes) / Double(1 << 20) }
                var row = Measurement(
                    name: "memory of \(role.name)", unit: "MiB", values: [megabytes(role.memory.peakBytes)])
                row.note =
                    "\(number(megabytes(role.memory.anonymousBytes))) MiB anonymous; "
                    + (role.memory.peakBytes <= Self.memoryLimitBytes ? "within" : "ABOVE") + " 512 MiB"
                return row
            }
    }

    private func checkMemory(_ fleet: Fleet) throws {
        let large = fleet.all.filter { $0.memory.peakBytes > Self.memoryLimitBytes }
        guard large.isEmpty else {
            throw BenchmarkFailure("above 512 MiB of memory: \(large.map(\.name).joined(separator: ", "))")
        }
    }
}
