import Client
package import Domain
import Foundation
package import Logging
package import Ports
import Processes
import ServiceLifecycle
import Swarm
import Transfer
import Wire

package struct AgentConfiguration: Sendable {
    package var name: PeerName
    /// The region's routes, as in `http://10.0.0.1:7071`.
    package var control: String
    package var directory: String
    package var labels: [String: String]
    /// Where other peers fetch from this one; port 0 is any free one.
    package var host: String
    package var port: Int
    /// What others see instead; nil for what it is bound to.
    package var advertiseHost: String?
    package var advertisePort: Int?
    /// Ends the apps at a graceful shutdown; else they run on and are adopted by the next agent.
    package var stopsApps: Bool
    package var settings: AgentSettings

    package init(
        name: PeerName, control: String, directory: String, labels: [String: String] = [:], host: String = "127.0.0.1",
        port: Int = 0, advertiseHost: String? = nil, advertisePort: Int? = nil, stopsApps: Bool = false,
        settings: AgentSettings = AgentSettings()
    ) {
        (self.name, self.control, self.directory, self.labels) = (name, control, directory, labels)
        (self.host, self.port, self.advertiseHost, self.advertisePort) = (host, port, advertiseHost, advertisePort)
        (self.stopsApps, self.settings) = (stopsApps, settings)
    }

    /// Where others reach a server bound to this port.
    func endpoint(boundPort: Int) -> String {
        let host = advertiseHost ?? host
        let port = advertisePort ?? boundPort
        return "http://\(host.contains(":") ? "[\(host)]" : host):\(port == 0 ? boundPort : port)"
    }
}

/// One machine of the fleet: follows its region's targets, fetches packs, runs apps, says how they are.
package struct AgentService: Service {
    private let configuration: AgentConfiguration
    private let clock: any ClockSource
    private let logger: Logger
    private let ready: @Sendable () -> Void

    /// - Parameter ready: told once, when the region has enrolled the peer.
    package init(
        configuration: AgentConfiguration, clock: any ClockSource, logger: Logger, ready: @escaping @Sendable () -> Void
    ) {
        (self.configuration, self.clock, self.logger, self.ready) = (configuration, clock, logger, ready)
    }

    package func run() async throws {
        let directory = AgentDirectory(root: configuration.directory)
        try await BlockingWork.run {
            try directory.prepare()
            directory.sweep()
        }
        let shelf = PackShelf()
        let server = try await PieceServer.bind(
            PieceServerSettings(host: configuration.host, port: configuration.port), catalog: shelf, logger: logger)
        let endpoint = configuration.endpoint(boundPort: server.address.port)
        let client = RegionClient(
            endpoint: configuration.control, actor: .peer(configuration.name), settings: .withoutRetries)
        let time = RegionTime(clock: clock)
        let packs = PackKeeper(
            peer: configuration.name, endpoint: endpoint, directory: directory, settings: configuration.settings,
            client: client, shelf: shelf, clock: clock, logger: logger)
        let reporter = Reporter(peer: configuration.name, client: client, seed: packs.seed("report"), logger: logger)
        let runners = runners(directory, packs, reporter, time)
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await server.run() }
                group.addTask { await reporter.run() }
                group.addTask { await packs.announceKept() }
                for app in directory.apps() { runners.runner(app, in: &group) }
                await follow(client, endpoint, time, runners, seed: packs.seed("follow"), in: &group)
                group.cancelAll()
            }
        }
        if configuration.stopsApps { await runners.stopAll() }
        await packs.shutdown()
    }

    private func runners(
        _ directory: AgentDirectory, _ packs: PackKeeper, _ reporter: Reporter, _ time: RegionTime
    ) -> AppRunners {
        let (settings, logger) = (configuration.settings, logger)
        return AppRunners { app in
            AppRunner(
                app: app,
                process: AppProcess(app: app, directory: directory, settings: settings, logger: logger),
                packs: packs, seed: packs.seed("app"), now: { time.now }, report: { reporter.report($0, $1) },
                logger: logger)
        }
    }

    /// Enrols, then hands every change of the targets to the apps. What the region last said goes on when it is away.
    private func follow(
        _ client: RegionClient, _ endpoint: String, _ time: RegionTime, _ runners: AppRunners, seed: UInt64,
        in group: inout DiscardingTaskGroup
    ) async {
        var (machine, isReady) = (FollowMachine(seed: seed), false)
        var trouble = TroubleLog(logger)
        var next = machine.started()
        while !Task.isCancelled {
            do throws(ClientFailure) {
                switch next {
                case .enrol:
                    _ = try await client.enrol(configuration.name, labels: configuration.labels, endpoint: endpoint)
                    next = machine.enrolled()
                    runners.tellAll(.enrolled)
                    if !isReady { ready() }
                    isReady = true
                case .ask(let revision):
                    let answer = try await client.assignments(
                        for: configuration.name, after: revision,
                        wait: WireDuration(milliseconds: configuration.settings.waitMilliseconds))
                    time.adjust(to: answer.now.timestamp)
                    for assignment in answer.assignments {
                        runners.runner(assignment.app, in: &group).tell(.assigned(assignment))
                    }
                    next = machine.answered(answer.revision)
                    trouble.succeeded("the region answers again")
                case .rest(let milliseconds):
                    try? await Task.sleep(for: .milliseconds(milliseconds))
                    next = machine.rested()
                }
            } catch {
                guard !Task.isCancelled else { return }
                trouble.failed(
                    machine.isEnrolled
                        ? "cut off from the region; apps run on" : "not enrolled: does --control name the region?",
                    ["region": "\(configuration.control)", "failure": "\(error)"])
                next = machine.failed()
            }
        }
    }
}
