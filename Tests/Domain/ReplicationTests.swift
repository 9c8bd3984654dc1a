import Domain
import Testing

@Suite("Replication")
struct ReplicationTests {
    @Test("pending, partial, complete and gone over the live regions")
    func statuses() {
        var world = GlobalWorld.fleet()
        world.build(request(), in: ["a"])
        #expect(world.state.replicationStatus(job(1)) == .partial)
        world.store(job(1), in: "b")
        #expect(world.state.replicationStatus(job(1)) == .complete)
        world.send(.packLost(job(1), region: region("a"), detail: "bad block"))
        #expect(world.state.replicationStatus(job(1)) == .partial)
        world.send(.fleet(.regionSuspend(region("b"), reason: "")))
        #expect(world.state.replicationStatus(job(1)) == .pending)
        world.send(.packLost(job(1), region: region("b"), detail: "bad block"))
        #expect(world.state.replicationStatus(job(1)) == .gone)
        #expect(world.state.replicationStatus(job(7)) == .pending)
    }

    @Test("a new region makes builds incomplete until it has copied them")
    func newRegion() {
        var world = GlobalWorld.fleet()
        world.build(request())
        world.send(.fleet(.regionJoin(region("c"), endpoint: "http://c")))
        #expect(world.state.replicationStatus(job(1)) == .partial)
        #expect(world.deploy(job(1)).code == .notReplicated)
        world.store(job(1), in: "c")
        #expect(world.state.replicationStatus(job(1)) == .complete)
    }

    @Test("with no live region nothing is complete")
    func noRegion() {
        var world = GlobalWorld.fleet(regions: ["a"])
        world.build(request(), in: ["a"])
        world.send(.fleet(.regionSilent(region("a"))))
        #expect(world.state.replicationStatus(job(1)) != .complete)
    }

    @Test("a loss that is known already is no event, one of an unknown build is refused")
    func losses() {
        var world = GlobalWorld.fleet()
        world.build(request(), in: ["a"])
        #expect(world.send(.packLost(job(1), region: region("b"), detail: "")).events == [])
        #expect(world.send(.packLost(job(2), region: region("a"), detail: "")).code == .unknownBuild)
    }

    @Test("a removed region's word counts no more until an operator brings it back")
    func removedRegion() {
        var world = GlobalWorld.fleet()
        world.build(request(), in: ["a"])
        world.send(.fleet(.regionRemove(region("b"), reason: "")))
        #expect(world.store(job(1), in: "b").code == .regionRemoved)
        world.send(.fleet(.regionJoin(region("b"), endpoint: "http://b")))
        #expect(world.store(job(1), in: "b").code == .regionRemoved)
        world.send(.fleet(.regionResume(region("b"), reason: "repaired")))
        #expect(world.store(job(1), in: "b").events?.count == 1)
    }
}

@Suite("Fleet")
struct FleetTests {
    private func status(_ world: GlobalWorld, _ name: String) -> RegionStatus? {
        world.state.fleet.regions[region(name)]?.status
    }

    @Test("a silent region returns by its own report, and by joining")
    func silentReturns() {
        var world = GlobalWorld.fleet()
        world.send(.fleet(.regionSilent(region("a"))))
        #expect(status(world, "a") == .silent)
        #expect(world.state.fleet.liveRegions == [region("b")])
        let events = world.send(.fleet(.regionReport(region("a"), []))).events
        #expect(events == [.fleet(.regionStatusChanged(region("a"), .live, .report))])
        world.send(.fleet(.regionSilent(region("a"))))
        world.send(.fleet(.regionJoin(region("a"), endpoint: "http://a")))
        #expect(status(world, "a") == .live)
    }

    @Test("a region suspended by an operator returns only by one")
    func suspendedStays() {
        var world = GlobalWorld.fleet()
        world.send(.fleet(.regionSuspend(region("a"), reason: "works")))
        world.send(.fleet(.regionReport(region("a"), [])))
        world.send(.fleet(.regionJoin(region("a"), endpoint: "http://elsewhere")))
        #expect(status(world, "a") == .suspended)
        #expect(world.state.fleet.regions[region("a")]?.endpoint == "http://elsewhere")
        #expect(world.send(.fleet(.regionSilent(region("a")))).code == .regionSuspended)
        world.send(.fleet(.regionResume(region("a"), reason: "done")))
        #expect(status(world, "a") == .live)
    }

