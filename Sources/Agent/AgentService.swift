import Client
package import Domain
import Foundation
package import Logging
package import Ports
import Processes
import ServiceLifecycle
import Swarm
import Synchronization
import Transfer
import Wire

package struct AgentConfiguration: Sendable {
    package var name: PeerName
    /// The region's routes, as in `http://10.0.0.1:7071`.
    package var control: String
    package var directory: String
    package var labels: [String: String]
    /// Where other peers fetch from this one.
    package var host: String
    /// The host that others see; nil for `host`.
    package var advertiseHost: String?
    /// Ends the apps at a graceful shutdown; else they run on and are adopted by the next agent.
    package var stopsApps: Bool

    package init(
        name: PeerName, control: String, directory: String, labels: [String: String] = [:], host: String = "127.0.0.1",
        advertiseHost: String? = nil, stopsApps: Bool = false
    ) {
        (self.name, self.control, self.directory, self.labels) = (name, control, directory, labels)
        (self.host, self.advertiseHost, self.stopsApps) = (host, advertiseHost, stopsApps)
    }
}

/// One machine of the fleet: follows its region's targets, fetches packs, runs apps, says how they are.
package struct AgentService: Service {
    private let configuration: AgentConfiguration
    private let clock: any ClockSource
    private let logger: Logger
    private let ready: @Sendable () -> Void

    static let waitMilliseconds: Int64 = 10_000
    static let retryMilliseconds: Int64 = 1000

    /// - Parameter ready: told once, when the region has enrolled the peer.
    package init(
        configuration: AgentConfiguration, clock: any ClockSource, logger: Logger, ready: @escaping @Sendable () -> Void
    ) {
        (self.configuration, self.clock, self.logger, self.ready) = (configuration, clock, logger, ready)
    }

    package func run() async throws {
        let directory = AgentDirectory(root: configuration.directory)
        try directory.prepare()
        let shelf = PackShelf()
        let server = try await PieceServer.bind(
            PieceServerSettings(host: configuration.host), catalog: shelf, logger: logger)
        let endpoint = "http://\(configuration.advertiseHost ?? configuration.host):\(server.address.port)"
        let client = RegionClient(
            endpoint: configuration.control, actor: .peer(configuration.name), settings: .withoutRetries)
        let time = RegionTime(clock: clock)
        let packs = PackKeeper(
            peer: configuration.name, endpoint: endpoint, directory: directory, client: client, shelf: shelf,
            clock: clock, logger: logger)
        let reporter = Reporter(peer: configuration.name, client: client, logger: logger)
        let runners = AppRunners { app in
            AppRunner(
                app: app, directory: directory,
                process: AppProcess(
                    app: app, directory: directory, runner: DetachedProcesses(), supervised: GroupRunner(),
                    logger: logger),
                packs: packs, now: { time.now }, report: { reporter.report($0, $1) }, logger: logger)
        }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await server.run() }
                group.addTask { await reporter.run() }
                group.addTask { await packs.shareKept() }
                for app in directory.apps() { runners.runner(app, in: &group) }
                await follow(client, endpoint, time, runners, in: &group)
                group.cancelAll()
            }
        }
        if configuration.stopsApps { await runners.stopAll() }
        await packs.shutdown()
    }

    /// Enrols, then hands every change of the targets to the apps. What the region last said goes on when it is away.
    private func follow(
        _ client: RegionClient, _ endpoint: String, _ time: RegionTime, _ runners: AppRunners,
        in group: inout DiscardingTaskGroup
    ) async {
        var isEnrolled = false
        var revision = Revision.zero
        while !Task.isCancelled {
            do throws(ClientFailure) {
                if !isEnrolled {
                    _ = try await client.enrol(configuration.name, labels: configuration.labels, endpoint: endpoint)
                    (isEnrolled, revision) = (true, .zero)
                    ready()
                }
                let answer = try await client.assignments(
                    for: configuration.name, after: revision,
                    wait: WireDuration(milliseconds: Self.waitMilliseconds))
                time.adjust(to: answer.now.timestamp)
                revision = answer.revision
                for assignment in answer.assignments {
                    runners.runner(assignment.app, in: &group).tell(.assigned(assignment))
                }
            } catch {
                logger.info("cut off from the region", metadata: ["failure": "\(error)"])
                isEnrolled = false
                try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
            }
        }
    }
}

/// Log time as the region last told it, carried on by the monotonic clock; the wall clock's before that.
final class RegionTime: Sendable {
    private let clock: any ClockSource
    private let offset: Mutex<Int64>

    init(clock: any ClockSource) {
        self.clock = clock
        let reading = clock.read()
        offset = Mutex(reading.wallMilliseconds - reading.monotonicMilliseconds)
    }

    var now: Timestamp {
        let monotonic = clock.read().monotonicMilliseconds
        return Timestamp(milliseconds: monotonic + offset.withLock { $0 })
    }

    func adjust(to now: Timestamp) {
        let monotonic = clock.read().monotonicMilliseconds
        offset.withLock { $0 = now.milliseconds - monotonic }
    }
}

/// One runner an app, started when the app is first heard of.
private final class AppRunners: Sendable {
    private let runners = Mutex<[AppName: AppRunner]>([:])
    private let make: @Sendable (AppName) -> AppRunner

    init(make: @escaping @Sendable (AppName) -> AppRunner) { self.make = make }

    @discardableResult
    func runner(_ app: AppName, in group: inout DiscardingTaskGroup) -> AppRunner {
        if let runner = runners.withLock({ $0[app] }) { return runner }
        let runner = make(app)
        runners.withLock { $0[app] = runner }
        group.addTask { await runner.run() }
        return runner
    }

    func stopAll() async {
        for runner in runners.withLock({ Array($0.values) }) { await runner.stopProcess() }
    }
}
