import Blobs
import Codec
package import Domain
package import Engine
import Foundation
import HTTPTypes
import Hummingbird
package import Logging
import Packs
package import Ports
import Projectors
import ServiceLifecycle
package import Serving
import Synchronization
import Transfer

package struct RegionConfiguration: Sendable {
    package var name: RegionName
    /// Where this region keeps its log, views and store.
    package var directory: String
    package var host: String
    /// 0: any free one.
    package var port: Int
    /// Where others reach the routes, as in `http://10.0.0.1:7071`; nil for the bound address.
    package var advertise: String?
    /// Where the mirror listens, where packs are fetched; nil for the host of the routes.
    package var mirrorHost: String?
    /// 0: any free one.
    package var mirrorPort: Int
    /// Where others reach the mirror, as in `http://10.0.0.1:7171`; nil for the advertised host and the bound port.
    package var mirrorAdvertise: String?
    /// What packs may take at most; nil for all that the disk has free.
    package var storeBytes: UInt64?
    /// Seed of the swarm's random choices, and of rests.
    package var swarmSeed: UInt64
    package var serving: ServingSettings

    package init(
        name: RegionName, directory: String, host: String = "127.0.0.1", port: Int = 0, advertise: String? = nil,
        storeBytes: UInt64? = nil,
        mirrorHost: String? = nil, mirrorPort: Int = 0, mirrorAdvertise: String? = nil, swarmSeed: UInt64,
        serving: ServingSettings = ServingSettings()
    ) {
        (self.name, self.directory, self.host, self.port) = (name, directory, host, port)
        (self.mirrorHost, self.mirrorPort, self.mirrorAdvertise) = (mirrorHost, mirrorPort, mirrorAdvertise)
        (self.advertise, self.swarmSeed, self.serving) = (advertise, swarmSeed, serving)
        self.storeBytes = storeBytes
    }
}

