import API
import ArgumentParser
import Blobs
import Codec
import Console
import Domain
import Engine
import EventLog
import Foundation
import Hummingbird
import Logging
import Packs
import Ports
import Projectors
import ServiceLifecycle
import Serving
import Views

/// Numbers that decisions depend on. Given ones become facts of the log at start; the rest stays as the log has it.
struct DecisionOptions: ParsableArguments {
    @Option(help: "How often a worker says that it lives.")
    var heartbeatSeconds: UInt32?

    @Option(help: "How long a claimed attempt may stay silent before its job goes to another worker.")
    var leaseSeconds: UInt32?

    @Option(help: "How long a region may stay silent before deployments stop waiting for it.")
    var regionSilentSeconds: UInt32?

    @Option(help: "How long a deployment may take before it has failed.")
    var deploymentDeadlineSeconds: UInt32?

    @Option(
        help: ArgumentHelp(
            "Begin a new epoch, with this reason: after a restore, or when a region was found on another chain.",
            valueName: "reason"))
    var newEpoch: String?

    /// The log's settings with what was given in their place.
    func changed(_ old: Domain.Settings, _ settings: RoleSettings) throws -> Domain.Settings {
        var new = old
        new.heartbeatSeconds = try settings.number(heartbeatSeconds, "heartbeat-seconds") ?? new.heartbeatSeconds
        new.leaseSeconds = try settings.number(leaseSeconds, "lease-seconds") ?? new.leaseSeconds
        new.regionSilentSeconds =
            try settings.number(regionSilentSeconds, "region-silent-seconds") ?? new.regionSilentSeconds
        new.deploymentDeadlineSeconds =
            try settings.number(deploymentDeadlineSeconds, "deployment-deadline-seconds")
            ?? new.deploymentDeadlineSeconds
        if let problem = new.problem { throw UsageProblem(problem.message) }
        return new
    }
}

struct GlobalCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "global", abstract: "The global engine: queue, replication, targets, HTTP API and page.")

    @OptionGroup var options: CommonOptions
    @OptionGroup var decisions: DecisionOptions

    func run() async throws {
        let settings = try await RoleSettings()
        let place = try RolePlace(options, settings, data: ".drover/global", listen: "127.0.0.1:7070")
        let logger = try makeLogger("drover.global", options, settings)
        let global = try await GlobalRole(place: place, decisions: decisions, settings: settings, logger: logger) {
            announceReady($0, file: place.readyFile)
        }
        try await runServices(global.services, logger: logger)
    }
}

/// The global process's parts, put together.
struct GlobalRole {
    let services: [any Service]

    init(
        place: RolePlace, decisions: DecisionOptions, settings: RoleSettings, logger: Logger,
        missing: @escaping @Sendable () -> String? = { nil }, bound: @escaping @Sendable (String) -> Void
    ) async throws {
        try prepareDirectory(place.data)
        let log = try openLog(place.data + "/log")
        let clock = SystemClock()
        let old = try Replay<Global>.whole(log, codec: GlobalCodec()).state.log.settings
        let engine = try EngineService<Global>(
            store: log, codec: GlobalCodec(), clock: clock,
            configuration: EngineConfiguration(
                version: droverVersion, settings: try decisions.changed(old, settings),
                newEpochReason: decisions.newEpoch), logger: logger)
        let key = try ReleaseKey.loadOrCreate(path: place.data + "/release.key")
        let blobs = try await DirectoryBlobStore.open(place.data + "/blobs")
        let views = try Views<GlobalViews>.open(
            path: place.data + "/views.sqlite", codec: GlobalCodec(), logger: logger)
        let presence = Presence<RegionName>(clock: clock)
        let router = Router(context: ServingContext.self)
        var apiSettings = APISettings(version: droverVersion)
        apiSettings.serving.allowedHosts = place.allowedHosts
        let world = GlobalAPI.Dependencies(
            engine: engine, views: SQLReads(views),
            manifests: ManifestAdapter(key: key, blobs: blobs), blobs: blobs, output: RegionAdapter(),
            peers: RegionAdapter(), readiness: EngineReadiness(engine: engine, missing: missing),
            metrics: MetricsRegistry(),
            heard: { presence.note($0) })
        GlobalAPI(settings: apiSettings, world: world, logger: logger).install(on: router)
        Console.install(on: router)
        let application = Application(
            router: router,
            configuration: .init(
                address: .hostname(place.listen.host, port: place.listen.port), serverName: "drover"),
            onServerRunning: { channel in
                var address = place.advertise ?? place.listen
                if place.advertise == nil { address.port = channel.localAddress?.port ?? address.port }
                bound("http://\(address)")
            }, logger: logger)
        let silence = SilenceProjector(
            name: "region-silence", engine: engine, presence: presence, logger: logger,
            expected: { state in (state.fleet.liveRegions, state.log.settings.regionSilentSeconds) },
            command: { GlobalCommand.fleet(.regionSilent($0)) })
        services =
            [
                EngineRunning(engine: engine),
                ViewsFollower<GlobalViews, Global>(views: views, engine: engine, logger: logger),
            ]
            + globalProjectors(engine: engine, logger: logger) + [silence, application]
    }
}

/// Ready while the engine takes commands and every embedded role is ready.
struct EngineReadiness: Readiness {
    let engine: EngineService<Global>
    let missing: @Sendable () -> String?

    var notReady: String? { engine.notReady?.message ?? missing() }
}
