import ArgumentParser
import Domain
import Foundation
import Logging
import Ports
import Processes
import ServiceLifecycle
import Synchronization

struct EverythingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "all", abstract: "Everything on this machine, with no other service (the default).")

    @OptionGroup var options: CommonOptions
    @OptionGroup var decisions: DecisionOptions
    @OptionGroup var retention: RetentionOptions
    @OptionGroup var backup: BackupOptions
    @OptionGroup var snapshots: SnapshotOptions

    @Option(help: "How many regions.")
    var regions: UInt32?

    @Option(help: "How many peers in each region.")
    var peers: UInt32?

    @Option(help: "How many workers.")
    var workers: UInt32?

    func run() async throws {
        let settings = try await RoleSettings()
        let place = try RolePlace(options, settings, data: ".drover", listen: "127.0.0.1:7070")
        let logger = try makeLogger("drover", options, settings)
        try prepareDirectory(place.data)
        let lock = try lockDirectory(place.data)
        let regions = try count(settings.number(regions, "regions") ?? 2, 1...10, "regions")
        let peers = try count(settings.number(peers, "peers") ?? 3, 0...100, "peers")
        let workers = try count(settings.number(workers, "workers") ?? 1, 0...100, "workers")
        let fleet = EmbeddedFleet(
            data: place.data, logLevel: settings.text(options.logLevel, "log-level") ?? "notice",
            regions: Self.regionNames(regions), peers: peers, workers: workers, logger: logger)
        var globalPlace = place
        globalPlace.data = place.data + "/global"
        let global = try await GlobalRole(
            place: globalPlace, decisions: decisions, retention: retention, backup: backup, snapshots: snapshots,
            settings: settings, logger: logger,
            missing: { fleet.missing }
        ) { fleet.globalIsBound($0) }
        let announcing = ReadyAnnouncer(fleet: fleet, file: place.readyFile)
        try await runServices(
            global.services + [fleet, announcing], logger: logger,
            stopSeconds: EmbeddedFleet.stopSeconds + standardStopSeconds)
        withExtendedLifetime(lock) {}
    }

    private func count(_ value: UInt32, _ range: ClosedRange<UInt32>, _ flag: String) throws -> Int {
        guard range.contains(value) else {
            throw UsageProblem("--\(flag) is \(value): it must be \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(value)
    }

    private static func regionNames(_ count: Int) -> [String] {
        let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        return Array(words.prefix(count))
    }
}

/// Tells once that every embedded role is ready.
private struct ReadyAnnouncer: Service {
    let fleet: EmbeddedFleet
    let file: String?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            if let url = await fleet.waitUntilReady() { announceReady(url, file: file) }
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        }
    }
}
