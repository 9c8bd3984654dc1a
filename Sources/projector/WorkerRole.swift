import ArgumentParser
import Building
import Domain
import Engine
import Foundation

struct WorkerCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "A machine that builds: claims jobs, runs their recipes, uploads packs.")

    @OptionGroup var options: CommonOptions

    @Option(help: ArgumentHelp("The global process.", valueName: "url"))
    var control: String?

    @Option(help: "This worker's name.")
    var name: String?

    @Option(help: "The region whose store takes its packs.")
    var region: String?

    @Option(help: "How long the region's store may be full before the job fails (default 300).")
    var storeFullSeconds: UInt32?

    func run() async throws {
        let settings = try await RoleSettings()
        let name: WorkerName = try settings.name(name, "name", default: "worker-1")
        let region: RegionName = try settings.name(region, "region", default: "one")
        let place = try RolePlace(options, settings, data: ".drover/workers/\(name)", listen: "127.0.0.1:0")
        let control = try controlURL(
            settings.text(control, "control"), flag: "control", what: "the global process")
        let logger = try makeLogger("drover.worker.\(name)", options, settings)
        try prepareDirectory(place.data)
        let lock = try lockDirectory(place.data)
        var configuration = WorkerConfiguration(
            name: name, region: region, control: control, directory: place.data + "/workspaces")
        if let seconds = try settings.number(storeFullSeconds, "store-full-seconds") {
            configuration.settings.storeFullMilliseconds = Int64(seconds) * 1000
        }
        let service = WorkerService(
            configuration: configuration,
            clock: SystemClock(), logger: logger
        ) { announceReady(control, file: place.readyFile) }
        try await runServices([service], logger: logger)
        withExtendedLifetime(lock) {}
    }
}
