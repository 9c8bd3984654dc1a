import Domain
import Testing

@testable import Building

private let trouble = UploadTrouble(.unreachable, detail: "", hasMoved: false)

/// A small world around the machine: it knows which calls are under way, answers them in every possible way, and
/// refuses effects that break the machine's rules.
private struct World: Hashable {
    enum Work: Hashable { case build, pack, upload }
    enum Report: Hashable { case uploaded, failed, release }

    var machine = WorkerMachine()
    var now: Int64 = 0
    var nextJob: UInt64 = 1
    var isClaiming = false
    var attempt: AttemptKey?
    var work: Work?
    var isStopped = false
    var report: Report?
    var heartbeat: UInt64?
    var lastHeartbeat: UInt64 = 0
    var isAwaitingEnd = false
    var timer: Int64?
    var isFinished = false
    /// What broke a rule; empty in a sound machine.
    var problem = ""

    static func == (left: World, right: World) -> Bool {
        left.machine == right.machine && left.work == right.work && left.report == right.report
            && left.heartbeat == right.heartbeat && left.isClaiming == right.isClaiming && left.problem == right.problem
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(machine)
        hasher.combine(work)
        hasher.combine(report)
        hasher.combine(heartbeat)
    }

    mutating func check(_ condition: Bool, _ problem: String) {
        if !condition && self.problem.isEmpty { self.problem = problem }
    }

    mutating func perform(_ effects: [WorkerEffect]) {
        for effect in effects {
            check(!isFinished, "\(effect) after the end")
            switch effect {
            case .claim:
                check(!isClaiming && attempt == nil, "a claim during a claim or an attempt")
                isClaiming = true
            case .cancelClaim: check(isClaiming, "no claim to cancel")
            case .startBuild(let job):
                check(job.key == attempt && work == nil, "a build of no attempt, or a second one")
                work = .build
            case .heartbeat(let key, let counter, _):
                check(key == attempt && heartbeat == nil, "a heartbeat beside another")
                check(counter == lastHeartbeat + 1, "a heartbeat's counter does not grow by one")
                (heartbeat, lastHeartbeat) = (counter, counter)
            case .stopWork(let key):
                check(key == attempt && work != nil && !isStopped, "stops what does not run, or twice")
                isStopped = true
            case .pack(let key): begin(.pack, key)
            case .upload(let key): begin(.upload, key)
            case .reportUploaded(let key): begin(report: .uploaded, key)
            case .reportFailed(let key, _): begin(report: .failed, key)
            case .release(let key): begin(report: .release, key)
            case .awaitEnd(let key):
                check(key == attempt && !isAwaitingEnd, "waits for the end twice")
                isAwaitingEnd = true
            case .deleteWorkspace(let key):
                check(key == attempt && work == nil, "deletes what is still worked in")
                (attempt, report, heartbeat, isAwaitingEnd, isStopped, lastHeartbeat) = (nil, nil, nil, false, false, 0)
            case .setTimer(let at):
                check(at >= now, "a timer in the past")
                timer = at
            case .finish:
                check(attempt == nil, "ends with an attempt")
                isFinished = true
            }
        }
        // Nothing may come to a standstill: something is under way, or a timer is set.
        if !isFinished {
            check(isClaiming || timer != nil || work != nil || report != nil || heartbeat != nil, "it stands still")
            if attempt != nil { check(heartbeat != nil || timer != nil, "an attempt without heartbeats") }
        }
    }

    private mutating func begin(_ kind: Work, _ key: AttemptKey) {
        check(key == attempt && work == nil && report == nil && !isStopped, "\(kind) at the wrong time")
        work = kind
    }

    private mutating func begin(report kind: Report, _ key: AttemptKey) {
        check(key == attempt && work == nil && report == nil, "a report of \(kind) at the wrong time")
        report = kind
    }

