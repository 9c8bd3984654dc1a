import Testing

@testable import Domain

@Suite("One app on one peer")
struct AppMachineTests {
    private func running(_ number: UInt64 = 1) -> AppWorld {
        var world = AppWorld()
        world.run(1, build(number))
        return world
    }

    @Test("a target becomes a healthy process, and is watched")
    func firstDeployment() throws {
        var world = AppWorld()
        world.assign(1, build(1))
        #expect(world.report == PeerApp(revision: revision(1), build: nil, health: .fetching))
        world.settle()
        let launch = try #require(world.process)
        #expect(launch.build == build(1))
        #expect(world.watched == launch)
        #expect(world.report == PeerApp(revision: revision(1), build: job(1), health: .healthy))
        #expect(world.problem == nil)
    }

    @Test("a build number that is given again names another build")
    func numbersAreGivenAgain() {
        var world = running()
        world.assign(2, build(1, branch: 9))
        #expect(world.fetching?.build == build(1, branch: 9))
        #expect(world.process?.build == build(1), "the old one runs on meanwhile")
        #expect(world.report?.health == .fetching, "the old one's health is not the new one's")
        world.settle()
        #expect(world.process?.build == build(1, branch: 9))
        #expect(world.machine.kept == [build(1), build(1, branch: 9)])
        #expect(world.machine.lastHealthy == build(1, branch: 9))
        #expect(world.problem == nil)
    }

    @Test("an adopted process whose build was healthy needs no second proof")
    func adoptionOfTheHealthy() {
        var world = running()
        let launch = world.process
        world.agentRestarts()
        #expect(world.process == launch)
        #expect(world.checking == nil)
        #expect(world.watched == launch)
        #expect(world.report?.health == .healthy)
        // Even when the health check fails just then, it is started again, not given up.
        world.unhealthy()
        #expect(world.isStopping)
        world.ends()
        #expect(world.machine.failure == nil)
        world.settle()
        #expect(world.process?.build == build(1))
        #expect(world.report?.health == .healthy)
    }

    @Test("an adopted process that was never healthy is checked")
    func adoptionOfTheUnproved() {
        var world = AppWorld()
        world.assign(1, build(1))
        world.fetched()
        world.started()
        world.agentRestarts()
        #expect(world.checking == world.process)
        #expect(world.report?.health == .starting)
        world.unhealthy()
        world.ends()
        #expect(world.report?.health == .failed)
        #expect(world.process == nil)
    }

    @Test("after a reboot the last healthy build runs again, also while another one is on its way")
    func reboot() {
        var world = running()
        world.assign(2, build(2))
        world.agentRestarts(withApp: true)
        #expect(world.process?.build == build(1))
        #expect(world.fetching?.build == build(2))
        #expect(world.problem == nil)
    }

    @Test("a healthy app that ends while its successor is fetched is started again")
    func oldOneCrashesDuringFetch() {
        var world = running()
        world.assign(2, build(2))
        world.ends()
        #expect(world.process == nil)
        world.timePasses()
        #expect(world.process?.build == build(1))
    }

