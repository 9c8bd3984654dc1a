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
    /// Seed of the swarm's random choices.
    package var swarmSeed: UInt64
    package var serving: ServingSettings

    package init(
        name: RegionName, directory: String, host: String = "127.0.0.1", port: Int = 0, advertise: String? = nil,
        swarmSeed: UInt64, serving: ServingSettings = ServingSettings()
    ) {
        (self.name, self.directory, self.host, self.port) = (name, directory, host, port)
        (self.advertise, self.swarmSeed, self.serving) = (advertise, swarmSeed, serving)
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
    private let bound: @Sendable (String) -> Void

    /// - Parameter bound: told once where the routes answer, as in `http://127.0.0.1:7071`.
    package init(
        configuration: RegionConfiguration, engine: EngineService<Regional>, upstream: any RegionUpstream,
        clock: any ClockSource, metrics: MetricsRegistry, logger: Logger, bound: @escaping @Sendable (String) -> Void
    ) {
        (self.configuration, self.engine, self.upstream) = (configuration, engine, upstream)
        (self.clock, self.metrics, self.logger, self.bound) = (clock, metrics, logger, bound)
    }

    package func run() async throws {
        let store = try await DirectoryBlobStore.open(configuration.directory + "/store")
        let shelf = PackShelf()
        var serverSettings = PieceServerSettings(host: configuration.host, port: 0, uploadSlots: Self.mirrorSlots)
        serverSettings.waitingUploads = Self.mirrorSlots * 4
        let server = try await PieceServer.bind(serverSettings, catalog: shelf, logger: logger)
        let mirrorEndpoint = Self.endpoint(host: advertisedHost ?? configuration.host, port: server.address.port)
        let keys = ReleaseKeyBox(path: configuration.directory + "/release-key.pub")
        let presence = Presence<PeerName>(clock: clock)
        let api = api(store: store, presence: presence, keys: keys, mirrorEndpoint: mirrorEndpoint)
        let (started, startedSource) = AsyncStream.makeStream(of: String.self)
        let application = Application(
            router: api.router(),
            configuration: .init(
                address: .hostname(configuration.host, port: configuration.port), serverName: "drover-region"),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? configuration.port
                startedSource.yield(Self.endpoint(host: configuration.host, port: port))
                startedSource.finish()
            }, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: services(
                    application: application, server: server, store: store, shelf: shelf, keys: keys,
                    presence: presence, started: started),
                logger: logger))
        try await cancelWhenGracefulShutdown { try await group.run() }
    }

    /// Packs that the mirror sends at once.
    private static let mirrorSlots = 64

    private func services(
        application: some ApplicationProtocol, server: PieceServer, store: DirectoryBlobStore, shelf: PackShelf,
        keys: ReleaseKeyBox,
        presence: Presence<PeerName>, started: AsyncStream<String>
    ) -> [any Service] {
        let silence = SilenceProjector(
            name: "peer-silence", engine: engine, presence: presence, logger: logger,
            expected: { state in (state.livePeers, state.log.settings.peerSilentSeconds) },
            command: { RegionCommand.peerSilent($0) })
        let mirror = Mirror(
            name: configuration.name, engine: engine, upstream: upstream, store: store, shelf: shelf, clock: clock,
            keys: keys, metrics: metrics, logger: logger)
        let following = StartedServices(started: started) { address in
            let endpoint = configuration.advertise ?? address
            bound(endpoint)
            return [
                FeedFollower(endpoint: endpoint, engine: engine, upstream: upstream, keys: keys, logger: logger),
                LevelReporter(engine: engine, upstream: upstream, logger: logger),
            ]
        }
        return [application, MirrorServer(server: server), silence, mirror, following]
    }

    private func api(
        store: DirectoryBlobStore, presence: Presence<PeerName>, keys: ReleaseKeyBox, mirrorEndpoint: String
    ) -> RegionAPI {
        let (engine, upstream) = (engine, upstream)
        return RegionAPI(
            name: configuration.name, engine: engine, store: store, presence: presence,
            swarms: SwarmDirectory(seed: configuration.swarmSeed, clock: clock), settings: configuration.serving,
            metrics: metrics, logger: logger, releaseKey: { keys.value }, mirrorEndpoint: { mirrorEndpoint },
            manifestBytes: { digest in
                let key = try await keys.key { try await upstream.releaseKey() }
                return try await store.manifest(digest, trusting: key) { try await upstream.manifest(digest) }.bytes
            },
            notReady: {
                if let failure = engine.notReady { return failure.message }
                guard keys.value != nil else { return "the global process was not reached yet" }
                return nil
            })
    }

    private var advertisedHost: String? {
        configuration.advertise.flatMap { URL(string: $0)?.host() }
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
