import Client
import Domain
import Foundation
import Wire

/// Every role as a process of its own: one global, regions, one worker in the first region, peers.
struct Fleet: Sendable {
    let directory: String
    let client: GlobalClient
    let global: RoleProcess
    let regions: [RoleProcess]
    let worker: RoleProcess
    let peers: [RoleProcess]
    /// Where each region answers.
    let regionURLs: [String]

    /// Starts them; `peerRegions` names, for each peer, its region by number.
    static func start(
        in directory: String, regions count: Int, peerRegions: [Int], globalArguments: [String] = []
    ) async throws -> Fleet {
        func role(_ name: String, _ arguments: [String]) -> RoleProcess {
            RoleProcess(
                name: name, executable: product("projector"), directory: directory,
                arguments: arguments + ["--data", "\(directory)/\(name)"])
        }
        let ports = try await FreePorts.take(count + 1)
        let global = role("global", ["global", "--listen", "127.0.0.1:\(ports[0])"] + globalArguments)
        let url = try await global.start()
        let regions = (0..<count).map { number in
            let listen = "127.0.0.1:\(ports[number + 1])"
            return role(
                "region-\(region(number))",
                ["region", "--name", region(number).rawValue, "--control", url, "--listen", listen])
        }
        var regionURLs: [String] = []
        for region in regions { regionURLs.append(try await region.start()) }
        let worker = role(
            "worker", ["worker", "--name", "worker-1", "--region", region(0).rawValue, "--control", url])
        try await worker.start()
        let peers = peerRegions.enumerated().map { number, region in
            let name = "peer-\(number + 1)"
            return role(name, ["peer", "--name", name, "--control", regionURLs[region], "--stop-app"])
        }
        for peer in peers { try await peer.start() }
        return Fleet(
            directory: directory, client: GlobalClient(endpoint: url, actor: .person("bench")), global: global,
            regions: regions, worker: worker, peers: peers, regionURLs: regionURLs)
    }

    static func region(_ number: Int) -> RegionName { RegionName(unchecked: ["one", "two", "three"][number]) }

    var all: [RoleProcess] { [global] + regions + [worker] + peers }

    /// Apps and all.
    func stop() async {
        for role in all.reversed() { await role.stop() }
    }

    /// Where a peer's fetched pack stands, once it is whole.
    func packPath(_ build: BuildID, ofPeer number: Int) -> String {
        "\(directory)/peer-\(number + 1)/packs/\(build).pack"
    }

    // MARK: The road, as a person would go it

    func enqueue(_ repository: Repository) async throws -> JobID {
        try await client.enqueue(
            JobRequest(
                app: LoadWords.app, repository: repository.path, commit: repository.commit, isForced: true)
        ).job
    }

    /// Returns when the job has succeeded and every region has its pack.
    func replicated(_ job: JobID) async throws -> BuildBody {
        let done = try await eventually("job \(job) ends") {
            let job = try? await self.client.job(job)
            return job?.status.hasEnded == true ? job : nil
        }
        guard done.status == .succeeded else {
            throw BenchmarkFailure("job \(job) failed: \(done.detail ?? "no detail")")
        }
        return try await eventually("build \(job) is replicated") {
            let build = try? await self.client.build(job)
            return build?.replication == .complete ? build : nil
        }
    }

    func deploy(_ build: BuildID) async throws -> Revision {
        try await client.deploy(DeployRequest(app: LoadWords.app, build: build, reason: "bench")).deployment
    }

    /// Returns when the deployment has succeeded.
    func converged(_ id: Revision) async throws {
        let done = try await eventually("deployment \(id) ends", everyMilliseconds: 20) {
            let deployment = try? await self.client.deployment(id)
            return deployment?.status.isOpen == false ? deployment : nil
        }
        guard done.status == .succeeded else {
            throw BenchmarkFailure("deployment \(id): \(done.status), \(done.detail ?? "no detail")")
        }
    }
}

/// Looks until there is something to see, through outages of what is looked at.
func eventually<Value>(
    _ what: String, withinSeconds: Double = 3600, everyMilliseconds: Int = 100, _ look: () async -> Value?
) async throws -> Value {
    let start = ContinuousClock.now
    while elapsed(since: start) < withinSeconds {
        if let value = await look() { return value }
        try await Task.sleep(for: .milliseconds(everyMilliseconds))
    }
    throw BenchmarkFailure("never came: \(what)")
}
