import Domain
import Foundation
import Glibc
import Packs
import Ports
import Processes
import Testing

@testable import Agent

/// Real processes: they outlive agents, nothing of them outlives its end, and no second copy runs beside them.
@Suite(.serialized) struct ProcessLifeTests {
    /// Writes down its start, then serves; a request to end is written down too.
    private static let server = """
        echo "start $DROVER_BUILD" >> "$JOURNAL"
        trap 'echo "end $DROVER_BUILD" >> "$JOURNAL"; exit 0' TERM
        while :; do sleep 0.05; done
        """

    /// A shell that starts a server without exec: TERM ends the shell at once, while the server drains.
    private static let wrapped = """
        (
            trap 'sleep 1; echo "end $DROVER_BUILD" >> "$JOURNAL"; exit 0' TERM
            echo "start $DROVER_BUILD" >> "$JOURNAL"
            while :; do sleep 0.05; done
        )
        :
        """

    @Test func anAppOutlivesItsAgentAndIsAdopted() async throws {
        let home = try Home()
        let build = try home.keep(home.pack(1, Self.server))
        let first = RunningAgent(home)
        first.assign(1, build)
        await first.becomes(.healthy, at: 1)
        let leader = try #require(home.leader)
        await first.stop()
        #expect(DetachedProcesses().isRunning(leader), "an agent's end is not the app's")

        let second = RunningAgent(home)
        await second.becomes(.healthy, at: 1)
        #expect(home.leader == leader)
        #expect(home.journal == ["start 1"])
        await second.runner.stopProcess()
        #expect(home.processes().isEmpty)
        #expect(home.journal == ["start 1", "end 1"])
        await second.stop()
    }

