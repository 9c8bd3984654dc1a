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
import Synchronization
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

    @Flag(help: "Begin a new epoch: after a restore, or when a region was found on another chain.")
    var newEpoch = false

    @Option(help: ArgumentHelp("Why the new epoch begins, for the log.", valueName: "text"))
    var newEpochReason: String?

    /// Puts what was given in the place of the log's settings.
    func change(_ settings: RoleSettings) throws -> @Sendable (Domain.Settings) throws(Refusal) -> Domain.Settings {
        let heartbeat = try settings.number(heartbeatSeconds, "heartbeat-seconds")
        let lease = try settings.number(leaseSeconds, "lease-seconds")
        let silent = try settings.number(regionSilentSeconds, "region-silent-seconds")
        let deadline = try settings.number(deploymentDeadlineSeconds, "deployment-deadline-seconds")
        return { (old) throws(Refusal) in
            var new = old
            new.heartbeatSeconds = heartbeat ?? old.heartbeatSeconds
            new.leaseSeconds = lease ?? old.leaseSeconds
            new.regionSilentSeconds = silent ?? old.regionSilentSeconds
            new.deploymentDeadlineSeconds = deadline ?? old.deploymentDeadlineSeconds
            if let problem = new.problem { throw problem }
            return new
        }
    }

    /// Nil when no new epoch is wanted.
    func epochReason(_ settings: RoleSettings) throws -> String? {
        let reason = settings.text(newEpochReason, "new-epoch-reason")
        let most = EngineConfiguration.maximumReasonBytes
        guard reason?.utf8.count ?? 0 <= most else {
            throw UsageProblem("--new-epoch-reason is longer than \(most) bytes: shorten it")
        }
        return try settings.flag(newEpoch, "new-epoch") ? reason ?? "asked for by --new-epoch" : nil
    }
}

struct GlobalCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "global", abstract: "The global engine: queue, replication, targets, HTTP API and page.")

    @OptionGroup var options: CommonOptions
    @OptionGroup var decisions: DecisionOptions
    @OptionGroup var retention: RetentionOptions
    @OptionGroup var backup: BackupOptions
    @OptionGroup var snapshots: SnapshotOptions

    func run() async throws {
        let settings = try await RoleSettings()
        let place = try RolePlace(options, settings, data: ".drover/global", listen: "127.0.0.1:7070")
        let logger = try makeLogger("drover.global", options, settings)
        let global = try await GlobalRole(
            place: place, decisions: decisions, retention: retention, backup: backup, snapshots: snapshots,
            settings: settings, logger: logger
        ) { announceReady($0, file: place.readyFile) }
        try await runServices(global.services, logger: logger)
    }
}

/// The global process's parts, put together.
struct GlobalRole {
    let services: [any Service]

    init(
        place: RolePlace, decisions: DecisionOptions, retention: RetentionOptions, backup: BackupOptions,
        snapshots: SnapshotOptions,
        settings: RoleSettings, logger: Logger, missing: @escaping @Sendable () -> String? = { nil },
        bound: @escaping @Sendable (String) -> Void
    ) async throws {
        try prepareDirectory(place.data)
        let log = try openLog(place.data + "/log")
        try await useArchive(of: log, backup: backup.place(settings), logger)
        let clock = SystemClock()
        let views = try Views<GlobalViews>.open(
            path: place.data + "/views.sqlite", codec: GlobalCodec(), logger: logger)
        let seen = views.position.map { SeenPosition(holder: "the SQL views are", position: $0) }
        let engine = try Self.startEngine(log, clock, place, decisions, snapshots, settings, seen, logger)
        let key = try await Self.releaseKey(place.data + "/release.key", engine)
        let blobs = try await DirectoryBlobStore.open(place.data + "/blobs")
        let (presence, followers) = (Presence<RegionName>(clock: clock), FollowerPlaces())
        let metrics = MetricsRegistry()
        let backup = try backup.backup(
            settings, place, log: log, kind: .global, engine: engine, blobs: blobs, metrics: metrics, logger: logger
        ) { [views.position ?? .start(of: log.identity)] + followers.positions }
        let router = Router(context: ServingContext.self)
        var apiSettings = APISettings(version: droverVersion)
        apiSettings.serving.allowedHosts = place.allowedHosts
        let world = GlobalAPI.Dependencies(
            engine: engine, views: SQLReads(views),
            manifests: ManifestAdapter(key: key, blobs: blobs), blobs: blobs, output: RegionAdapter(),
            peers: RegionAdapter(), readiness: EngineReadiness(engine: engine, missing: missing),
            metrics: metrics, heard: { presence.note($0) }, followed: { followers.note($0, $1) },
            backup: { backup?.status.body })
        let api = GlobalAPI(settings: apiSettings, world: world, logger: logger)
        api.install(on: router)
        Console.install(on: router)
        let application = Application(
            router: router,
            server: .watchful(hot: HotClaims(api), settings: apiSettings.serving, metrics: metrics),
            configuration: .init(
                address: .hostname(place.listen.host, port: place.listen.port), serverName: "drover"),
            onServerRunning: { channel in
                var address = place.advertise ?? place.listen
                if place.advertise == nil { address.port = channel.localAddress?.port ?? address.port }
                bound("http://\(address)")
            }, logger: logger)
        let plans = globalPlans + [regionSilencePlan(presence)]
        let follower = ViewsFollower<GlobalViews, Global>(views: views, engine: engine, logger: logger)
        var services: [any Service] = [EngineRunning(engine: engine), follower]
        services += plans.map { Projector($0, engine: engine, logger: logger) }
        services.append(RetentionService(engine: engine, change: try retention.change(settings), logger: logger))
        services += backup?.services ?? []
        self.services = services + [application]
    }
}

extension GlobalRole {
    private static func startEngine(
        _ log: EventLog, _ clock: SystemClock, _ place: RolePlace, _ decisions: DecisionOptions,
        _ snapshots: SnapshotOptions, _ settings: RoleSettings, _ seen: SeenPosition?, _ logger: Logger
    ) throws -> EngineService<Global> {
        let change = try decisions.change(settings)
        let problem = Mutex<Refusal?>(nil)
        var configuration = EngineConfiguration(
            version: droverVersion, newEpochReason: try decisions.epochReason(settings),
            forkMarker: ForkMarker(path: place.data + "/forked")
        ) { (old) throws(Refusal) in
            do throws(Refusal) { return try change(old) } catch {
                problem.withLock { $0 = error }
                throw error
            }
        }
        try snapshots.change(&configuration, data: place.data, settings)
        configuration.seen = [seen].compactMap(\.self)
        do {
            return try EngineService<Global>(
                store: log, codec: GlobalCodec(), clock: clock, configuration: configuration, logger: logger)
        } catch {
            throw problem.withLock { $0 }.map { UsageProblem($0.message) } ?? error
        }
    }

    /// Made at the first start only: with another one nobody would trust the builds that the log has.
    private static func releaseKey(_ path: String, _ engine: EngineService<Global>) async throws -> ReleaseKey {
        let hasBuilds = try await engine.read { state, _ in !state.queue.builds.isEmpty }
        if hasBuilds, !FileManager.default.fileExists(atPath: path) {
            throw RoleFailure(
                "the release key \(path) is gone, and the log has builds that it has signed: restore it from its backup"
            )
        }
        return try ReleaseKey.loadOrCreate(path: path)
    }
}

/// Ready while the engine takes commands and every embedded role is ready.
struct EngineReadiness: Readiness {
    let engine: EngineService<Global>
    let missing: @Sendable () -> String?

    var notReady: String? { engine.notReady?.message ?? missing() }
}
