import Testing

@testable import Domain

extension World where A == Global {
    /// A fleet whose log may hold retention's events, with these numbers.
    fileprivate static func retaining(_ change: (inout RetentionSettings) -> Void = { _ in }) -> GlobalWorld {
        var world = GlobalWorld.fleet()
        world.fact(.levelRaised(level: LogState.retentionLevel))
        var settings = RetentionSettings()
        (settings.keptBuilds, settings.keptSeconds, settings.graceSeconds) = (2, 100, 60)
        change(&settings)
        world.send(.retention(.changeSettings(settings)))
        return world
    }

    /// So many builds of an app, one a second.
    fileprivate mutating func builds(_ count: Int, of name: String = "web") {
        for _ in 0..<count {
            wait(seconds: 1)
            build(request(name, commit: Int(state.queue.enqueued.rawValue)))
        }
    }

    @discardableResult
    fileprivate mutating func retire(
        _ number: UInt64, _ cause: RetirementCause = .unused
    ) -> Decision<GlobalEvent, GlobalAnswer> {
        send(.retention(.retire(job(number), cause)), by: .projector("retention"))
    }

    fileprivate mutating func store(_ name: String, used: UInt64, free: UInt64, size: UInt64 = 0) {
        let level = StoreLevel(usedBytes: used, freeBytes: free, sizeBytes: size)
        send(.fleet(.regionStore(region(name), level)), by: .region(region(name)))
    }

    fileprivate mutating func removed(_ number: UInt64, in name: String) {
        send(.packRemoved(job(number), region: region(name)), by: .region(region(name)))
    }

    /// What both plans want, in turn, until they want nothing.
    fileprivate mutating func retain() -> [GlobalCommand] {
        var done: [GlobalCommand] = []
        for _ in 0..<20 {
            let effects = state.planRetention(now: now).effects + state.planSpace(now: now).effects
            if effects.isEmpty { return done }
            for effect in effects {
                done.append(.retention(effect))
                send(.retention(effect), by: .projector("retention"))
            }
        }
        return done
    }

    fileprivate var retired: [UInt64] { state.retention.retired.keys.map(\.rawValue) }
}

