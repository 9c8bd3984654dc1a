import Foundation
import Glibc
import Ports
import Testing

@testable import Processes

struct DetachedProcessesTests {
    private let runner = DetachedProcesses()

    private func start(_ script: String, in directory: String, output: String? = nil) throws -> ProcessIdentity {
        try runner.startDetached(
            ProcessSpecification(
                executable: "/bin/sh", arguments: shell(script), environment: plainEnvironment, directory: directory,
                outputPath: output))
    }

    @Test func exitStatusAndOutputOfAChild() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("echo out; echo err >&2; exit 7", in: directory, output: "\(directory)/log")
            #expect(await runner.waitForEnd(identity) == .exited(7))
            #expect(text("\(directory)/log") == "out\nerr\n")
            #expect(!runner.isRunning(identity))
            // Asked again, the end is still known.
            #expect(await runner.waitForEnd(identity) == .exited(7))
            // Output is appended.
            let second = try start("echo more", in: directory, output: "\(directory)/log")
            #expect(await runner.waitForEnd(second) == .exited(0))
            #expect(text("\(directory)/log") == "out\nerr\nmore\n")
        }
    }

    @Test func aSignalReachesTheWholeGroup() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("sleep 600 & echo $! > child; wait", in: directory)
            #expect(await eventually { number(in: "\(directory)/child") != nil })
            let child = try #require(number(in: "\(directory)/child"))
            #expect(runner.isRunning(identity) && isAlive(child))
            runner.signal(identity, SIGKILL)
            #expect(await runner.waitForEnd(identity) == .signalled(SIGKILL))
            #expect(await eventually { !isAlive(child) })
            // Nothing to signal any more, and nothing else is hit.
            runner.signal(identity, SIGKILL)
        }
    }

    @Test func aChildHasASessionNoDescriptorsAndDefaultSignals() async throws {
        try await withTemporaryDirectory { directory in
            let held = dup(STDERR_FILENO)
            defer { close(held) }
            let script = """
                ls /proc/$$/fd > fds
                cut -d ' ' -f 6 /proc/$$/stat > session
                echo $$ > self
                # By the shell itself: around starting a program it blocks signals of its own accord.
                while read -r name value; do
                    case $name in SigBlk:|SigIgn:) printf '%s\\t%s\\n' $name $value ;; esac
                done < /proc/$$/status > signals
                pwd > directory
                env > environment
                """
            let identity = try start(script, in: directory)
            #expect(await runner.waitForEnd(identity) == .exited(0))
            #expect(text("\(directory)/fds").split(separator: "\n").allSatisfy { ["0", "1", "2", "10"].contains($0) })
            #expect(number(in: "\(directory)/session") == identity.pid)
            #expect(number(in: "\(directory)/self") == identity.pid)
            let signals = text("\(directory)/signals")
            #expect(signals.split(separator: "\n").count == 2)
            #expect(
                !signals.split(separator: "\n").contains { $0.drop { $0 != "\t" }.contains { !"0\t".contains($0) } },
                "\(signals)")
            #expect(text("\(directory)/directory").contains(directory))
            let names = Set(
                text("\(directory)/environment").split(separator: "\n").map { $0.prefix { $0 != "=" } })
            #expect(names == ["PATH", "PWD"] || names == ["PATH", "PWD", "OLDPWD"] || names == ["PATH", "PWD", "_"])
        }
    }

    @Test func standardInputIsEmpty() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("cat; exit 3", in: directory)
            #expect(await runner.waitForEnd(identity) == .exited(3))
        }
    }

    /// A process started by an earlier instance of us: here by a shell that has ended.
    @Test func adoption() async throws {
        try await withTemporaryDirectory { directory in
            let starter = try start("setsid sleep 600 & echo $! > orphan", in: directory)
            #expect(await runner.waitForEnd(starter) == .exited(0))
            let pid = try #require(number(in: "\(directory)/orphan"))
            let status = try #require(ProcessStatus(pid: pid))
            let identity = ProcessIdentity(pid: pid, startTicks: status.startTicks, boot: bootIdentity)
            // setsid may still be on its way to a session of its own, which is what a signal goes to.
            #expect(await eventually { getsid(pid) == pid })

            let later = DetachedProcesses()
            #expect(later.isRunning(identity))
            async let end = later.waitForEnd(identity)
            later.signal(identity, SIGTERM)
            #expect(await end == .unknown)
            #expect(await eventually { !later.isRunning(identity) })
            #expect(await later.waitForEnd(identity) == .unknown)
        }
    }

    @Test func aRecycledNumberOrAnEarlierBootNamesNothing() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("exec sleep 600", in: directory)
            var recycled = identity
            recycled.startTicks -= 1
            var earlierBoot = identity
            earlierBoot.boot = "00000000-0000-0000-0000-000000000000"
            for other in [recycled, earlierBoot] {
                #expect(!runner.isRunning(other))
                #expect(await runner.waitForEnd(other) == .unknown)
                runner.signal(other, SIGKILL)
            }
            #expect(runner.isRunning(identity))
            runner.signal(identity, SIGTERM)
            #expect(await runner.waitForEnd(identity) == .signalled(SIGTERM))
        }
    }

    /// A zombie has a row in /proc and the right start, but it runs no more.
    @Test func aZombieIsNotRunning() async throws {
        try await withTemporaryDirectory { directory in
            // The shell becomes a sleep that never reaps the child it inherited.
            let parent = try start("sh -c 'echo $$ > zombie' & exec sleep 600", in: directory)
            #expect(await eventually { number(in: "\(directory)/zombie") != nil })
            let pid = try #require(number(in: "\(directory)/zombie"))
            #expect(await eventually { ProcessStatus(pid: pid)?.state == UInt8(ascii: "Z") })
            let status = try #require(ProcessStatus(pid: pid))
            let zombie = ProcessIdentity(pid: pid, startTicks: status.startTicks, boot: bootIdentity)
            #expect(!runner.isRunning(zombie))
            #expect(await runner.waitForEnd(zombie) == .unknown)
            runner.signal(parent, SIGKILL)
            #expect(await runner.waitForEnd(parent) == .signalled(SIGKILL))
        }
    }

    @Test func everyChildIsReapedThoughNobodyWaits() async throws {
        try await withTemporaryDirectory { directory in
            let identities = try (0..<20).map { _ in try start("exit 0", in: directory) }
            #expect(await eventually { identities.allSatisfy { ProcessStatus(pid: $0.pid) == nil } })
        }
    }

    @Test func manyWaitersAndACancelledOne() async throws {
        try await withTemporaryDirectory { directory in
            let identity = try start("exec sleep 600", in: directory)
            let cancelled = Task { await runner.waitForEnd(identity) }
            cancelled.cancel()
            #expect(await cancelled.value == .unknown)
            #expect(runner.isRunning(identity))
            let waiters = (0..<10).map { _ in Task { await runner.waitForEnd(identity) } }
            runner.signal(identity, SIGKILL)
            for waiter in waiters { #expect(await waiter.value == .signalled(SIGKILL)) }
        }
    }

    @Test(arguments: [
        ("/no/such/program", "/", "not-found"), ("/etc/passwd", "/", "not-executable"),
        ("/etc", "/", "not-executable"), ("/bin/sh", "/no/such/directory", "not-found"), ("sh", "/", "not-found"),
        ("/bin/s\0h", "/", "io"),
    ])
    func failuresToStart(executable: String, directory: String, code: String) {
        let failure = #expect(throws: ProcessFailure.self) {
            try runner.startDetached(ProcessSpecification(executable: executable, directory: directory))
        }
        #expect(failure?.code == code)
    }

    @Test func anOutputFileThatCannotBeOpened() {
        let failure = #expect(throws: ProcessFailure.self) {
            try runner.startDetached(
                ProcessSpecification(executable: "/bin/true", directory: "/", outputPath: "/no/such/directory/log"))
        }
        #expect(failure?.code == "io")
    }

    @Test func failedStartsLeaveNoDescriptorAndNoZombie() throws {
        func openDescriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
        // Other tests open descriptors at the same time: only a leak in every one of many starts shows.
        let before = try openDescriptors()
        for _ in 0..<300 {
            #expect(throws: ProcessFailure.self) {
                try runner.startDetached(ProcessSpecification(executable: "/no/such/program", directory: "/"))
            }
        }
        #expect(try openDescriptors() < before + 250)
    }

    @Test func statusFieldsAreCountedFromTheLastParenthesis() throws {
        let line = "12 (a) (b c)) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3"
        let status = try #require(ProcessStatus(stat: Array(line.utf8)))
        #expect(status.startTicks == 987_654 && status.state == UInt8(ascii: "S"))
        #expect(ProcessStatus(stat: Array("12 (a) S 1 2".utf8)) == nil)
        #expect(ProcessStatus(stat: Array("nothing".utf8)) == nil)
    }
}

