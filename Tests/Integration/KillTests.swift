import Client
import Domain
import Foundation
import Glibc
import Ports
import Synchronization
import Testing
import Wire

/// kill -9 of the global process at random moments under load: nothing acknowledged is lost, ids stay gapless, every job
/// ends once. Snapshots are written all the time, so that kills meet them too. DROVER_ROUNDS sets how often it is killed (the long form is 50).
@Suite(.serialized) struct KillTests {
    private static var rounds: Int {
        ProcessInfo.processInfo.environment["DROVER_ROUNDS"].flatMap { Int($0) } ?? 4
    }

    /// What callers were told, kept outside the process that is killed.
    private final class Told: Sendable {
        struct Answers {
            var jobs: [String: JobID] = [:]
            var claims: Set<String> = []
            var ended: Set<JobID> = []
        }

        private let answers = Mutex(Answers())
        var all: Answers { answers.withLock { $0 } }
        func note(_ body: (inout Answers) -> Void) { answers.withLock { body(&$0) } }
    }

    @Test func nothingAcknowledgedIsLost() async throws {
        let system = try System()
        let seed = UInt64.random(in: .min ... .max)
        print("kill seed \(seed)")
        var random = seed
        let told = Told()
        let data = system.directory + "/data"
        let (first, url) = try await system.start(
            ["global", "--data", data, "--listen", "127.0.0.1:0", "--snapshot-events", "10"])
        var global = first
        let listen = String(url.dropFirst("http://".count))
        let client = system.client(url)
        let region = RegionName(unchecked: "one")
        _ = try await client.joinRegion(region, endpoint: "http://127.0.0.1:1")
        let server = url
        let load = Task { await Self.load(server, told) }
        for _ in 0..<Self.rounds {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            try await Task.sleep(for: .milliseconds(Int64(100 + (random >> 33) % 900)))
            await system.stop(global, SIGKILL)
            (global, _) = try await system.start(
                ["global", "--data", data, "--listen", listen, "--snapshot-events", "10"])
        }
        load.cancel()
        await load.value
        try await check(client, told.all)
        await system.stop(global)
        let sound = try await system.drover(["verify", data], server: url)
        #expect(sound.code == 0, "\(sound.text)")
        let kept = try FileManager.default.contentsOfDirectory(atPath: data + "/snapshots")
        #expect(kept.contains { $0.hasSuffix(".state") })
    }

    /// Four clients that enqueue, two workers that claim, heartbeat and fail what they claimed.
    private static func load(_ url: String, _ told: Told) async {
        await withDiscardingTaskGroup { group in
            for index in 0..<4 { group.addTask { await enqueue(url, index, told) } }
            for index in 0..<2 { group.addTask { await work(url, index, told) } }
        }
    }

    private static func enqueue(_ url: String, _ index: Int, _ told: Told) async {
        let client = GlobalClient(endpoint: url, actor: .person("client-\(index)"))
        var number = 0
        while !Task.isCancelled {
            number += 1
            let commit = String(format: "%08x%032x", index + 1, number)
            let request = JobRequest(
                app: AppName(unchecked: "load"), repository: "/srv/load", commit: CommitID(rawValue: commit)!)
            if let answer = try? await client.enqueue(request) { told.note { $0.jobs[commit] = answer.job } }
        }
    }

    private static func work(_ url: String, _ index: Int, _ told: Told) async {
        let name = WorkerName(unchecked: "worker-\(index)")
        let client = GlobalClient(endpoint: url, actor: .worker(name))
        while !Task.isCancelled {
            guard (try? await client.joinWorker(name, region: RegionName(unchecked: "one"))) != nil else { continue }
            guard let claim = try? await client.claim(name, wait: WireDuration(milliseconds: 500)) else { continue }
            told.note { $0.claims.insert("\(claim.job) \(claim.attempt)") }
            _ = try? await client.heartbeat(claim.job, claim.attempt, counter: 1, stage: .build)
            if (try? await client.reportFailed(claim.job, claim.attempt, .exit, detail: "as planned")) != nil {
                told.note { _ = $0.ended.insert(claim.job) }
            }
        }
    }

    private func check(_ client: GlobalClient, _ told: Told.Answers) async throws {
        #expect(told.jobs.count > 0)
        let counts = try await client.query("SELECT count(*), min(id), max(id), count(DISTINCT commit_sha) FROM jobs")
        let row = try #require(counts.rows.first)
        #expect(row[0] == row[2], "ids are gapless from 1")
        #expect(row[0] == row[3], "a retried enqueue is the same job")
        for (commit, job) in told.jobs {
            let found = try await client.query("SELECT id FROM jobs WHERE commit_sha = '\(commit)'")
            #expect(found.rows == [[.integer(Int64(job.rawValue))]], "acknowledged and lost: \(commit)")
        }
        for job in told.ended {
            let body = try await client.job(job)
            #expect(body.status == .failed, "acknowledged as ended: \(job)")
        }
        let failed = try await client.query("SELECT count(*) FROM events WHERE type = 'job-failed'")
        #expect(failed.rows != [[.integer(0)]], "the load must have ended some jobs")
        let twice = try await client.query(
            "SELECT job FROM events WHERE type = 'job-failed' GROUP BY job HAVING count(*) > 1")
        #expect(twice.rows.isEmpty, "every job ends once")
    }
}
