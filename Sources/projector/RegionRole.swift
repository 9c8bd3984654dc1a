import ArgumentParser
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

    @Option(help: ArgumentHelp("The global process.", valueName: "url"))
    var control: String?

    @Option(help: "This region's name.")
    var name: String?

    func run() async throws {
        let settings = try await RoleSettings()
        let name: RegionName = try settings.name(name, "name", default: "one")
        let place = try RolePlace(options, settings, data: ".drover/regions/\(name)", listen: "127.0.0.1:7071")
        let control = try controlURL(
            settings.text(control, "control"), flag: "control", what: "the global process")
        let logger = try makeLogger("drover.region.\(name)", options, settings)
        try prepareDirectory(place.data)
        let log = try openLog(place.data + "/log")
        let clock = SystemClock()
        let engine = try EngineService<Regional>(
            store: log, codec: RegionalCodec(), clock: clock,
            configuration: EngineConfiguration(version: droverVersion), logger: logger)
        let service = RegionService(
            configuration: RegionConfiguration(
                name: name, directory: place.data, host: place.listen.host, port: place.listen.port,
                advertise: place.advertise.map { "http://\($0)" }, swarmSeed: UInt64.random(in: .min ... .max),
                serving: ServingSettings(allowedHosts: place.allowedHosts)),
            engine: engine, upstream: HTTPUpstream(name: name, control: control), clock: clock,
            metrics: MetricsRegistry(), logger: logger
        ) { announceReady($0, file: place.readyFile) }
        try await runServices([EngineRunning(engine: engine), service], logger: logger)
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