    @Test("a healthy build that keeps ending is started ever later, and never given up")
    func growingRests() {
        var world = running()
        var pauses: [Int64] = []
        for _ in 0..<9 {
            let before = world.now
            world.ends()
            world.timePasses()
            pauses.append(world.now.millisecondsSince(before) / 1000)
            world.started()
            world.healthy()
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        #expect(world.machine.failure == nil)
        world.now = world.now.adding(seconds: AppMachine.steadySeconds)
        let before = world.now
        world.ends()
        world.timePasses()
        #expect(world.now.millisecondsSince(before) == 1000, "after a long healthy run it is a first end again")
        #expect(world.reports.contains { $0.detail == "killed" && $0.health == .starting })
    }

    @Test("a build that was healthy and cannot start rests")
    func startOfTheHealthyFails() {
        var world = running()
        world.ends()
        world.timePasses()
        world.startFails()
        #expect(world.machine.failure == nil)
        #expect(world.wakes.count == 1)
        world.settle()
        #expect(world.process?.build == build(1))
    }

    @Test("the build that a failure goes back to may not loop tightly either")
    func fallbackCannotStart() {
        var world = running()
        world.assign(2, build(2))
        world.fetched()
        world.ends()
        world.startFails()
        #expect(world.machine.failure?.build == build(2))
        #expect(world.process?.build == build(1), "back to the last healthy one")
        for _ in 0..<5 {
            world.startFails()
            #expect(world.process == nil)
            #expect(world.report?.health == .failed)
            world.timePasses()
            #expect(world.process?.build == build(1))
        }
        #expect(world.problem == nil)
    }

    @Test("a new build that fails its check is final at its revision, and the last healthy one comes back")
    func newBuildFails() {
        var world = running()
        world.assign(2, build(2))
        world.fetched()
        world.ends()
        world.started()
        world.unhealthy()
        world.ends()
        #expect(world.process?.build == build(1))
        world.settle()
        #expect(world.report == PeerApp(revision: revision(2), build: job(1), health: .failed, detail: "answered 500"))
        world.assign(3, build(2))
        world.settle()
        #expect(world.process?.build == build(2), "a new revision tries it again")
    }

    @Test("a late word about an ended process is nothing to its successor")
    func lateWords() throws {
        var world = running()
        let first = try #require(world.process)
        world.ends()
        world.timePasses()
        world.started()
        let second = try #require(world.process)
        #expect(second.build == first.build && second != first)
        #expect(world.take { $0.unhealthy(first, detail: "late", now: $1) } == [])
        #expect(world.take { $0.healthy(first, now: $1) } == [])
        #expect(world.take { $0.ended(first, detail: "late", now: $1) } == [])
        #expect(world.machine.run == .checking(second))
    }

    @Test("a late word about a cancelled fetch does not keep what was deleted")
    func lateFetch() throws {
        var world = running()
        world.assign(2, build(2))
        let first = try #require(world.fetching)
        world.assign(3, build(1))
        #expect(world.effects.contains(.cancelFetch(build(2))))
        #expect(world.take { $0.fetched(first, now: $1) } == [])
        world.assign(4, build(2))
        #expect(world.fetching != first)
        #expect(world.take { $0.fetched(first, now: $1) } == [])
        #expect(world.machine.kept == [build(1)])
    }

    @Test("health that is lost while it runs ends in a rest, with the reason in the report")
    func healthIsLost() {
        var world = running()
        world.unhealthy()
        #expect(
            world.report == PeerApp(revision: revision(1), build: job(1), health: .starting, detail: "answered 500"))
        world.ends()
        #expect(world.process == nil)
        #expect(world.report?.detail == "answered 500")
        world.settle()
        #expect(world.report == PeerApp(revision: revision(1), build: job(1), health: .healthy))
    }

    @Test("fetches that fail are tried again, ever later up to a minute, and say why")
    func fetchRetries() {
        var world = AppWorld()
        world.assign(1, build(1))
        var pauses: [Int64] = []
        for _ in 0..<8 {
            let before = world.now
            world.fetchFails()
            #expect(world.report == PeerApp(revision: revision(1), build: nil, health: .fetching, detail: "no space"))
            world.timePasses()
            pauses.append(world.now.millisecondsSince(before))
        }
        for (index, pause) in pauses.enumerated() {
            let whole: Int64 = min(2000 << Int64(index), 60_000)
            #expect((whole / 2...whole).contains(pause), "pause \(index): \(pause)")
        }
        #expect(world.reports.count == 2, "a lasting trouble is told once: \(world.reports)")
        var other = AppMachine(app: app(), seed: 8)
        _ = other.assigned(
            Assignment(app: app(), revision: revision(1), build: build(1), expires: .distantFuture), now: .zero)
        let fetch = AppMachine.Fetch(order: FetchOrder(build: build(1), ordinal: 1), failures: 6)
        #expect(other.fetchPauseMilliseconds(fetch) != world.machine.fetchPauseMilliseconds(fetch))
        world.settle()
        #expect(world.report?.health == .healthy)
    }

    /// Found by the simulator: a peer whose clock was ahead waited for ever, its one wake-up having come too early.
    @Test("time that goes back makes no rest longer, and is asked for again")
    func timeGoesBack() {
        var machine = AppMachine(app: app(), seed: 8)
        let ahead = Timestamp(milliseconds: 10_000_000)
        let effects = machine.assigned(
            Assignment(app: app(), revision: revision(1), build: build(1), expires: .distantFuture), now: ahead)
        let order = FetchOrder(build: build(1), ordinal: 1)
        #expect(effects.contains(.fetch(order)))
        _ = machine.fetchFailed(order, detail: "no space", isFinal: false, now: ahead)
        let now = Timestamp(milliseconds: 1_000_000)
        let end = now.adding(seconds: AppMachine.maximumFetchRetrySeconds)
        #expect(machine.tick(now: now) == [.wake(end)])
        #expect(machine.tick(now: end) == [.fetch(FetchOrder(build: build(1), ordinal: 2))])
    }