/// Processes that die with whoever started them. The kernel's rule is about threads, so a test needs no second process
/// of ours: it starts from a thread of its own and lets that end.
struct DependentProcessesTests {
    /// Starts on a thread of its own and returns the process and a way to end the thread.
    private func startOnThread(
        _ script: String, in directory: String, keeping: SpawnKeeping
    ) throws -> (pid: Int32, end: @Sendable () -> Void) {
        let ready = DispatchSemaphore(value: 0)
        let mayEnd = DispatchSemaphore(value: 0)
        let result = Box()
        Thread.detachNewThread {
            result.outcome = Result {
                try spawn(
                    executable: "/bin/sh", arguments: shell(script), environment: plainEnvironment,
                    directory: directory, output: .none, keeping: keeping)
            }
            ready.signal()
            mayEnd.wait()
        }
        ready.wait()
        let (pid, descriptor) = try result.outcome!.get()
        // Its end and its zombie are the watch's to take.
        #expect(EndWatch(pid: pid, descriptor: descriptor).begin())
        return (pid, { mayEnd.signal() })
    }

    private final class Box: @unchecked Sendable {
        var outcome: Result<(pid: Int32, descriptor: Int32), any Error>?
    }

    @Test func theDeathSignalComesWhenTheThreadEnds() async throws {
        try await withTemporaryDirectory { directory in
            let (pid, end) = try startOnThread(
                "trap 'echo told > told; exit 0' TERM; echo > up; while :; do sleep 0.05; done", in: directory,
                keeping: .deathSignal(SIGTERM))
            #expect(await eventually { FileManager.default.fileExists(atPath: "\(directory)/up") })
            #expect(isAlive(pid))
            end()
            #expect(await eventually { !isAlive(pid) })
            #expect(text("\(directory)/told") == "told\n")
        }
    }