@Suite("Retention: what is kept")
struct KeptTests {
    @Test("the last builds of an app and the young are kept, the rest goes when it is old, the oldest first")
    func ages() {
        var world = GlobalWorld.retaining()
        world.builds(5)
        #expect(world.retain() == [])
        let plan = world.state.planRetention(now: world.now)
        #expect(
            plan.askAgainAt == Timestamp(milliseconds: 1_700_000_000_000 + 101_000), "the first is young until then")
        world.wait(seconds: 97)
        #expect(world.retain() == [.retention(.retire(job(1), .unused)), .retention(.retire(job(2), .unused))])
        world.wait(seconds: 1000)
        #expect(world.retain() == [.retention(.retire(job(3), .unused))], "the last two stay")
        #expect(world.state.keptReason(job(5), now: world.now) == .newest)
        #expect(world.state.keptReason(job(4), now: world.now) == .recent)
        #expect(world.retire(4).code == .buildKept)
    }

    @Test("other apps' builds do not count")
    func apps() {
        var world = GlobalWorld.retaining()
        world.builds(3)
        world.builds(9, of: "api")
        world.wait(seconds: 1000)
        _ = world.retain()
        #expect(world.retired == [1, 4, 5, 6, 7, 8, 9, 10])
    }

    @Test("targets, what is to roll back to, open deployments and pins keep a build, however old")
    func uses() {
        var world = GlobalWorld.retaining()
        world.builds(8)
        world.deploy(job(1))
        world.level("a", at: revision(1), healthy: 1, of: 1)
        world.level("b", at: revision(1), healthy: 1, of: 1)
        world.project()
        world.deploy(job(2), selector: PeerSelector(labels: ["tier": "edge"]))
        world.send(.retention(.pin(job(3), reason: "an old schema")))
        world.deploy(job(4), to: .region(region("b")))
        world.wait(seconds: 1000)
        #expect(world.state.keptReason(job(1), now: world.now) == .target, "the base, and what is to roll back to")
        #expect(world.state.keptReason(job(2), now: world.now) == .target)
        #expect(world.state.keptReason(job(3), now: world.now) == .pinned)
        #expect(world.state.keptReason(job(4), now: world.now) == .target)
        for number in 1...4 as ClosedRange<UInt64> { #expect(world.retire(number).code == .buildKept) }
        #expect(world.retain() == [.retention(.retire(job(5), .unused)), .retention(.retire(job(6), .unused))])
    }

    @Test("a deployment that waits keeps its build, and one that is over does not")
    func waiting() {
        var world = GlobalWorld.retaining()
        world.build(request(commit: 50), in: ["a"])
        world.builds(4)
        #expect(world.deploy(job(1), whenReplicated: true).answer != nil)
        world.wait(seconds: 1000)
        #expect(world.state.keptReason(job(1), now: world.now) == .deployment)
        _ = world.retain()
        #expect(world.retired == [2, 3])
        world.wait(seconds: 1000)
        world.project()
        #expect(world.state.targets.open.isEmpty, "its deadline is over")
        #expect(world.retain() == [.retention(.retire(job(1), .unused))])
    }

    @Test("a region's own target that a newer global one overtook keeps nothing, its base does")
    func overtaken() {
        var world = GlobalWorld.retaining()
        world.builds(6)
        world.deploy(job(1), to: .region(region("a")))
        world.deploy(job(2))
        world.deploy(job(3))
        world.wait(seconds: 1000)
        #expect(world.state.keptReason(job(1), now: world.now) == nil)
        #expect(world.state.keptReason(job(2), now: world.now) == .previous)
    }

    @Test("fewer kept builds, or more, count from now on")
    func counts() {
        var world = GlobalWorld.retaining()
        world.builds(6)
        world.wait(seconds: 1000)
        var settings = world.state.retention.settings
        settings.keptBuilds = 5
        world.send(.retention(.changeSettings(settings)))
        #expect(world.retain() == [.retention(.retire(job(1), .unused))])
        settings.keptBuilds = 1
        world.send(.retention(.changeSettings(settings)))
        _ = world.retain()
        #expect(world.retired == [1, 2, 3, 4, 5])
        settings.keptBuilds = 0
        #expect(world.send(.retention(.changeSettings(settings))).code == .invalid)
    }

    @Test("a pin names who wants it kept and why; what is not there or retired cannot be pinned")
    func pins() {
        var world = GlobalWorld.retaining()
        world.builds(4)
        world.send(.retention(.pin(job(1), reason: "audit")), by: .person("grace"))
        #expect(world.state.retention.pins[job(1)]?.actor == .person("grace"))
        #expect(world.state.retention.pins[job(1)]?.reason == "audit")
        #expect(world.send(.retention(.pin(job(1), reason: "audit")), by: .person("alan")).events == [])
        world.send(.retention(.pin(job(1), reason: "the other audit")), by: .person("alan"))
        #expect(world.state.retention.pins[job(1)]?.reason == "the other audit")
        #expect(world.state.retention.pins[job(1)]?.actor == .person("alan"))
        #expect(world.send(.retention(.pin(job(9), reason: ""))).code == .unknownBuild)
        #expect(world.send(.retention(.unpin(job(2), reason: ""))).events == [])
        #expect(
            world.send(.retention(.pin(job(2), reason: String(repeating: "x", count: 501)))).code == .tooLarge)
        world.send(.retention(.unpin(job(1), reason: "done")))
        world.wait(seconds: 1000)
        _ = world.retain()
        #expect(world.send(.retention(.pin(job(1), reason: "late"))).code == .buildRetired)
    }

    @Test("a log below the level decides nothing about retention, and plans nothing")
    func level() {
        var world = GlobalWorld.fleet()
        world.builds(20)
        world.wait(seconds: 100 * 24 * 3600)
        #expect(world.state.planRetention(now: world.now) == Plan())
        #expect(world.state.planSpace(now: world.now) == Plan())
        #expect(world.send(.retention(.pin(job(1), reason: ""))).code == .levelTooLow)
        #expect(world.send(.fleet(.regionStore(region("a"), StoreLevel(usedBytes: 9, freeBytes: 0)))).events == [])
    }

    @Test("a log of years that comes to know retention retires nothing for one grace, so that people can pin")
    func upgraded() {
        var world = GlobalWorld.fleet()
        world.builds(20)
        world.wait(seconds: 100 * 24 * 3600)
        world.fact(.engineStarted(version: "2", level: LogState.retentionLevel))
        let end = world.now.adding(seconds: 3600)
        world.store("a", used: 1000, free: 0)
        #expect(world.state.planRetention(now: world.now) == Plan(effects: [], askAgainAt: end))
        #expect(world.state.planSpace(now: world.now) == Plan(effects: [], askAgainAt: end))
        #expect(world.retire(1).code == .buildKept)
        #expect(world.retire(1, .space).code == .buildKept)
        world.wait(seconds: 3599)
        world.send(.retention(.pin(job(1), reason: "an old schema")))
        #expect(world.retain() == [])
        world.fact(.engineStarted(version: "2", level: LogState.retentionLevel))
        world.wait(seconds: 1)
        _ = world.retain()
        #expect(world.retired.first == 2, "another start begins no other grace")
    }
}

