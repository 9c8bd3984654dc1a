import ArgumentParser
import Client
import Domain
import Foundation
import Wire

/// Three peers that start together on one artifact that nothing compresses.
struct PeersBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers",
        abstract: "Peers starting together on one pack: the copies that the mirror sends, and the time they take.",
        discussion: """
            The real binaries: a global process, a region, a worker and the peers, each a process. The baseline is what \
            everybody would do without peers: as many curls fetch the whole pack from the same mirror at once, and \
            flush it. On loopback no link is ever full, so the time ratio says what the swarm's work costs; what it \
            saves a mirror's link are the copies.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "How many peers start together.")
    var peers = 3

    @Option(help: "The artifact's size.")
    var megabytes: UInt64 = 100

    func run() async throws {
        let workplace = try Workplace(below: options.directory)
        let repository = try await Repository.make(
            at: workplace.directory("repository"), bytes: megabytes * 1_000_000)
        let fleet = try await Fleet.start(
            in: workplace.directory("fleet"), regions: 1, peerRegions: Array(repeating: 0, count: peers))
        do {
            var report = Report(
                "\(peers) peers start together on \(megabytes) MB of random bytes", repetitions: options.repetitions)
            report.measurements = try await measure(fleet, repository, workplace)
            await fleet.stop()
            try report.print(asJSON: options.json)
        } catch {
            await fleet.stop()
            throw error
        }
    }

    private func measure(
        _ fleet: Fleet, _ repository: Repository, _ workplace: Workplace
    ) async throws -> [Measurement] {
        var copies = Measurement(name: "copies sent by the mirror", unit: "copies", values: [])
        var first = Measurement(name: "deploy to the first peer's whole pack", unit: "s", values: [])
        var last = Measurement(name: "deploy to the last peer's whole pack", unit: "s", values: [])
        var converged = Measurement(name: "deploy to converged (unpacked, run, healthy)", unit: "s", values: [])
        var baseline = Measurement(
            name: "  \(peers) curls of the whole pack from the mirror, flushed", unit: "s", values: [])
        for repetition in 1...max(1, options.repetitions) {
            progress("repetition \(repetition)")
            let build = try await fleet.replicated(fleet.enqueue(repository))
            let mirror = try await Mirror(fleet)
            try await mirror.offers(build.name)
            let start = ContinuousClock.now
            async let whole = arrivals(of: build.id, fleet, since: start)
            try await fleet.converged(fleet.deploy(build.id))
            converged.values.append(elapsed(since: start))
            let times = try await whole
            first.values.append(times.min() ?? 0)
            last.values.append(times.max() ?? 0)
            copies.values.append(
                Double(await mirror.region.bytesSent(of: build.id, to: .peer)) / Double(build.packedBytes))
            baseline.values.append(
                try await mirror.curls(build.name, count: peers, in: workplace.directory("curls")))
            try workplace.remove("curls")
        }
        return [
            copies, first, last.against(baseline, named: "the curls"), converged.against(baseline, named: "the curls"),
            baseline,
        ]
    }

    /// When each peer had the whole pack, in seconds.
    private func arrivals(
        of build: BuildID, _ fleet: Fleet, since start: ContinuousClock.Instant
    ) async throws -> [Double] {
        let paths = (0..<peers).map { fleet.packPath(build, ofPeer: $0) }
        var times: [String: Double] = [:]
        return try await eventually("every peer has build \(build)", everyMilliseconds: 5) {
            for path in paths where times[path] == nil && FileManager.default.fileExists(atPath: path) {
                times[path] = elapsed(since: start)
            }
            return times.count == paths.count ? Array(times.values) : nil
        }
    }
}

/// The first region's mirror, from outside.
private struct Mirror {
    let region: RegionClient
    private let endpoint: String

    init(_ fleet: Fleet) async throws {
        region = RegionClient(endpoint: fleet.regionURLs[0], actor: .person("bench"))
        endpoint = try await region.region().mirrorEndpoint
    }

    /// Returns once it offers a pack, named as in `web/1`.
    func offers(_ pack: String) async throws {
        let mirror = Connection(endpoint: endpoint, actor: .person("bench"), settings: .withoutRetries)
        _ = try await eventually("the mirror offers \(pack)") {
            try? await mirror.data(Call(.get, "/v1/packs/\(pack)/have"))
        }
    }

    /// Fetches the whole pack so many times at once; gives the seconds until all are flushed.
    func curls(_ pack: String, count: Int, in directory: String) async throws -> Double {
        let url = "\(endpoint)/v1/packs/\(pack)"
        let script = (0..<count).map { "(curl -sSf -o \($0) \(url) && sync -d \($0)) &" }.joined(separator: "\n")
        let start = ContinuousClock.now
        try await shell("/bin/sh", ["-ec", script + "\nwait"], in: directory)
        return elapsed(since: start)
    }
}
