import Foundation
import Glibc
import Ports
import Synchronization
import Testing

@testable import Processes

struct GroupRunnerTests {
    private let runner = GroupRunner()
    private let limits = RunLimits(timeoutSeconds: 120, graceSeconds: 60)

    private func command(_ script: String, in directory: String = "/") -> SupervisedCommand {
        SupervisedCommand(
            executable: "/bin/sh", arguments: shell(script), environment: plainEnvironment, directory: directory)
    }

    @Test func outputInOrderAndExitCode() async throws {
        let run = try await runner.collect(
            command("echo one; echo two >&2; echo three; exit 5"), limits: limits, maximumOutputBytes: 1000)
        #expect(run.end == .ended(.exited(5)))
        #expect(String(decoding: run.output, as: UTF8.self) == "one\ntwo\nthree\n")
    }

    @Test func aLeaderEndedByASignal() async throws {
        let run = try await runner.collect(command("kill -KILL $$"), limits: limits, maximumOutputBytes: 10)
        #expect(run.end == .ended(.signalled(SIGKILL)))
        let abort = try await runner.collect(command("kill -ABRT $$"), limits: limits, maximumOutputBytes: 10)
        #expect(abort.end == .ended(.signalled(SIGABRT)))
    }

    @Test func onlyTheLastBytesAreKept() async throws {
        let run = try await runner.collect(
            command("i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done"), limits: limits,
            maximumOutputBytes: 30)
        #expect(run.output.count == 30)
        #expect(String(decoding: run.output, as: UTF8.self).hasSuffix("line-19998\nline-19999\n"))
    }

    @Test func failureToStart() async {
        await #expect(throws: ProcessFailure.self) {
            try await runner.start(SupervisedCommand(executable: "/no/such/program", directory: "/"))
        }
    }

    /// The leader is gone; what it left in the background, in the session or out of it, ends with it, and the output
    /// ends too although those held the pipe.
    @Test func leftoversEndWithTheLeader() async throws {
        try await withTemporaryDirectory { directory in
            let script = """
                (trap '' TERM HUP; sleep 600) & echo $! > plain
                sh -c 'setsid sh -c "sleep 600 & echo \\$! > double; wait" &'
                while [ ! -s double ]; do sleep 0.01; done
                exit 4
                """
            let run = try await runner.collect(command(script, in: directory), limits: limits, maximumOutputBytes: 100)
            #expect(run.end == .ended(.exited(4)))
            // No waiting here: the end is told when all are gone.
            for name in ["plain", "double"] {
                let pid = try #require(number(in: "\(directory)/\(name)"))
                #expect(!isAlive(pid), "\(name)")
            }
        }
    }

    @Test func timeoutKillsAGroupThatIgnoresTerm() async throws {
        try await withTemporaryDirectory { directory in
            let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' & wait"
            let end = try await runner.run(
                command(script, in: directory), limits: RunLimits(timeoutSeconds: 0.5, graceSeconds: 0.2)
            ) { _ in }
            #expect(end == .timedOut)
            if let child = number(in: "\(directory)/child") { #expect(!isAlive(child)) }
        }
    }

    @Test func termComesFirstAndCountsWithinTheGrace() async throws {
        try await withTemporaryDirectory { directory in
            let script = "trap 'echo tidy > tidied; exit 0' TERM; echo > up; while :; do sleep 0.02; done"
            let process = try await runner.start(command(script, in: directory))
            #expect(await eventually { FileManager.default.fileExists(atPath: "\(directory)/up") })
            process.terminate(graceSeconds: 60)
            #expect(await process.waitForEnd() == .exited(0))
            #expect(text("\(directory)/tidied") == "tidy\n")
            // After the end it does nothing.
            process.terminate(graceSeconds: 0)
        }
    }

    @Test func aShorterGraceOvertakesALongerOne() async throws {
        let process = try await runner.start(command("trap '' TERM; echo up; while :; do sleep 0.02; done"))
        var output = process.output.makeAsyncIterator()
        #expect(await output.next() == Array("up\n".utf8))
        process.terminate(graceSeconds: 3600)
        process.terminate(graceSeconds: 0)
        #expect(await process.waitForEnd() == .signalled(SIGKILL))
    }

    @Test func cancellationEndsTheGroup() async throws {
        try await withTemporaryDirectory { directory in
            let command = command("sleep 600 & echo $! > child; wait", in: directory)
            let task = Task {
                try await runner.run(command, limits: RunLimits(timeoutSeconds: 600, graceSeconds: 60)) { _ in }
            }
            #expect(await eventually { number(in: "\(directory)/child") != nil })
            let child = try #require(number(in: "\(directory)/child"))
            task.cancel()
            #expect(try await task.value == .cancelled)
            #expect(!isAlive(child))
        }
    }

    @Test func aTaskCancelledBeforehandRunsNothingForLong() async throws {
        let command = command("sleep 600")
        let runner = runner
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await runner.run(command, limits: RunLimits(timeoutSeconds: 600, graceSeconds: 0)) { _ in }
        }
        task.cancel()
        #expect(try await task.value == .cancelled)
    }

    /// A command that writes without end is held up while nobody reads: what it has written stays at what the pipe and
    /// one chunk hold.
    @Test func unreadOutputThrottlesTheCommand() async throws {
        try await withTemporaryDirectory { directory in
            let script = """
                i=0; while [ $i -lt 64 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > written; done
                """
            let process = try await runner.start(command(script, in: directory))
            // It must come to a stop: the count is the same in many looks in a row.
            var same = 0
            var last: Int32?
            #expect(
                await eventually {
                    let now = number(in: "\(directory)/written")
                    same = now != nil && now == last ? same + 1 : 0
                    last = now
                    return same > 100
                })
            #expect(try #require(last) <= 2)
            var total = 0
            for await chunk in process.output {
                #expect(chunk.count <= 65536)
                total += chunk.count
            }
            #expect(total == 64 * 65536)
            #expect(await process.waitForEnd() == .exited(0))
        }
    }

    @Test func aSlowConsumerOfAFloodCanBeTimedOut() async throws {
        let seen = Mutex(0)
        let end = try await runner.run(
            command("yes"), limits: RunLimits(timeoutSeconds: 0.5, graceSeconds: 0.1)
        ) { chunk in
            seen.withLock { $0 += chunk.count }
            try? await Task.sleep(for: .milliseconds(1))
        }
        #expect(end == .timedOut)
        #expect(seen.withLock { $0 } > 0)
    }

    @Test func aCancelledReaderLeavesTheCommandAlone() async throws {
        let process = try await runner.start(command("read line < /dev/null; sleep 0.2; echo late"))
        let reader = Task {
            var iterator = process.output.makeAsyncIterator()
            return await iterator.next()
        }
        reader.cancel()
        _ = await reader.value
        let waiter = Task { await process.waitForEnd() }
        waiter.cancel()
        _ = await waiter.value
        #expect(await process.waitForEnd() == .exited(0))
    }

    @Test func manyAtOnce() async throws {
        let runner = runner
        let limits = limits
        let commands = (0..<30).map { command("echo \($0); exit \($0)") }
        try await withThrowingTaskGroup(of: (Int, CollectedRun).self) { group in
            for (index, command) in commands.enumerated() {
                group.addTask { (index, try await runner.collect(command, limits: limits, maximumOutputBytes: 100)) }
            }
            for try await (index, run) in group {
                #expect(run.end == .ended(.exited(Int32(index))))
                #expect(String(decoding: run.output, as: UTF8.self) == "\(index)\n")
            }
        }
    }
}