@Suite("Retention: what is retired")
struct RetiredTests {
    /// Four builds, the first retired.
    private func world() -> GlobalWorld {
        var world = GlobalWorld.retaining()
        world.builds(4)
        world.wait(seconds: 98)
        world.retire(1)
        return world
    }

    @Test("it can be no target any more, wherever the race was decided")
    func race() {
        var retiredFirst = world()
        #expect(retiredFirst.retired == [1])
        #expect(retiredFirst.deploy(job(1)).code == .buildRetired)
        #expect(retiredFirst.deploy(job(1), to: .region(region("a")), whenReplicated: true).code == .buildRetired)
        var deployedFirst = world()
        #expect(deployedFirst.deploy(job(2)).answer != nil)
        deployedFirst.wait(seconds: 1000)
        #expect(deployedFirst.retire(2).code == .buildKept)
    }

    @Test("it is not retired twice, and one that was never built not at all")
    func again() {
        var world = world()
        #expect(world.retire(1).events == [])
        #expect(world.retire(7).code == .unknownBuild)
    }

    @Test("a repeat of its request builds anew")
    func buildOnce() {
        var world = world()
        let known = world.state.queue.builds[job(2)]?.buildOnceKey
        #expect(known != nil)
        #expect(world.enqueue(request(commit: 1)) == job(2), "one that is kept answers")
        #expect(world.enqueue(request(commit: 0)) == job(5))
    }

    @Test("it is gone when the last region has removed it, and no region stores it again")
    func gone() {
        var world = world()
        #expect(world.state.replicationStatus(job(1)) == .complete)
        world.send(.packRemoved(job(1), region: region("a")))
        #expect(world.state.replicationStatus(job(1)) == .partial)
        #expect(world.store(job(1), in: "a").code == .buildRetired)
        #expect(world.send(.packRemoved(job(1), region: region("a"))).events == [])
        #expect(world.state.retention.leaving == [job(1)])
        world.send(.packRemoved(job(1), region: region("b")))
        #expect(world.state.replicationStatus(job(1)) == .gone)
        #expect(world.state.retention.leaving == [])
        #expect(world.deploy(job(1)).code == .buildRetired)
    }

    @Test("a copy in a region that is removed for ever counts no more")
    func removedRegion() {
        var world = world()
        world.send(.packRemoved(job(1), region: region("a")))
        world.send(.fleet(.regionRemove(region("b"), reason: "sold")))
        #expect(world.state.retention.leaving == [])
    }

    @Test("a removed region that is resumed holds its retired builds again")
    func resumedRegion() {
        var world = world()
        world.send(.packRemoved(job(1), region: region("a")))
        world.send(.fleet(.regionRemove(region("b"), reason: "sold")))
        #expect(world.state.retention.leaving == [])
        world.send(.fleet(.regionResume(region("b"), reason: "bought back")))
        #expect(world.state.retention.leaving == [job(1)])
        world.send(.packRemoved(job(1), region: region("b")))
        #expect(world.state.retention.leaving == [])
    }