    /// Everything the world may say next, by name.
    func moves() -> [(String, (inout World) -> Void)] {
        var moves: [(String, (inout World) -> Void)] = []
        if isClaiming {
            moves.append(
                (
                    "claimed",
                    { world in
                        world.isClaiming = false; world.claim()
                    }
                ))
            moves.append(
                (
                    "no work",
                    { world in
                        world.isClaiming = false; world.perform(world.machine.noWork(now: world.now))
                    }
                ))
            moves.append(
                (
                    "claim failed",
                    { world in
                        world.isClaiming = false; world.perform(world.machine.claimFailed(now: world.now))
                    }
                ))
        }
        if let attempt {
            if let work { moves += workMoves(work, attempt) }
            if report == .uploaded {
                moves.append(
                    (
                        "report rejected",
                        { world in
                            world.report = nil
                            world.perform(world.machine.reportRejected(attempt, detail: "no", now: world.now))
                        }
                    ))
            }
            if report != nil {
                for verdict in ReportVerdict.allCases {
                    moves.append(
                        (
                            "report \(verdict)",
                            { world in
                                world.report = nil;
                                world.perform(world.machine.reported(attempt, verdict, now: world.now))
                            }
                        ))
                }
                moves.append(
                    (
                        "report failed",
                        { world in
                            world.report = nil; world.perform(world.machine.reportFailed(attempt, now: world.now))
                        }
                    ))
            }
            if let heartbeat {
                for verdict in HeartbeatVerdict.allCases {
                    moves.append(
                        (
                            "heartbeat \(verdict)",
                            { world in
                                world.heartbeat = nil
                                world.perform(
                                    world.machine.heartbeatAnswered(
                                        attempt, counter: heartbeat, verdict, now: world.now))
                            }
                        ))
                }
                moves.append(
                    (
                        "heartbeat failed",
                        { world in
                            world.heartbeat = nil
                            world.perform(world.machine.heartbeatFailed(attempt, counter: heartbeat, now: world.now))
                        }
                    ))
            }
            if isAwaitingEnd {
                moves.append(("job ended", { world in world.perform(world.machine.jobEnded(attempt)) }))
                moves.append(
                    (
                        "end not seen",
                        { world in
                            world.isAwaitingEnd = false
                            world.perform(world.machine.endNotSeen(attempt))
                        }
                    ))
            }
        }
        if let timer {
            moves.append(
                (
                    "tick",
                    { world in
                        world.now = max(world.now, timer)
                        world.timer = nil
                        world.perform(world.machine.tick(now: world.now))
                    }
                ))
        }
        moves.append(("drain", { world in world.perform(world.machine.drain()) }))
        moves.append(("shutdown", { world in world.perform(world.machine.shutdown(now: world.now)) }))
        return moves
    }

    private func workMoves(_ work: Work, _ key: AttemptKey) -> [(String, (inout World) -> Void)] {
        func move(
            _ name: String, _ fact: @escaping (inout WorkerMachine, Int64) -> [WorkerEffect]
        ) -> (String, (inout World) -> Void) {
            (
                name,
                { world in
                    world.work = nil; world.perform(fact(&world.machine, world.now))
                }
            )
        }
        let failure = BuildFailure(.exit, detail: "")
        switch work {
        case .build:
            return [
                move("built") { $0.buildEnded(key, nil, now: $1) },
                move("build failed") { $0.buildEnded(key, failure, now: $1) },
            ]
        case .pack:
            return [
                move("packed") { $0.packed(key, now: $1) },
                move("pack failed") { $0.packFailed(key, failure, now: $1) },
            ]
        case .upload:
            return [
                move("uploaded") { $0.uploaded(key, now: $1) },
                move("upload failed") { $0.uploadFailed(key, trouble, now: $1) },
                move("upload rejected") { $0.uploadRejected(key, detail: "no", now: $1) },
            ]
        }
    }

    private mutating func claim() {
        let key = AttemptKey(job: JobID(rawValue: nextJob), attempt: .first)
        nextJob += 1
        attempt = key
        let request = JobRequest(
            app: AppName(unchecked: "web"), repository: "/r",
            commit: CommitID(rawValue: String(repeating: "a", count: 40))!)
        perform(
            machine.claimed(
                ClaimedJob(key: key, request: request, heartbeatSeconds: 15, jobTimeoutSeconds: 60), now: now))
    }
}

struct WorkerMachineWorldTests {
    private func start() -> World {
        var world = World()
        world.perform(world.machine.started(now: 0))
        return world
    }

