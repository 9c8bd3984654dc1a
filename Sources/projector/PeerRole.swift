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

    @Flag(help: "End the apps when the agent ends; otherwise they run on, and the next agent adopts them.")
    var stopApp = false

    func run() async throws {
        let settings = try await RoleSettings()
        let name: PeerName = try settings.name(name, "name", default: "peer-1")
        let place = try RolePlace(options, settings, data: ".drover/peers/\(name)", listen: "127.0.0.1:0")
        let control = try controlURL(settings.text(control, "control"), flag: "control", what: "the region")
        let logger = try makeLogger("drover.peer.\(name)", options, settings)
        try prepareDirectory(place.data)
        let lock = try lockDirectory(place.data)
        let service = AgentService(
            configuration: AgentConfiguration(
                name: name, control: control, directory: place.data, labels: try Self.parse(labels),
                host: place.listen.host, advertiseHost: place.advertise?.host, stopsApps: stopApp),
            clock: SystemClock(), logger: logger
        ) { announceReady(control, file: place.readyFile) }
        try await runServices([service], logger: logger)
        withExtendedLifetime(lock) {}
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
