import Agent
import ArgumentParser
import Domain
import Engine
import Foundation

struct PeerCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer",
        abstract: "A machine of the fleet: fetches packs from its region's peers, runs the apps, says how they are.")

    @OptionGroup var options: CommonOptions

    @Option(help: ArgumentHelp("This machine's region.", valueName: "url"))
    var control: String?

    @Option(help: "This peer's name.")
    var name: String?

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp("A label that selectors and the tracker look at; may be repeated.", valueName: "name=value"))
    var labels: [String] = []

    @Flag(
        help: ArgumentHelp(
            "End the apps when the agent ends; otherwise they run on, and the next agent adopts them.",
            discussion:
                "At most \(AgentSettings.standardStopSeconds) seconds of their grace_seconds count then, KILL follows."
        ))
    var stopApp = false

    func run() async throws {
        let settings = try await RoleSettings()
        let name: PeerName = try settings.name(name, "name", default: "peer-1")
        let place = try RolePlace(options, settings, data: ".drover/peers/\(name)", listen: "127.0.0.1:0")
        try Self.checkAdvertised(place)
        let control = try controlURL(settings.text(control, "control"), flag: "control", what: "the region")
        let logger = try makeLogger("drover.peer.\(name)", options, settings)
        try prepareDirectory(place.data)
        let lock = try lockDirectory(place.data)
        let service = AgentService(
            configuration: AgentConfiguration(
                name: name, control: control, directory: place.data, labels: try Self.parse(labels),
                host: place.listen.host, port: place.listen.port, advertiseHost: place.advertise?.host,
                advertisePort: place.advertise?.port, stopsApps: stopApp),
            clock: SystemClock(), logger: logger
        ) { announceReady(control, file: place.readyFile) }
        try await runServices([service], logger: logger, stopSeconds: stopApp ? Self.stopSeconds : nil)
        withExtendedLifetime(lock) {}
    }

    /// How long the agent takes to end with its apps: their grace, and what stands around it.
    static let stopSeconds = Int64(AgentSettings.standardStopSeconds) + 15

    /// Other peers must be told an address that leads here.
    private static func checkAdvertised(_ place: RolePlace) throws {
        guard place.advertise == nil, place.listen.host.allSatisfy({ "0.:".contains($0) }) else { return }
        throw UsageProblem(
            "--listen \(place.listen) is every address of this machine: say with --advertise HOST:PORT which one other "
                + "peers reach it at (port 0: the port it listens on)")
    }

    private static func parse(_ labels: [String]) throws -> [String: String] {
        var parsed: [String: String] = [:]
        for label in labels {
            let parts = label.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, isPlainName(parts[0]), isPlainName(parts[1]) else {
                throw UsageProblem("--label is \"\(label)\": write NAME=VALUE, each 1 to 63 of a-z 0-9 . _ -")
            }
            parsed[parts[0]] = parts[1]
        }
        return parsed
    }
}