    @Test("a repeated word of it under the same key gets the same answer")
    func repeated() {
        var world = world()
        for number in [1, 3] as [UInt64] {
            let command = GlobalCommand.packRemoved(job(number), region: region("a"))
            let key = "removed \(number)"
            #expect(world.send(command, by: .region(region("a")), key: key).events?.count == 1)
            #expect(world.send(command, by: .region(region("a")), key: key).events == [], "build \(number)")
            let last = world.log[world.log.count - 1].event
            #expect(Global.command(from: [last]) == command)
        }
    }

    @Test("a region that removed what is not retired here has lost it")
    func otherBranch() {
        var world = world()
        let events = world.send(.packRemoved(job(3), region: region("a"))).events
        guard case .replication(.packLost(job(3), region("a"), _))? = events?.first else {
            Issue.record("\(events as Any)")
            return
        }
        #expect(world.deploy(job(3)).code == .notReplicated)
    }
}

@Suite("Retention: full stores")
struct FullStoreTests {
    @Test("at 90 % the oldest go at once, as many as it takes, even young ones and the last of an app")
    func oldestFirst() {
        var world = GlobalWorld.retaining()
        world.builds(6)
        world.store("a", used: 300, free: 40)
        #expect(world.retain() == [], "not full yet")
        world.store("a", used: 300, free: 20)
        // A pack has 50 bytes; 13 are too many.
        #expect(world.retain() == [.retention(.retire(job(1), .space))])
        #expect(world.state.retention.retired[job(1)]?.removeAfter == world.now)
        world.store("a", used: 300, free: 0)
        #expect(world.retain() == [], "31 are too many, and 50 are on their way out")
        world.store("a", used: 300, free: 20)
        world.removed(1, in: "a")
        #expect(world.state.fleet.regions[region("a")]?.packBytes == 250)
        #expect(world.retain() == [])
    }

    @Test("what a region removed counts once, whichever of its two words comes first")
    func countedOnce() {
        for isLevelFirst in [true, false] {
            var world = GlobalWorld.retaining()
            world.builds(6)
            // Two packs must go, and a third one if one of them counted twice or not at all.
            world.store("a", used: 300, free: 0, size: 280)
            #expect(world.retain() == [.retention(.retire(job(1), .space))])
            if isLevelFirst { world.store("a", used: 250, free: 30, size: 280) }
            #expect(world.retain() == [])
            world.removed(1, in: "a")
            #expect(world.retain() == [])
            if !isLevelFirst { world.store("a", used: 300, free: 0, size: 280) }
            #expect(world.retain() == [])
            #expect(world.state.fullStores() == [])
        }
    }

    @Test("where packs may take less than they do, so many go that they fit")
    func lowered() {
        var world = GlobalWorld.retaining()
        world.builds(6)
        world.store("a", used: 300, free: 0, size: 200)
        #expect(world.state.fleet.regions[region("a")]?.store?.percent == 150)
        #expect(world.retain() == (1...3).map { .retention(.retire(job($0), .space)) })
        for number in 1...3 as ClosedRange<UInt64> { world.removed(number, in: "a") }
        #expect(world.state.fullStores() == [])
    }

    @Test("where others fill the disk nothing is retired, for that does not help: claims stop, and say so")
    func others() {
        var world = GlobalWorld.retaining()
        world.builds(3)
        world.wait(seconds: 101)
        world.store("a", used: 150, free: 0, size: 400)
        #expect(world.state.planSpace(now: world.now).effects == [.settleClaims])
        #expect(world.retire(1, .space).code == .buildKept)
        _ = world.retain()
        world.enqueue(request(commit: 99))
        let refusal = world.send(.queue(.claim(worker("w1"))), by: .worker(worker("w1"))).refusal
        #expect(refusal?.code == .storeFull && refusal?.message.contains("smaller part") == true)
        world.store("a", used: 150, free: 0, size: 300)
        #expect(world.retain().first == .retention(.retire(job(1), .space)), "half of it is packs")
    }

