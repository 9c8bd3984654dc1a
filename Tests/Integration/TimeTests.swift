import Client
import Domain
import Foundation
import Glibc
import Ports
import Testing
import Wire

/// Processes that stand still and clocks that jump: no attempt is lost that lives, none succeeds that is dead.
@Suite(.serialized) struct TimeTests {
    private let app = AppName(unchecked: "app")

    @Test func aGlobalProcessStoppedForTenLeasesLosesNoAttempt() async throws {
        let system = try System()
        let (global, others) = try await buildingSystem(system)
        let job = try await enqueueSleeper(system, global, seconds: 6)
        try await awaitStage(.build, of: job, global, system)
        system.signal(global, SIGSTOP)
        // The build ends and is packed meanwhile; the worker asks on until it is answered.
        try await Task.sleep(for: .seconds(30))
        system.signal(global, SIGCONT)
        try await expectFirstAttemptSucceeds(job, global, system)
        let client = system.client(global.url)
        let stalls = try await client.query("SELECT count(*) FROM events WHERE type = 'engine-stalled'")
        #expect(stalls.rows != [[.integer(0)]])
        for role in others + [global] { await system.stop(role) }
    }

    @Test func anHourEitherWayLosesNoAttempt() async throws {
        let system = try System()
        let offset = system.directory + "/offset"
        try "+0".write(toFile: offset, atomically: true, encoding: .utf8)
        let (global, others) = try await buildingSystem(
            system,
            environment: [
                "LD_PRELOAD": try Self.fakeTime(), "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
            ])
        let client = system.client(global.url)
        let job = try await enqueueSleeper(system, global, seconds: 8)
        try await awaitStage(.build, of: job, global, system)
        for (jump, count) in [("+3600", 1), ("-3600", 2)] {
            try jump.write(toFile: offset, atomically: true, encoding: .utf8)
            _ = try await eventually("the jump \(jump) is an event") {
                let answer = try await client.query("SELECT count(*) FROM events WHERE type = 'clock-jumped'")
                if case .integer(let seen)? = answer.rows.first?.first, seen >= count { return true }
                return nil
            }
        }
        try await expectFirstAttemptSucceeds(job, global, system)
        let backwards = try await client.query(
            "SELECT count(*) FROM events a JOIN events b ON b.sequence = a.sequence + 1 WHERE b.time < a.time")
        #expect(backwards.rows == [[.integer(0)]], "log time never decreases")
        for role in others + [global] { await system.stop(role) }
    }

    @Test func aWokenWorkersLateSuccessIsRefusedAndRecorded() async throws {
        let system = try System()
        let global = try await system.global()
        let client = system.client(global.url)
        let region = try await system.region("one", of: global)
        let sleeper = try await system.worker("sleeper", region: "one", of: global)
        let job = try await enqueueSleeper(system, global, seconds: 2)
        try await awaitStage(.build, of: job, global, system)
        system.signal(sleeper, SIGSTOP)
        _ = try await eventually("the lease ends and the job waits again") {
            try await client.job(job).status == .queued ? true : nil
        }
        let other = try await system.worker("other", region: "one", of: global)
        _ = try await eventually("the other worker has it") {
            try await client.job(job).attempt == AttemptNumber(rawValue: 2) ? true : nil
        }
        system.signal(sleeper, SIGCONT)
        let body = try await eventually("the job ends") {
            let body = try await client.job(job)
            return body.status.hasEnded ? body : nil
        }
        #expect(body.status == .succeeded)
        #expect(try await client.build(job).attempt == AttemptNumber(rawValue: 2))
        _ = try await eventually("the late call is recorded") {
            let answer = try await client.query(
                "SELECT data FROM events WHERE type = 'refused' AND data LIKE '%stale-attempt%'")
            return answer.rows.isEmpty ? nil : true
        }
        let ends = try await client.query("SELECT count(*) FROM events WHERE type = 'job-succeeded'")
        #expect(ends.rows == [[.integer(1)]])
        // The woken worker is of use again.
        await system.stop(other)
        try await system.build(
            try await commit(system, seconds: 0), of: system.directory + "/repository", at: global)
        for role in [sleeper, region, global] { await system.stop(role) }
    }

    // MARK: Steps

    private func buildingSystem(
        _ system: System, environment: [String: String] = [:]
    ) async throws -> (Role, [Role]) {
        let global = try await system.global(environment: environment)
        let region = try await system.region("one", of: global)
        return (global, [try await system.worker("worker-1", region: "one", of: global), region])
    }

    private func enqueueSleeper(_ system: System, _ global: Role, seconds: Int) async throws -> JobID {
        _ = try await system.repository(versions: 1)
        let commit = try await commit(system, seconds: seconds)
        let request = JobRequest(
            app: app, repository: system.directory + "/repository", commit: try #require(CommitID(rawValue: commit)))
        return try await system.client(global.url).enqueue(request).job
    }

    /// A commit whose build takes this long.
    private func commit(_ system: System, seconds: Int) async throws -> String {
        let path = system.directory + "/repository"
        let recipe = "build: sleep \(seconds) && cp app.sh app && chmod +x app\nartifact: app\n"
        try recipe.write(toFile: path + "/drover.yml", atomically: true, encoding: .utf8)
        try await system.commitAll(path, "sleep \(seconds)")
        return try await system.git(path, "rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func awaitStage(_ stage: AttemptStage, of job: JobID, _ global: Role, _ system: System) async throws {
        let client = system.client(global.url)
        _ = try await eventually("job \(job) is at \(stage)") { try await client.job(job).stage == stage ? true : nil }
    }

    private func expectFirstAttemptSucceeds(_ job: JobID, _ global: Role, _ system: System) async throws {
        let client = system.client(global.url)
        let body = try await eventually("job \(job) ends") {
            let body = try? await client.job(job)
            return body?.status.hasEnded == true ? body : nil
        }
        #expect(body.status == .succeeded, "\(body.detail ?? "")")
        #expect(try await client.build(job).attempt == AttemptNumber(rawValue: 1))
        let lost = try await client.query("SELECT count(*) FROM events WHERE type = 'lease-expired'")
        #expect(lost.rows == [[.integer(0)]])
    }

    /// Debian's package `faketime` has it.
    private static func fakeTime() throws -> String {
        let folders = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib").map { "/usr/lib/\($0)/faketime" }
        return try #require(
            folders.map { $0 + "/libfaketimeMT.so.1" }.first { FileManager.default.fileExists(atPath: $0) },
            "libfaketime is missing: apt-get install faketime")
    }
}