    @Test("an operator may suspend a silent region, and then its report does not bring it back")
    func suspendSilent() {
        var world = GlobalWorld.fleet()
        world.send(.fleet(.regionSilent(region("a"))))
        world.send(.fleet(.regionSuspend(region("a"), reason: "")))
        world.send(.fleet(.regionReport(region("a"), [])))
        #expect(status(world, "a") == .suspended)
    }

    @Test("a removed region is brought back by an operator alone")
    func removed() {
        var world = GlobalWorld.fleet()
        world.send(.fleet(.regionRemove(region("a"), reason: "")))
        let refused: [FleetCommand] = [
            .regionReport(region("a"), []), .regionSuspend(region("a"), reason: ""), .regionSilent(region("a")),
            .regionJoin(region("a"), endpoint: "http://a"), .workerJoin(worker("w9"), region("a")),
        ]
        for command in refused { #expect(world.send(.fleet(command)).code == .regionRemoved, "\(command)") }
        let message = world.send(.fleet(.regionJoin(region("a"), endpoint: ""))).refusal?.message
        #expect(message?.contains("/v1/regions/a/resume") == true)
        world.send(.fleet(.regionResume(region("a"), reason: "bought back")))
        #expect(status(world, "a") == .live)
    }

    @Test("a report has at most 500 levels")
    func levelLimit() {
        var world = GlobalWorld.fleet()
        func report(_ count: Int) -> FleetCommand {
            .regionReport(
                region("a"),
                (0..<count).map {
                    RegionLevel(
                        app: app("app-\($0)"), revision: revision(1), selected: 1, healthy: 1, failed: 0, silent: 0)
                })
        }
        #expect(world.send(.fleet(report(FleetState.maximumLevels + 1))).code == .tooLarge)
        #expect(world.send(.fleet(report(FleetState.maximumLevels))).events?.count == FleetState.maximumLevels)
    }

    @Test("levels: unchanged ones are no event, older ones are passed over")
    func levels() {
        var world = GlobalWorld.fleet()
        #expect(world.level("a", at: revision(5), healthy: 1, of: 2).events?.count == 1)
        #expect(world.level("a", at: revision(5), healthy: 1, of: 2).events == [])
        #expect(world.level("a", at: revision(4), healthy: 2, of: 2).events == [])
        #expect(world.level("a", at: revision(5), healthy: 0, of: 2).events?.count == 1)
        #expect(world.level("a", at: revision(1, epoch: 2), healthy: 0, of: 2).events?.count == 1)
        let long = String(repeating: "x", count: RegionLevel.maximumDetailBytes + 1)
        #expect(world.level("a", at: revision(6), healthy: 0, of: 2, detail: long).code == .tooLarge)
        #expect(world.level("nowhere", at: revision(6), healthy: 0, of: 2).code == .unknownRegion)
    }

    @Test("one report that names an app twice never takes the older level")
    func levelTwice() {
        var world = GlobalWorld.fleet()
        let levels = [5, 3].map {
            RegionLevel(app: app(), revision: revision($0), selected: 1, healthy: 1, failed: 0, silent: 0)
        }
        #expect(world.send(.fleet(.regionReport(region("a"), levels))).events?.count == 1)
        #expect(world.state.fleet.regions[region("a")]?.levels[app()]?.revision == revision(5))
        #expect(world.state.impossible == 0)
    }

    @Test("regions and workers have limits")
    func limits() {
        var world = GlobalWorld()
        for number in 0..<FleetState.maximumRegions {
            world.send(.fleet(.regionJoin(region("r\(number)"), endpoint: "")))
        }
        #expect(world.send(.fleet(.regionJoin(region("more"), endpoint: ""))).code == .limitReached)
        #expect(world.send(.fleet(.regionJoin(region("r0"), endpoint: "new"))).events?.count == 1)
        for number in 0..<FleetState.maximumWorkers {
            world.append([.fleet(.workerJoined(worker("w\(number)"), region: region("r0")))])
        }
        #expect(world.send(.fleet(.workerJoin(worker("more"), region("r0")))).code == .limitReached)
        #expect(world.send(.fleet(.workerJoin(worker("w0"), region("r1")))).events?.count == 1)
    }
}