/// One region: its log's engine, its store and mirror, its routes, and what keeps it in step with the global process.
package struct RegionService: Service {
    private let configuration: RegionConfiguration
    private let engine: EngineService<Regional>
    private let upstream: any RegionUpstream
    private let clock: any ClockSource
    private let metrics: MetricsRegistry
    private let logger: Logger
    private let ready: @Sendable (String) -> Void

    /// - Parameter ready: told once where the routes answer, as in `http://127.0.0.1:7071`, when the region has joined,
    ///   or can serve without.
    package init(
        configuration: RegionConfiguration, engine: EngineService<Regional>, upstream: any RegionUpstream,
        clock: any ClockSource, metrics: MetricsRegistry, logger: Logger, ready: @escaping @Sendable (String) -> Void
    ) {
        (self.configuration, self.engine, self.upstream) = (configuration, engine, upstream)
        (self.clock, self.metrics, self.logger, self.ready) = (clock, metrics, logger, ready)
    }

    package func run() async throws {
        let store = try await DirectoryBlobStore.open(configuration.directory + "/store")
        let shelf = PackShelf()
        let server = try await PieceServer.bind(mirrorSettings, catalog: shelf, logger: logger)
        let keys = ReleaseKeyBox(path: configuration.directory + "/release-key.pub")
        let keeper = StoreKeeper(engine: engine, upstream: upstream, store: store, shelf: shelf, logger: logger)
        let manifests = Manifests(store: store, keys: keys, upstream: upstream)
        let presence = Presence<PeerName>(clock: clock)
        let ready = Announcement(ready)
        let (started, startedSource) = AsyncStream.makeStream(of: String.self)
        let application = application(
            api(
                keeper, manifests, presence: presence, ready: ready,
                mirrorEndpoint: mirrorEndpoint(port: server.address.port))
        ) { address in
            startedSource.yield(address)
            startedSource.finish()
        }
        let mirror = Mirror(
            name: configuration.name, engine: engine, upstream: upstream, keeper: keeper, manifests: manifests,
            shelf: shelf, clock: clock, seed: configuration.swarmSeed, metrics: metrics, logger: logger)
        // It follows its parent's shutdown by itself; the last of these ends first.
        try await ServiceGroup(
            configuration: .init(
                services: [
                    application, MirrorServer(server: server), silence(presence), mirror,
                    StoreCheck(engine: engine, keeper: keeper, manifests: manifests, logger: logger),
                    following(started, keeper: keeper, keys: keys, ready: ready),
                ], logger: logger)
        ).run()
    }

    /// Packs that the mirror sends at once.
    private static let mirrorSlots = 64

    private var mirrorSettings: PieceServerSettings {
        var settings = PieceServerSettings(
            host: configuration.mirrorHost ?? configuration.host, port: configuration.mirrorPort,
            uploadSlots: Self.mirrorSlots)
        settings.waitingUploads = Self.mirrorSlots * 4
        return settings
    }

    private func application(
        _ api: RegionAPI, onStart: @escaping @Sendable (String) -> Void
    ) -> some ApplicationProtocol {
        Application(
            router: api.router(),
            configuration: .init(
                address: .hostname(configuration.host, port: configuration.port), serverName: "drover-region"),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? configuration.port
                onStart(Self.endpoint(host: configuration.host, port: port))
            }, logger: logger)
    }

    private func silence(_ presence: Presence<PeerName>) -> some Service {
        Projector(peerSilencePlan(presence), engine: engine, logger: logger)
    }

    /// What needs the address of the routes.
    private func following(
        _ started: AsyncStream<String>, keeper: StoreKeeper, keys: ReleaseKeyBox, ready: Announcement
    ) -> some Service {
        StartedServices(started: started) { address in
            [
                FeedFollower(
                    endpoint: configuration.advertise ?? address, engine: engine, upstream: upstream, keys: keys,
                    keeper: keeper, ready: ready, seed: configuration.swarmSeed, logger: logger),
                LevelReporter(engine: engine, upstream: upstream, clock: clock, logger: logger),
                StoreReporter(
                    engine: engine, upstream: upstream, store: keeper.store, maximumBytes: configuration.storeBytes,
                    logger: logger),
            ]
        }
    }

    private func api(
        _ keeper: StoreKeeper, _ manifests: Manifests, presence: Presence<PeerName>, ready: Announcement,
        mirrorEndpoint: String
    ) -> RegionAPI {
        let (engine, keys) = (engine, manifests.keys)
        return RegionAPI(
            name: configuration.name, engine: engine, keeper: keeper, presence: presence,
            swarms: SwarmDirectory(seed: configuration.swarmSeed, clock: clock), settings: configuration.serving,
            metrics: metrics, logger: logger, releaseKey: { keys.value }, mirrorEndpoint: { mirrorEndpoint },
            manifestBytes: { try await manifests($0).bytes },
            notReady: {
                if let failure = engine.notReady { return failure.message }
                return ready.isDone ? nil : "this region has not joined yet: the global process was not reached"
            })
    }

    private func mirrorEndpoint(port: Int) -> String {
        let advertised = configuration.advertise.flatMap { URL(string: $0)?.host() }
        let host = advertised ?? configuration.mirrorHost ?? configuration.host
        return configuration.mirrorAdvertise ?? Self.endpoint(host: host, port: port)
    }

    private static func endpoint(host: String, port: Int) -> String {
        "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}

/// The mirror's piece server as a service.
private struct MirrorServer: Service {
    let server: PieceServer

    func run() async throws { await cancelWhenGracefulShutdown { await server.run() } }
}

/// Services that need the address of a server: started when it has one.
private struct StartedServices: Service {
    let started: AsyncStream<String>
    let make: @Sendable (String) -> [any Service]

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await address in started {
                await withTaskGroup { group in
                    for service in make(address) { group.addTask { try? await service.run() } }
                    await group.waitForAll()
                }
            }
        }
    }
}