    @Test("an equal revision with another build is a relabelled peer's new assignment; the same again is nothing")
    func relabelled() {
        var world = running()
        #expect(world.assign(1, build(1)) == [])
        world.assign(1, build(2))
        #expect(world.fetching?.build == build(2))
        world.settle()
        #expect(world.process?.build == build(2))
        #expect(world.assign(0, build(1)) == [], "smaller revisions are refused")
    }

    @Test("a region that took the peer in is told again what runs")
    func enrolledAgain() {
        var world = running()
        #expect(world.take { $0.tick(now: $1) } == [])
        #expect(
            world.take { $0.enrolled(now: $1) } == [
                .report(PeerApp(revision: revision(1), build: job(1), health: .healthy))
            ])
        #expect(world.take { $0.tick(now: $1) } == [])
    }

    @Test("builds that never became healthy are evicted too")
    func failedBuildsDoNotPileUp() {
        var world = running()
        for number in 2...9 as ClosedRange<UInt64> {
            world.assign(number, build(number))
            world.fetched()
            world.ends()
            world.startFails()
            world.settle()
        }
        #expect(world.disk.count <= AppMachine.keptBuilds + 3)
        #expect(world.process?.build == build(1))
        #expect(world.problem == nil)
    }

    @Test("nothing assigned ends the app; an expired target changes nothing")
    func nothingAndExpired() {
        var world = running()
        world.assign(2, build(2), expires: world.now)
        #expect(world.process?.build == build(1))
        #expect(world.fetching == nil)
        world.assign(3, nil)
        #expect(world.isStopping)
        world.ends()
        world.settle()
        #expect(world.report == PeerApp(revision: revision(3), build: nil, health: .idle))
    }

    @Test("whatever happens, no two processes, no tight loop; and in the end the assigned build runs")
    func anything() {
        forAll("app-machine", seed: 1, iterations: 400, generate: Self.steps) { steps in
            var world = AppWorld()
            for step in steps {
                Self.perform(step, in: &world)
                if let problem = world.problem { return problem }
            }
            let last = build(99)
            world.run(1000, last)
            if let problem = world.problem { return problem }
            return world.process?.build == last && world.report?.health == .healthy ? nil : "\(world.machine)"
        }
    }

    /// The world sees what no agent may do.
    @Test("canary: a second process, a tight loop and a needed build's end are seen")
    func canaries() throws {
        var world = running()
        let launch = try #require(world.process)
        world.take { _, _ in [.start(Launch(build: launch.build, ordinal: 77))] }
        #expect(world.problem?.contains("beside") == true)
        var looping = AppWorld()
        looping.assign(1, build(1))
        looping.fetched()
        for ordinal in 10...20 as ClosedRange<UInt64> {
            looping.processVanishes()
            looping.take { _, _ in [.start(Launch(build: build(1), ordinal: ordinal))] }
        }
        #expect(looping.problem?.contains("tight") == true)
        var evicted = running()
        evicted.take { _, _ in [.evict(build(1))] }
        #expect(evicted.problem?.contains("evicted") == true)
    }

    private enum Step: Equatable {
        case assign(UInt64, ProvedBuild?)
        case fetched, fetchFails, fetchFailsFinally, started, startFails, healthy, unhealthy, ends, timePasses
        case agentRestarts, reboot, enrolled
    }

    private static func steps(_ random: inout SplitMix64) -> [Step] {
        let builds = [build(1), build(2), build(3), build(1, branch: 9), nil]
        var number: UInt64 = 1
        return (0..<60).map { _ in
            switch random.below(14) {
            case 0, 1:
                if random.chance(4, in: 5) { number += 1 }
                return .assign(number, random.pick(builds))
            case 2: return .fetchFails
            case 3: return .startFails
            case 4: return .unhealthy
            case 5, 6: return .ends
            case 7, 8: return .timePasses
            case 9: return random.pick([.agentRestarts, .reboot, .enrolled, .fetchFailsFinally])
            case 10, 11: return .healthy
            case 12: return .started
            default: return .fetched
            }
        }
    }

    private static func perform(_ step: Step, in world: inout AppWorld) {
        switch step {
        case .assign(let number, let build): world.assign(number, build)
        case .fetched: world.fetched()
        case .fetchFails: world.fetchFails()
        case .fetchFailsFinally: world.fetchFails(isFinal: true)
        case .started: world.started()
        case .startFails: world.startFails()
        case .healthy: world.healthy()
        case .unhealthy: world.unhealthy()
        case .ends: world.ends()
        case .timePasses: world.timePasses()
        case .agentRestarts: world.agentRestarts()
        case .reboot: world.agentRestarts(withApp: true)
        case .enrolled: world.take { $0.enrolled(now: $1) }
        }
    }
}