    /// An agent that died before it wrote the number finds the process by its token.
    @Test func aStartThatWasNotRecordedIsFound() async throws {
        let home = try Home()
        let build = try home.keep(home.pack(1, Self.server))
        let first = RunningAgent(home)
        first.assign(1, build)
        await first.becomes(.healthy, at: 1)
        await first.stop()
        let (path, leader) = (home.directory.process(web), try #require(home.leader))
        let data = try #require(FileManager.default.contents(atPath: path))
        var record = try JSONDecoder().decode(ProcessRecord.self, from: data)
        record.identity = nil
        try home.directory.write(JSONEncoder().encode(record), to: path)

        let second = RunningAgent(home)
        await second.becomes(.healthy, at: 1)
        #expect(home.leader == leader)
        #expect(home.journal == ["start 1"])
        await second.stop()
    }

    @Test func aCheckThatFailsWhileAgentsChangeDoesNotEndTheApp() async throws {
        let home = try Home()
        try Data().write(to: URL(filePath: home.file("well")))
        let build = try home.keep(
            home.pack(
                1, Self.server,
                health: .command("/usr/bin/test", arguments: ["-e", home.file("well")], withinSeconds: 1)))
        let first = RunningAgent(home)
        first.assign(1, build)
        await first.becomes(.healthy, at: 1)
        let leader = try #require(home.leader)
        await first.stop()
        try FileManager.default.removeItem(atPath: home.file("well"))

        var settings = AgentSettings()
        (settings.healthSeconds, settings.unhealthyLooks) = (1, 4)
        let second = RunningAgent(home, settings: settings)
        await second.becomes(.healthy, at: 1)
        try await Task.sleep(for: .milliseconds(2500))
        #expect(home.leader == leader)
        #expect(home.journal == ["start 1"])
        // Ill for longer, it is started again, and never given up.
        await eventually("it is started again") { home.journal == ["start 1", "end 1", "start 1"] }
        #expect(second.reported.contains { $0.health == .starting && $0.detail.contains("no longer healthy") })
        try Data().write(to: URL(filePath: home.file("well")))
        await second.becomes(.healthy, at: 1)
        #expect(!second.reported.contains { $0.health == .failed })
        await second.runner.stopProcess()
        await second.stop()
    }

    @Test func theNextBuildWaitsForWhatTheShellStarted() async throws {
        let home = try Home()
        let old = try home.keep(home.pack(1, Self.wrapped))
        let new = try home.keep(home.pack(2, Self.server))
        let agent = RunningAgent(home)
        agent.assign(1, old)
        await agent.becomes(.healthy, at: 1)
        await eventually("the server runs") { home.journal == ["start 1"] }
        agent.assign(2, new)
        await agent.becomes(.healthy, at: 2)
        await eventually("the new one runs") { home.journal.count == 3 }
        #expect(home.journal == ["start 1", "end 1", "start 2"])
        await agent.runner.stopProcess()
        await agent.stop()
    }

    @Test func whatIgnoresTheSignalIsKilledAfterTheGrace() async throws {
        let home = try Home()
        let deaf = """
            (trap '' TERM; echo "start 1" >> "$JOURNAL"; while :; do sleep 0.05; done)
            :
            """
        let old = try home.keep(home.pack(1, deaf, graceSeconds: 1))
        let agent = RunningAgent(home)
        agent.assign(1, old)
        await agent.becomes(.healthy, at: 1)
        await eventually("the server runs") { home.journal == ["start 1"] }
        agent.assign(2, nil)
        await agent.becomes(.idle, at: 2)
        #expect(home.processes().isEmpty)
        await agent.stop()
    }

    /// Told to end with its apps, an agent waits no longer than whoever told it.
    @Test func theGraceIsCappedWhenTheAgentEndsToo() async throws {
        let home = try Home()
        let deaf = """
            trap '' TERM
            echo "start 1" >> "$JOURNAL"
            while :; do sleep 0.05; done
            """
        let build = try home.keep(home.pack(1, deaf, graceSeconds: 3600))
        var settings = AgentSettings()
        settings.maximumStopSeconds = 1
        let agent = RunningAgent(home, settings: settings)
        agent.assign(1, build)
        await agent.becomes(.healthy, at: 1)
        await eventually("it is deaf") { home.journal == ["start 1"] }
        await agent.stop()
        await agent.runner.stopProcess()
        #expect(home.processes().isEmpty)
    }

    /// The shell is killed; the server it started must be gone before another one is started.
    @Test(arguments: [true, false]) func whatAKilledShellLeftIsEndedFirst(isAgentAlive: Bool) async throws {
        let home = try Home()
        let build = try home.keep(home.pack(1, Self.wrapped))
        var agent = RunningAgent(home)
        agent.assign(1, build)
        await agent.becomes(.healthy, at: 1)
        await eventually("the server runs") { home.journal == ["start 1"] }
        let leader = try #require(home.leader)
        if !isAgentAlive { await agent.stop() }
        kill(leader.pid, SIGKILL)
        if !isAgentAlive { agent = RunningAgent(home) }
        await eventually("it runs again") { home.journal.count == 3 }
        #expect(home.journal == ["start 1", "end 1", "start 1"])
        #expect(home.leader != leader)
        await agent.becomes(.healthy, at: 1)
        await agent.runner.stopProcess()
        await agent.stop()
    }

    @Test func aCrashIsFollowedByAStart() async throws {
        let home = try Home()
        let build = try home.keep(home.pack(1, Self.server))
        let agent = RunningAgent(home)
        agent.assign(1, build)
        await agent.becomes(.healthy, at: 1)
        let leader = try #require(home.leader)
        kill(leader.pid, SIGKILL)
        await eventually("it runs again") { home.journal == ["start 1", "start 1"] }
        await agent.becomes(.healthy, at: 1)
        #expect(home.leader != leader)
        #expect(agent.reported.contains { $0.health == .starting && $0.detail.contains("signalled(9)") })
        await agent.runner.stopProcess()
        await agent.stop()
    }

    @Test func aRollbackNeedsNoFetch() async throws {
        let home = try Home()
        let (one, two) = (try home.keep(home.pack(1, Self.server)), try home.keep(home.pack(2, Self.server)))
        let agent = RunningAgent(home)
        for (number, build) in [(1, one), (2, two), (3, one)] {
            agent.assign(UInt64(number), build)
            await agent.becomes(.healthy, at: UInt64(number))
        }
        #expect(!agent.reported.contains { $0.health == .fetching })
        #expect(home.journal == ["start 1", "end 1", "start 2", "end 2", "start 1"])
        let current = try FileManager.default.destinationOfSymbolicLink(atPath: home.directory.app(web) + "/current")
        #expect(current == "builds/\(one.fileName)")
        await agent.runner.stopProcess()
        await agent.stop()
    }

    /// A restored global log gives number 1 again: the old build must not run as the new one.
    @Test func aBuildOfTheSameNumberIsAnotherOne() async throws {
        let home = try Home()
        let old = try home.keep(home.pack(1, "NAME=old\n" + Self.server))
        let new = try home.keep(home.pack(1, "NAME=new\n" + Self.server))
        #expect(old.build == new.build && old != new)
        let agent = RunningAgent(home)
        for (number, build, name) in [(1, old, "old"), (2, new, "new")] {
            agent.assign(UInt64(number), build)
            await agent.becomes(.healthy, at: UInt64(number))
            let binary = try String(contentsOfFile: home.directory.app(web) + "/current/binary", encoding: .utf8)
            #expect(binary.contains("NAME=\(name)"))
        }
        #expect(home.journal == ["start 1", "end 1", "start 1"])
        await agent.runner.stopProcess()
        await agent.stop()
    }

    @Test func aBuildThatNeverWorkedGoesBackToTheLastOne() async throws {
        let home = try Home()
        let good = try home.keep(home.pack(1, Self.server))
        let bad = try home.keep(
            home.pack(2, "printf 'first\\nbad \\033[31mnews\\n'; exit 3", health: .alive(seconds: 1)))
        let agent = RunningAgent(home)
        agent.assign(1, good)
        await agent.becomes(.healthy, at: 1)
        agent.assign(2, bad)
        await agent.becomes(.failed, at: 2)
        await eventually("the good one is back") { agent.reported.last?.build == good.build && home.journal.count == 3 }
        let detail = try #require(agent.reported.last?.detail)
        #expect(detail.contains("exited(3)") && detail.contains("first bad [31mnews"))
        #expect(!detail.unicodeScalars.contains { $0.value < 0x20 }, "no control characters: \(detail)")
        await agent.runner.stopProcess()
        await agent.stop()
    }
}