    @Test("the oldest of all apps goes first, also where it is one of its app's last")
    func acrossApps() {
        var world = GlobalWorld.retaining()
        world.builds(2, of: "api")
        world.builds(4)
        world.store("a", used: 300, free: 0)
        #expect(world.retain() == [.retention(.retire(job(1), .space))])
    }

    @Test("one plan does not end more graces than it retires builds")
    func manyGraces() {
        var world = GlobalWorld.retaining { $0.graceSeconds = 1000 }
        world.builds(GlobalState.maximumRetirements + 20)
        world.wait(seconds: 200)
        _ = world.retain()
        #expect(world.state.retention.leaving.count > GlobalState.maximumRetirements)
        world.store("a", used: 0, free: 0, size: 1)
        #expect(world.state.planSpace(now: world.now).effects.count <= GlobalState.maximumRetirements + 1)
    }

    @Test("one that waits for its grace goes before others are retired")
    func grace() {
        var world = GlobalWorld.retaining()
        world.builds(4)
        world.wait(seconds: 97)
        world.retire(1)
        #expect(world.state.retention.retired[job(1)]?.removeAfter == world.now.adding(seconds: 60))
        world.store("b", used: 200, free: 0)
        #expect(world.retain() == [.retention(.retire(job(1), .space))])
        #expect(world.state.retention.retired[job(1)]?.removeAfter == world.now)
        #expect(world.retired == [1])
    }

    @Test("a build that the full store has not, or that is used, stays")
    func elsewhere() {
        var world = GlobalWorld.retaining()
        world.build(request(commit: 90), in: ["a"])
        world.builds(4)
        world.deploy(job(2))
        world.store("b", used: 200, free: 0)
        #expect(world.retain() == [.retention(.retire(job(3), .space))])
        #expect(world.retire(4, .space).code == .buildKept, "what is retired is enough")
    }

    @Test("claims stop when nothing can go, with store-full, and go on when there is space")
    func claims() {
        var world = GlobalWorld.retaining()
        world.builds(3)
        world.deploy(job(1))
        world.send(.retention(.pin(job(2), reason: "audit")))
        world.enqueue(request(commit: 99))
        world.store("a", used: 150, free: 0)
        #expect(world.retain() == [.retention(.settleClaims)])
        #expect(world.state.retention.claimsStoppedBy == region("a"))
        #expect(world.send(.queue(.claim(worker("w1"))), by: .worker(worker("w1"))).code == .storeFull)
        #expect(world.state.claimStep(worker("w1"), key: nil, now: world.now) == .submit(key: nil), "it is told so")
        world.store("a", used: 150, free: 500)
        #expect(world.retain() == [.retention(.settleClaims)])
        #expect(world.claim()?.job == job(4))
    }

