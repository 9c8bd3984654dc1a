import ArgumentParser
import Foundation

/// One file from one machine to many, over links that are full.
struct SwarmBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swarm",
        abstract: "A swarm on shaped links against the physical limit, and against stock programs.",
        discussion: """
            Every machine is a network namespace with one link of the same rate; all peers start at once. The limit is \
            the file's size over the link's rate, S/B: nobody can have it sooner. The contenders run in turn. Needs root \
            on Linux (ip, tc). The files are in memory unless --directory says otherwise: no disk is measured. With \
            less than a tenth of the processors idle the processors were measured, not the network.
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: "How many peers start together.")
    var peers = 16

    @Option(help: "The rate of each link, in Mbit/s, both ways.")
    var rate = 50.0

    @Option(help: "The file's size.")
    var megabytes: UInt64 = 64

    @Flag(help: "Drover alone.")
    var alone = false

    @Flag(help: "Drover once more, with mutual TLS.")
    var tls = false

    @Flag(help: "One HTTP server as well: slow, its seed sends every copy.")
    var nginx = false

    @Option(
        help: "What goes wrong meanwhile: a quarter killed, a partition, a peer that gives corrupt pieces, no seed.")
    var fault: SwarmFault?

    func validate() throws {
        guard rate > 0, megabytes > 0 else { throw ValidationError("--rate and --megabytes are above 0") }
        guard alone || fault != .corrupt else { throw ValidationError("--fault corrupt needs --alone") }
    }

    func run() async throws {
        let workplace = try Workplace(below: options.directory == "." ? "/dev/shm" : options.directory)
        let file = "\(workplace.path)/file"
        try await shell(
            "/bin/sh", ["-ec", "head -c \(megabytes * 1_000_000) /dev/urandom > \(file)"], in: workplace.path)
        let contenders = contenders(workplace.path)
        var rounds = contenders.map { _ in [SwarmRound]() }
        for contender in contenders { try await contender.prepare(file, in: workplace.path) }
        var report = Report(
            "\(peers) peers on links of \(number(rate)) Mbit/s start together on \(megabytes) MB; S/B is "
                + "\(number(limitSeconds)) s\(fault.map { "; fault: \($0.rawValue)" } ?? "")",
            repetitions: options.repetitions)
        for repetition in 1...max(1, options.repetitions) {
            for (place, contender) in contenders.enumerated() {
                progress("repetition \(repetition): \(contender.name)")
                rounds[place].append(try await round(contender, file, workplace))
            }
        }
        for (contender, rounds) in zip(contenders, rounds) { report.measurements += measurements(contender, rounds) }
        try report.print(asJSON: options.json)
    }

    private func contenders(_ directory: String) -> [any SwarmContender] {
        var contenders: [any SwarmContender] = [DroverContender(directory: directory)]
        if tls { contenders.append(DroverContender(isEncrypted: true, directory: directory)) }
        if alone { return contenders }
        contenders.append(LibtorrentContender(script: script, directory: directory))
        contenders.append(AriaContender(script: script, directory: directory))
        if nginx { contenders.append(NginxContender()) }
        return contenders
    }

    private var limitSeconds: Double { Double(megabytes) * 8 / rate }

    /// Beside this file where it was compiled.
    private var script: String {
        URL(filePath: #filePath).deletingLastPathComponent().path + "/libtorrent_node.py"
    }

    private func measurements(_ contender: any SwarmContender, _ rounds: [SwarmRound]) -> [Measurement] {
        let name = contender.name
        func of(_ what: String, _ unit: String, _ value: (SwarmRound) -> Double) -> Measurement {
            Measurement(name: "\(name): \(what)", unit: unit, values: rounds.map(value))
        }
        return [
            of("the last peer has it", "S/B") { $0.seconds.max() ?? 0 },
            of("the peer in the middle", "S/B") { Spread($0.seconds).median },
            of("did not finish", "peers") { Double($0.unfinished) },
            of("sent by the seed", "copies", \.copies), of("processors", "s/GB", \.processorSecondsPerGigabyte),
            of("idle meanwhile", "%") { $0.idleShare * 100 },
        ]
    }

    private func round(
        _ contender: any SwarmContender, _ file: String, _ workplace: Workplace
    ) async throws -> SwarmRound {
        let network = try await ShapedNetwork(peers: peers, rate: rate, in: workplace.path)
        do {
            let round = try await round(contender, file, workplace, network)
            await network.remove()
            try? workplace.remove("machines")
            return round
        } catch {
            await network.remove()
            throw error
        }
    }

    private func round(
        _ contender: any SwarmContender, _ file: String, _ workplace: Workplace, _ network: ShapedNetwork
    ) async throws -> SwarmRound {
        let machines = SwarmMachines(network, workplace)
        let seed = ShapedNetwork.seedAddress
        for command in contender.seed(at: seed, in: workplace.path) {
            try await machines.start(ShapedNetwork.seed, command)
        }
        try await Task.sleep(for: .seconds(2))
        let sentBefore = try await network.bytesSent(by: ShapedNetwork.seed)
        let (start, machine) = (ContinuousClock.now, Machine())
        for peer in network.peers {
            let others = network.peers.filter { $0 != peer }.map(network.address)
            try await machines.start(
                peer,
                contender.peer(
                    at: network.address(peer), seed: seed, others: others, in: try machines.directory(peer)))
        }
        let strike = Task { try await fault?.strike(machines, network, limitSeconds: limitSeconds) }
        defer { strike.cancel() }
        let lost = fault?.lost(of: network.peers) ?? []
        let survivors = network.peers.filter { !lost.contains($0) }
        var times: [String: Double] = [:]
        let patience = max(120, limitSeconds * 20)
        while times.count < survivors.count, elapsed(since: start) < patience {
            try await Task.sleep(for: .milliseconds(20))
            for peer in survivors where times[peer] == nil && machines.hasOutput(peer) {
                times[peer] = elapsed(since: start)
            }
        }
        let unfinished = survivors.count - times.count
        if unfinished > 0 { progress("\(unfinished) peers did not finish in \(number(patience)) s") }
        strike.cancel()
        if case .failure(let failure) = await strike.result, !(failure is CancellationError) { throw failure }
        var after = machine
        after.finish()
        let sent = try await network.bytesSent(by: ShapedNetwork.seed) - sentBefore
        let processors = machines.processorSeconds()
        await machines.stop()
        // A peer that gives corrupt pieces has no wrong file either.
        for peer in network.peers where machines.hasOutput(peer) {
            try await shell("/usr/bin/cmp", [file, "\(machines.directory(peer))/output"], in: workplace.path)
        }
        let size = Double(megabytes * 1_000_000)
        return SwarmRound(
            seconds: survivors.map { (times[$0] ?? patience) / limitSeconds }, unfinished: unfinished,
            copies: sent / size,
            processorSecondsPerGigabyte: processors / (size * Double(survivors.count) / 1e9),
            idleShare: after.idleShare)
    }
}

/// What one contender did once.
private struct SwarmRound {
    /// When each peer had the file, in multiples of S/B; how long was waited for those that did not finish.
    var seconds: [Double]
    var unfinished: Int
    /// Sent by the seed.
    var copies: Double
    /// Of all machines, for each gigabyte that a peer has now.
    var processorSecondsPerGigabyte: Double
    var idleShare: Double
}
