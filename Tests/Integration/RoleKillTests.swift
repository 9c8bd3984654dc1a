import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// kill -9 of regions, workers and agents at random moments while jobs run and builds are deployed: every job ends
/// once, every peer converges, no app runs twice. DROVER_ROUNDS sets how often something is killed (the long form is
/// 50).
@Suite(.serialized) struct RoleKillTests {
    private static var rounds: Int {
        ProcessInfo.processInfo.environment["DROVER_ROUNDS"].flatMap { Int($0) } ?? 6
    }

    @Test func regionsWorkersAndAgentsMayDieAtAnyMoment() async throws {
        let system = try System()
        let seed = UInt64.random(in: .min ... .max)
        print("role-kill seed \(seed)")
        var random = seed
        let global = try await system.global()
        let client = system.client(global.url)
        var roles: [Role] = []
        for name in ["one", "two"] {
            let region = try await system.region(name, of: global)
            roles.append(region)
            for index in 1...2 { roles.append(try await system.peer("\(name)-\(index)", of: region)) }
        }
        for index in 1...2 { roles.append(try await system.worker("worker-\(index)", region: "one", of: global)) }

        let repository = try await system.repository(versions: Self.rounds + 1)
        var jobs: [JobID] = []
        for commit in repository.commits.dropLast() {
            let request = JobRequest(
                app: AppName(unchecked: "app"), repository: repository.path,
                commit: try #require(CommitID(rawValue: commit)))
            jobs.append(try await client.enqueue(request).job)
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let victim = Int(random >> 33) % roles.count
            try await Task.sleep(for: .milliseconds(Int64((random >> 40) % 1500)))
            await system.stop(roles[victim], SIGKILL)
            try await system.restart(&roles[victim])
            try await deployNewest(client)
        }
        let last = try await system.build(repository.commits[Self.rounds], of: repository.path, at: global)
        try await system.deploy(last, at: global)

        try await checkJobs(jobs, client)
        for peer in ["one-1", "one-2", "two-1", "two-2"] {
            #expect(try await system.version(on: peer) == "app \(Self.rounds + 1)")
        }
        let running = try system.appProcesses()
        #expect(running.count == 4, "one copy a peer: \(running)")
        #expect(Set(running.values).count == 4)

        try await agentsDieAndAppsDoNot(system, &roles, running)
        await stop(system, roles, global)
    }

    /// Deploys the newest build that every region has, if there is one; refusals and what is not replicated may be.
    private func deployNewest(_ client: GlobalClient) async throws {
        let builds = try await client.builds(app: AppName(unchecked: "app"), limit: 20).builds
        guard let newest = builds.first else { return }
        _ = try? await client.deploy(
            DeployRequest(app: AppName(unchecked: "app"), build: newest.id, reason: "newest", whenReplicated: true))
    }

    private func checkJobs(_ jobs: [JobID], _ client: GlobalClient) async throws {
        for job in jobs {
            let body = try await eventually("job \(job) ends") {
                let body = try await client.job(job)
                return body.status.hasEnded ? body : nil
            }
            // A worker that is killed again and again at the same job may lose it for good, and says so.
            #expect(body.status == .succeeded || body.reason == .lost, "\(job): \(body.detail ?? "")")
        }
        let ends = try await client.query(
            "SELECT job FROM events WHERE type IN ('job-succeeded', 'job-failed') GROUP BY job HAVING count(*) > 1")
        #expect(ends.rows.isEmpty, "every job ends once")
    }

    /// With nothing to deploy, an agent's death is nobody's but its own.
    private func agentsDieAndAppsDoNot(_ system: System, _ roles: inout [Role], _ running: [Int32: String]) async throws
    {
        for index in roles.indices where roles[index].arguments[0] == "peer" {
            await system.stop(roles[index], SIGKILL)
            #expect(try system.appProcesses() == running)
            try await system.restart(&roles[index])
        }
        try await Task.sleep(for: .seconds(3))
        #expect(try system.appProcesses() == running, "adopted with the same process numbers, no second copy")
    }

    private func stop(_ system: System, _ roles: [Role], _ global: Role) async {
        for role in roles.reversed() { await system.stop(role) }
        await system.stop(global)
        for pid in (try? system.appProcesses().keys) ?? [:].keys { kill(-pid, SIGKILL) }
    }
}
