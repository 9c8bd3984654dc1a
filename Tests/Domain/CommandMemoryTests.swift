import Testing

@testable import Domain

@Suite("Idempotency")
struct CommandMemoryTests {
    @Test("the same key with the same arguments gets the first answer and no event")
    func sameAgain() {
        var world = GlobalWorld.fleet()
        let forced = request(isForced: true)
        #expect(world.enqueue(forced, key: "k") == job(1))
        world.send(.queue(.cancel(job(1), reason: "")))
        let again = world.send(.queue(.enqueue(forced)), key: "k")
        #expect(again == .accepted([], .queue(.enqueued(job(1), isReused: false))))
        #expect(world.state.queue.enqueued == job(1))
    }

    @Test("a claim under a key is answered with the same attempt")
    func claimAgain() {
        var world = GlobalWorld.fleet()
        for number in 1...2 { world.enqueue(request(commit: number)) }
        let first = world.send(.queue(.claim(worker("w1"))), by: .worker(worker("w1")), key: "c1")
        world.beat(job(1), .first, counter: 1)
        let again = world.send(.queue(.claim(worker("w1"))), by: .worker(worker("w1")), key: "c1")
        #expect(again.answer == first.answer)
        #expect(again.events == [])
        #expect(world.state.queue.waiting.all == [job(2)])
    }

    @Test("the same key with other arguments is key-reused")
    func otherArguments() {
        var world = GlobalWorld.fleet()
        world.enqueue(request(), key: "k")
        #expect(world.send(.queue(.enqueue(request(priority: 1))), key: "k").code == .keyReused)
        #expect(world.send(.queue(.cancel(job(1), reason: "")), key: "k").code == .keyReused)
    }

    @Test("keys of different actors are different, however their names are cut")
    func actorsAreApart() {
        var world = GlobalWorld.fleet()
        world.send(.queue(.enqueue(request(commit: 1))), by: .person("x"), key: "y z")
        #expect(world.send(.queue(.enqueue(request(commit: 2))), by: .person("x y"), key: "z").events?.count == 1)
        #expect(
            world.send(.queue(.enqueue(request(commit: 3))), by: .worker(worker("x")), key: "y z").events?.count == 1)
    }

    @Test("a key is remembered for 24 hours of log time")
    func lifetime() {
        var world = GlobalWorld.fleet()
        world.enqueue(request(isForced: true), key: "k")
        world.wait(seconds: 24 * 3600)
        #expect(world.enqueue(request(isForced: true), key: "k") == job(1))
        world.wait(milliseconds: 1)
        #expect(world.enqueue(request(isForced: true), key: "k") == job(2))
        #expect(world.state.memory.count == 1)
    }

    @Test("the oldest keys go first when the limit is reached")
    func limit() {
        var memory = CommandMemory<Int>()
        for number in 1...5 {
            memory.remember(
                actor: .person("ada"), key: "\(number)", fingerprint: 0, answer: number, time: .zero, maximumEntries: 3)
        }
        #expect(memory.count == 3)
        #expect(
            (1...5).map { memory.entry(actor: .person("ada"), key: "\($0)", now: .zero)?.answer } == [
                nil, nil, 3, 4, 5,
            ])
        #expect(CommandMemory<Int>.maximumEntries == 1_000_000)
    }

    @Test("a refused command is not remembered")
    func refusedIsNotRemembered() {
        var world = GlobalWorld.fleet(regions: ["a"])
        world.build(request(), in: ["a"])
        world.send(.fleet(.regionSuspend(region("a"), reason: "")))
        let deploy = GlobalCommand.targets(.deploy(DeployRequest(app: app(), build: job(1), reason: "")))
        #expect(world.send(deploy, key: "d").code == .noRegion)
        world.send(.fleet(.regionResume(region("a"), reason: "")))
        #expect(world.send(deploy, key: "d").events?.isEmpty == false)
    }

    @Test("heartbeats and reports carry counters and revisions instead of being remembered")
    func reportsAreNotRemembered() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        let beat = GlobalCommand.queue(.heartbeat(job(1), .first, counter: 1, stage: .build))
        #expect(world.send(beat, key: "h").events?.count == 1)
        #expect(world.send(beat, key: "h").events == [])
        let levels = ["web", "api"].map {
            RegionLevel(app: app($0), revision: .zero, selected: 1, healthy: 0, failed: 0, silent: 0)
        }
        let report = GlobalCommand.fleet(.regionReport(region("a"), levels))
        #expect(world.send(report, key: "r").events?.count == 2)
        #expect(world.send(report, key: "r").events == [])
    }

    @Test("a deployment's answer is the same again, skipped regions and all")
    func deploymentAgain() {
        var world = GlobalWorld.fleet(regions: ["a", "b", "c"])
        world.build(request(), in: ["a", "b"])
        world.send(.fleet(.regionSuspend(region("c"), reason: "")))
        let deploy = GlobalCommand.targets(.deploy(DeployRequest(app: app(), build: job(1), reason: "")))
        let first = world.send(deploy, key: "d")
        #expect(first.answer == .targets(.deployment(revision(1), .running, skipped: [region("c")])))
        #expect(world.send(deploy, key: "d") == .accepted([], first.answer ?? .done))
    }
}

@Suite("Recorded refusals")
struct RefusalTests {
    private let late = Refusal(
        .staleAttempt, "late", attempt: RefusedAttempt(job: job(1), attempt: .first, command: "heartbeat"))

    @Test("the first of each (attempt, kind) is recorded, then one a minute with the count")
    func firstThenOneAMinute() throws {
        var world = GlobalWorld.fleet()
        func event(_ refusal: Refusal, _ count: UInt64) -> GlobalEvent? {
            Global.refusalEvent(refusal, count: count, state: world.state, now: world.now)
        }
        var other = late
        other.attempt?.attempt = attempt(2)
        var kind = late
        kind.attempt?.command = "release"
        world.append([try #require(event(late, 1))])
        #expect(event(late, 2) == nil)
        #expect(event(other, 1) != nil)
        #expect(event(kind, 1) != nil)
        world.wait(milliseconds: 59_999)
        #expect(event(late, 40) == nil)
        world.wait(milliseconds: 1)
        let expected = RefusedAttempt(job: job(1), attempt: .first, command: "heartbeat")
        #expect(event(late, 41) == .log(.refused(expected, code: .staleAttempt, count: 41)))
    }

    @Test("refusals that are not about an attempt are not recorded")
    func othersAreNot() {
        let world = GlobalWorld()
        #expect(Global.refusalEvent(Refusal(.invalid, ""), count: 1, state: world.state, now: world.now) == nil)
    }

    @Test("what is remembered of refusals has a limit")
    func limit() {
        var state = LogState()
        for number in 0...UInt64(LogState.maximumRefusals) {
            let refused = RefusedAttempt(job: job(number), attempt: .first, command: "heartbeat")
            state.reduce(.refused(refused, code: .staleAttempt, count: 1), at: .zero)
        }
        #expect(state.refusals.count <= LogState.maximumRefusals)
    }
}