    @Test("claims stop as soon as all that could go is not enough, and go on when it is")
    func notEnough() {
        var world = GlobalWorld.retaining()
        world.builds(4)
        world.send(.retention(.pin(job(1), reason: "audit")))
        world.store("a", used: 200, free: 0, size: 100)
        #expect(
            world.retain() == [
                .retention(.retire(job(2), .space)), .retention(.retire(job(3), .space)), .retention(.settleClaims),
            ])
        #expect(world.state.retention.claimsStoppedBy == region("a"), "111 must go, and 100 can")
        for number in [2, 3] as [UInt64] { world.removed(number, in: "a") }
        #expect(world.retain() == [])
        #expect(world.state.retention.claimsStoppedBy == region("a"))
        world.send(.retention(.unpin(job(1), reason: "space")))
        #expect(world.retain() == [.retention(.retire(job(1), .space)), .retention(.settleClaims)])
        #expect(world.state.retention.claimsStoppedBy == nil)
    }

    @Test("claims go on when an unpinned build can be retired")
    func unpinned() {
        var world = GlobalWorld.retaining()
        world.builds(3)
        world.deploy(job(1))
        world.send(.retention(.pin(job(2), reason: "audit")))
        world.store("a", used: 150, free: 0)
        _ = world.retain()
        world.send(.retention(.unpin(job(2), reason: "space")))
        #expect(world.retain() == [.retention(.retire(job(2), .space)), .retention(.settleClaims)])
        #expect(world.state.retention.claimsStoppedBy == nil)
    }

    @Test("a store that is no live region's stops nothing")
    func suspended() {
        var world = GlobalWorld.retaining()
        world.builds(1)
        world.store("b", used: 50, free: 0)
        world.send(.fleet(.regionSuspend(region("b"), reason: "")))
        #expect(world.retain() == [])
    }

    @Test("nearly the same again is no event, another size is one, and numbers that no store has are refused")
    func reports() {
        var world = GlobalWorld.retaining()
        func report(_ used: UInt64, _ free: UInt64) -> GlobalCommand {
            .fleet(.regionStore(region("a"), StoreLevel(usedBytes: used, freeBytes: free)))
        }
        #expect(world.send(report(100, 900)).events?.count == 1)
        #expect(world.send(report(109, 891)).events == [])
        #expect(world.send(report(110, 890)).events?.count == 1)
        #expect(world.send(report(113, 907)).events?.count == 1, "2 % more")
        #expect(world.send(report(.max, .max)).code == .tooLarge)
        let sized = StoreLevel(usedBytes: 113, freeBytes: 907, sizeBytes: 5000)
        #expect(world.send(.fleet(.regionStore(region("a"), sized))).events?.count == 1)
        #expect(StoreLevel(usedBytes: .max, freeBytes: .max).percent == 50)
        #expect(StoreLevel(usedBytes: .max, freeBytes: 0, sizeBytes: 1).percent == .max)
        #expect(StoreLevel(usedBytes: 0, freeBytes: 0).excess(of: 0, percent: 90) == 0)
        #expect(StoreLevel(usedBytes: 0, freeBytes: 0, sizeBytes: 9).excess(of: 0, percent: 90) == 1)
        #expect(StoreLevel(usedBytes: 0, freeBytes: 0, sizeBytes: 9).percent == 100)
        #expect(StoreLevel(usedBytes: 900, freeBytes: 100).excess(of: 900, percent: 90) == 1)
        #expect(StoreLevel(usedBytes: 899, freeBytes: 101).excess(of: 899, percent: 90) == 0)
    }
}

@Suite("Retention: properties")
struct RetentionPropertyTests {
    /// A random history with retention in it: the steps' commands, and between them people's pins, full stores, plans and
    /// regions that remove what they must.
    private func world(_ steps: [Step], check: (GlobalWorld) -> String? = { _ in nil }) -> (GlobalWorld, String?) {
        var world = GlobalWorld.retaining { ($0.keptSeconds, $0.graceSeconds) = (20, 5) }
        for step in steps.flatMap(\.parts) {
            world.wait(milliseconds: step.wait)
            switch step.action(in: world.state) {
            case .command(let command): world.send(command, key: step.key.map { "k\($0)" })
            case .fact(let fact): world.fact(fact)
            case .again, .project: world.project()
            }
            retention(Int(step.wait) + Int(world.sequence.rawValue), &world)
            if let problem = check(world) { return (world, problem) }
        }
        return (world, nil)
    }

    private func retention(_ chance: Int, _ world: inout GlobalWorld) {
        let builds = world.state.queue.builds.keys
        let name = Universe.regions[chance % 3]
        switch chance % 9 {
        case 0: if let build = builds.last { world.send(.retention(.pin(build, reason: "wanted"))) }
        case 1:
            if let build = world.state.retention.pins.keys.min() { world.send(.retention(.unpin(build, reason: ""))) }
        case 2: world.store(name.rawValue, used: 80 + UInt64(chance % 21), free: UInt64(20 - chance % 21))
        case 3: if let build = world.state.retention.leaving.first { world.send(.packRemoved(build, region: name)) }
        case 4, 5: _ = world.retain()
        default: break
        }
    }