    /// Even what left the session dies with us.
    @Test func theKeeperKillsEverythingWhenTheThreadEnds() async throws {
        try await withTemporaryDirectory { directory in
            let script = """
                trap '' TERM
                sleep 600 & echo $! > inGroup
                setsid sleep 600 & echo $! > escaped
                wait
                """
            let (keeper, end) = try startOnThread(script, in: directory, keeping: .keeper)
            #expect(
                await eventually {
                    number(in: "\(directory)/inGroup") != nil && number(in: "\(directory)/escaped") != nil
                })
            let pids = try ["inGroup", "escaped"].map { try #require(number(in: "\(directory)/\($0)")) } + [keeper]
            #expect(pids.allSatisfy(isAlive))
            end()
            #expect(await eventually { !pids.contains(where: isAlive) })
        }
    }

    @Test func aDependentStartedByTheRunnerLivesOn() async throws {
        try await withTemporaryDirectory { directory in
            let runner = DetachedProcesses()
            let identity = try await runner.startDependent(
                ProcessSpecification(
                    executable: "/bin/sh", arguments: shell("echo up; exec sleep 600"), environment: plainEnvironment,
                    directory: directory, outputPath: "\(directory)/log"))
            #expect(await eventually { text("\(directory)/log") == "up\n" })
            #expect(runner.isRunning(identity))
            runner.signal(identity, SIGTERM)
            #expect(await runner.waitForEnd(identity) == .signalled(SIGTERM))
        }
    }
}
