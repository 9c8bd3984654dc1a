import Foundation
import Glibc
import Ports
import Testing

@testable import Processes

/// What a detached process started belongs to its session, and may outlive it.
struct SessionTests {
    private let runner = DetachedProcesses()

    private func start(
        _ script: String, in directory: String, by shellPath: String = "/bin/sh"
    ) throws -> ProcessIdentity {
        try runner.startDetached(
            ProcessSpecification(
                executable: shellPath, arguments: shell(script), environment: plainEnvironment, directory: directory))
    }

    @Test func aSessionOutlivesItsLeader() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("sleep 600 & echo $! > child; exit 0", in: directory)
            #expect(await runner.waitForEnd(identity) == .exited(0))
            let child = try #require(number(in: "\(directory)/child"))
            #expect(!runner.isRunning(identity))
            #expect(runner.hasSession(identity))
            // Also for a later instance of us, which finds the child first.
            let later = DetachedProcesses()
            #expect(later.hasSession(identity))
            #expect(later.sessionLeader(of: child)?.pid == identity.pid)
            later.signalSession(identity, SIGKILL)
            #expect(await eventually { !later.hasSession(identity) })
            #expect(!isAlive(child))
        }
    }

    @Test func everyGroupOfTheSessionIsSignalled() async throws {
        try await withTemporaryDirectory { directory in
            // Job control gives the background job a group of its own; sh has none without a terminal.
            let identity = try start("set -m; sleep 600 & echo $! > child; wait", in: directory, by: "/bin/bash")
            #expect(await eventually { number(in: "\(directory)/child") != nil })
            let child = try #require(number(in: "\(directory)/child"))
            #expect(await eventually { getpgid(child) == child })
            runner.signalSession(identity, SIGKILL)
            #expect(await runner.waitForEnd(identity) == .signalled(SIGKILL))
            #expect(await eventually { !runner.hasSession(identity) && !isAlive(child) })
        }
    }

    @Test func anotherProcessUnderTheNumberOrAnEarlierBootIsNoSession() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("exec sleep 600", in: directory)
            #expect(runner.sessionLeader(of: identity.pid) == identity)
            var (recycled, earlier) = (identity, identity)
            recycled.startTicks -= 1
            earlier.boot = "another"
            for other in [recycled, earlier] {
                #expect(!runner.hasSession(other))
                runner.signalSession(other, SIGKILL)
            }
            #expect(runner.hasSession(identity) && runner.isRunning(identity))
            runner.signalSession(identity, SIGKILL)
            _ = await runner.waitForEnd(identity)
        }
    }
}