    /// Every sequence of answers, to a depth at which a whole job and its repetitions fit.
    @Test func everySequenceOfAnswers() {
        var seen: Set<World> = [start()]
        var frontier = [(world: start(), path: [String]())]
        var phases: Set<String> = []
        for _ in 0..<9 {
            var next: [(World, [String])] = []
            for (world, path) in frontier {
                for (name, move) in world.moves() {
                    var after = world
                    move(&after)
                    #expect(after.problem.isEmpty, "\(after.problem) after \(path + [name])")
                    guard after.problem.isEmpty, seen.insert(after).inserted else { continue }
                    if case .working(let attempt) = after.machine.state {
                        phases.insert(String("\(attempt.phase)".prefix { $0 != "(" }))
                    }
                    next.append((after, path + [name]))
                }
            }
            frontier = next
        }
        #expect(
            phases == [
                "building", "packing", "uploading", "reportingUploaded", "confirming", "stopping", "reportingFailure",
                "releasing",
            ])
        #expect(seen.count > 1000)
    }

    /// Long random walks; each from a seed that is named when it fails.
    @Test(arguments: UInt64(1)...40)
    func longWalks(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var world = start()
        var path: [String] = []
        for step in 0..<2000 where !world.isFinished {
            // The end of the worker is rare, or the walk would be short.
            let moves = world.moves().filter { step % 500 == 499 || !["drain", "shutdown"].contains($0.0) }
            let (name, move) = moves[Int.random(in: 0..<moves.count, using: &random)]
            path.append(name)
            move(&world)
            #expect(world.problem.isEmpty, "seed \(seed): \(world.problem) after \(path.suffix(12))")
            if !world.problem.isEmpty { return }
        }
    }

    /// From anywhere, friendly answers lead back to a claim or to the end.
    @Test(arguments: UInt64(1)...40)
    func nothingIsEverStuck(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var world = start()
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            let moves = world.moves()
            moves[Int.random(in: 0..<moves.count, using: &random)].1(&world)
        }
        let friendly = ["built", "packed", "uploaded", "report accepted", "job ended", "heartbeat continue", "tick"]
        for _ in 0..<40 where !world.isFinished && !world.isClaiming {
            let moves = world.moves()
            let name = friendly.first { name in moves.contains { $0.0 == name } }
            moves.first { $0.0 == name }?.1(&world)
        }
        #expect(world.isFinished || world.isClaiming, "seed \(seed): stuck in \(world.machine.state)")
    }

    /// Facts that fit nothing change nothing, whatever they are and whenever they come.
    @Test(arguments: UInt64(1)...40)
    func strangeFactsChangeNothing(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var world = start()
        let other = AttemptKey(job: JobID(rawValue: 999), attempt: .first)
        for _ in 0..<300 where !world.isFinished {
            let moves = world.moves().filter { $0.0 != "shutdown" && $0.0 != "drain" }
            moves[Int.random(in: 0..<moves.count, using: &random)].1(&world)
            var machine = world.machine
            let effects = [
                machine.buildEnded(other, nil, now: world.now), machine.packed(other, now: world.now),
                machine.packFailed(other, .cancelled, now: world.now), machine.uploaded(other, now: world.now),
                machine.uploadFailed(other, trouble, now: world.now),
                machine.uploadRejected(other, detail: "", now: world.now),
                machine.reportRejected(other, detail: "", now: world.now),
                machine.reported(other, .accepted, now: world.now), machine.reportFailed(other, now: world.now),
                machine.jobEnded(other), machine.endNotSeen(other), machine.stageChanged(other, to: .build),
                machine.heartbeatAnswered(other, counter: 1, .stale, now: world.now),
                machine.heartbeatFailed(other, counter: 1, now: world.now),
                machine.heartbeatAnswered(world.attempt ?? other, counter: 1_000_000, .stale, now: world.now),
                machine.started(now: world.now),
            ]
            #expect(effects.allSatisfy { $0.isEmpty })
            #expect(machine.state == world.machine.state)
            #expect(machine.ignoredFacts == world.machine.ignoredFacts + UInt64(effects.count))
        }
    }
}