    @Test("a retired build is used by nothing, ever, and its packs only go")
    func neverUsed() {
        forAll("retired-is-unused", seed: 1, iterations: 25, generate: Step.list) { steps in
            self.world(steps) { world in
                let state = world.state
                if state.impossible > 0 { return "\(state.impossible) events were impossible" }
                for build in state.retention.retired.keys {
                    if let app = state.queue.builds[build]?.app, let reason = state.targets.keeps(build, of: app) {
                        return "\(build) is retired and \(reason.words)"
                    }
                    if state.retention.pins[build] != nil { return "\(build) is retired and pinned" }
                    let key = state.queue.builds[build]?.buildOnceKey
                    if let key, state.queue.reusable(key) == build { return "\(build) is retired and answers a repeat" }
                }
                return nil
            }.1
        }
    }

    /// What the state holds in order is what a look at everything would find.
    @Test("the order of age is that of a fold over all builds")
    func order() {
        forAll("age-order", seed: 1, iterations: 20, generate: Step.list) { steps in
            let state = self.world(steps).0.state
            let retention = state.retention
            let left = state.queue.builds.filter { retention.retired[$0.key] == nil }
            let known = retention.recent.values.flatMap { $0 } + Array(retention.older)
            let all = left.map { AgedBuild(succeededAt: $0.value.succeededAt, build: $0.key) }.sorted()
            if known.sorted() != all { return "\(known) are known, not \(all)" }
            if Array(retention.older) != retention.older.sorted() { return "the older ones are not in order" }
            for (app, line) in retention.recent
            where line.count > Int(retention.settings.keptBuilds) || line != line.sorted() {
                return "\(app) has \(line)"
            }
            for (name, region) in state.fleet.regions {
                let held = state.queue.builds.filter { state.holds(name, $0.key) }
                let bytes = held.map(\.value.pack.packedBytes).reduce(0, +)
                if bytes != region.packBytes { return "\(name) has \(bytes) bytes of packs, not \(region.packBytes)" }
            }
            let leaving = retention.retired.keys.filter { state.replicationStatus($0) != .gone }
            return retention.leaving == leaving ? nil : "\(retention.leaving) are leaving, not \(leaving)"
        }
    }

    @Test("replay of any prefix, encoded and decoded, is the same state; commands are rebuilt from their events")
    func replayed() {
        forAll("retention-replay", seed: 1, iterations: 10, generate: Step.list) { steps in
            let world = self.world(steps).0
            for cut in [0, world.log.count / 2, world.log.count] {
                var state = Global.initialState
                for envelope in world.log[..<cut] { Global.reduce(&state, envelope) }
                guard var again = try? copied(state) else { return "the state after \(cut) is not encoded" }
                if again != state { return "the state after \(cut) is decoded as another one" }
                for envelope in world.log[cut...] { Global.reduce(&again, envelope) }
                if again != world.state { return "replay from \(cut) differs" }
            }
            for envelope in world.log {
                guard case .retention = envelope.event else { continue }
                if Global.command(from: [envelope.event]) == nil { return "\(envelope.event) is not rebuilt" }
            }
            return nil
        }
    }

    @Test("the plans ask for nothing that is refused or leads to nothing, and come to rest")
    func settles() {
        forAll("retention-settles", seed: 1, iterations: 20, generate: Step.list) { steps in
            var problem: String?
            var world = self.world(steps) { world in
                let effects =
                    world.state.planRetention(now: world.now).effects
                    + world.state.planSpace(now: world.now).effects
                for effect in effects {
                    switch world.decide(.retention(effect), by: .projector("retention")) {
                    case .accepted(let events, _) where events.isEmpty: return "\(effect) leads to nothing"
                    case .accepted: continue
                    case .refused(let refusal): return "\(effect) is refused: \(refusal)"
                    }
                }
                return nil
            }
            problem = world.1
            _ = world.0.retain()
            let left =
                world.0.state.planRetention(now: world.0.now).effects
                + world.0.state.planSpace(now: world.0.now).effects
            return problem ?? (left.isEmpty ? nil : "there is still \(left)")
        }
    }
}
