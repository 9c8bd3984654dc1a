import ArgumentParser
import Blobs
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Region
import ServiceLifecycle
import Serving

struct RegionCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "region", abstract: "One region: its store, mirror, targets, tracker and peers.")

    @OptionGroup var options: CommonOptions
    @OptionGroup var snapshots: SnapshotOptions

    @Option(help: ArgumentHelp("The global process.", valueName: "url"))
    var control: String?

    @Option(help: "This region's name.")
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Where peers and other regions fetch packs; any free port of the --listen host otherwise.",
            valueName: "host:port"))
    var mirrorListen: String?

    @Option(
        help: ArgumentHelp(
            "The host and port that others fetch packs at, where it is not the advertised host and that port.",
            valueName: "host:port"))
    var mirrorAdvertise: String?

    @Option(
        help: "What packs may take of the disk at most, in megabytes of 1,048,576 bytes; all that is free otherwise.")
    var storeMegabytes: UInt32?

    @OptionGroup var backup: BackupOptions

    func run() async throws {
        let settings = try await RoleSettings()
        let name: RegionName = try settings.name(name, "name", default: "one")
        let place = try RolePlace(options, settings, data: ".drover/regions/\(name)", listen: "127.0.0.1:7071")
        let mirror = try mirrorPlace(settings)
        let control = try controlURL(
            settings.text(control, "control"), flag: "control", what: "the global process")
        let logger = try makeLogger("drover.region.\(name)", options, settings)
        try prepareDirectory(place.data)
        let log = try openLog(place.data + "/log")
        try await useArchive(of: log, backup: backup.place(settings), logger)
        let clock = SystemClock()
        var configuration = EngineConfiguration(version: droverVersion)
        try snapshots.change(&configuration, data: place.data, settings)
        let engine = try EngineService<Regional>(
            store: log, codec: RegionalCodec(), clock: clock, configuration: configuration, logger: logger)
        let metrics = MetricsRegistry()
        let storeBytes = try storeBytes(settings)
        let service = RegionService(
            configuration: RegionConfiguration(
                name: name, directory: place.data, host: place.listen.host, port: place.listen.port,
                advertise: place.advertise.map { "http://\($0)" }, storeBytes: storeBytes, mirrorHost: mirror?.host,
                mirrorPort: mirror?.port ?? 0,
                mirrorAdvertise: try settings.text(mirrorAdvertise, "mirror-advertise").map {
                    "http://\(try HostPort($0, flag: "mirror-advertise"))"
                }, swarmSeed: UInt64.random(in: .min ... .max),
                serving: ServingSettings(allowedHosts: place.allowedHosts)),
            engine: engine, upstream: HTTPUpstream(name: name, control: control), clock: clock,
            metrics: metrics, logger: logger
        ) { announceReady($0, file: place.readyFile) }
        let backup = try backup.backup(
            settings, place, log: log, kind: .regional, engine: engine,
            blobs: try await DirectoryBlobStore.open(place.data + "/store", readOnly: true), metrics: metrics,
            logger: logger)
        try await runServices(
            [EngineRunning(engine: engine)] + (backup?.services ?? []) + [service], logger: logger)
    }

    private func storeBytes(_ settings: RoleSettings) throws -> UInt64? {
        let megabytes = try settings.number(storeMegabytes, "store-megabytes")
        guard megabytes != 0 else {
            throw UsageProblem("--store-megabytes is 0: nothing could be stored; leave it out for all that is free")
        }
        return megabytes.map { UInt64($0) << 20 }
    }

    private func mirrorPlace(_ settings: RoleSettings) throws -> HostPort? {
        guard let text = settings.text(mirrorListen, "mirror-listen") else { return nil }
        let place = try HostPort(text, flag: "mirror-listen")
        guard try place.isLoopback || settings.flag(options.insecure, "insecure") else {
            throw UsageProblem(
                "--mirror-listen \(place) is reachable from other machines and TLS is not configured: "
                    + "listen on 127.0.0.1, or say --insecure if the network is yours alone")
        }
        return place
    }
}

/// Where states are kept for the next start, and how often.
struct SnapshotOptions: ParsableArguments {
    @Option(help: "Events between two snapshots of the state: what a start has to fold again at most (100000).")
    var snapshotEvents: UInt32?

    func change(_ configuration: inout EngineConfiguration, data: String, _ settings: RoleSettings) throws {
        configuration.snapshots = StateSnapshots(directory: data + "/snapshots")
        if let events = try settings.number(snapshotEvents, "snapshot-events") {
            configuration.hashing = StateHashing(intervalEvents: UInt64(events))
        }
    }
}

/// Opens or makes the log of an engine; a second writer is refused with the holder's number.
func openLog(_ directory: String) throws -> EventLog {
    var settings = EventLog.Settings()
    settings.lockWaitSeconds = 10
    do {
        return try EventLog.open(directory: directory, mode: .create(identity: nil), settings: settings)
    } catch {
        throw RoleFailure(error.description)
    }
}

/// An engine as a service: its end by a failing log ends the process, which a supervisor starts again.
struct EngineRunning<A: Aggregate>: Service {
    let engine: EngineService<A>

    func run() async throws {
        try await withGracefulShutdownHandler {
            do throws(EngineFailure) {
                try await engine.waitForEnd()
            } catch {
                throw RoleFailure(error.description)
            }
        } onGracefulShutdown: {
            engine.stop()
        }
    }
}
