import Domain
import Testing

@Suite("Deployments: what is accepted")
struct DeployTests {
    /// Builds 1 and 2 of `web`, everywhere.
    private func built() -> GlobalWorld {
        var world = GlobalWorld.fleet()
        world.build(request(commit: 1))
        world.build(request(commit: 2))
        return world
    }

    @Test("a completely replicated build becomes the target: who, why, what before")
    func accepted() {
        var world = built()
        #expect(world.deploy(job(1)).answer == .targets(.deployment(revision(1), .running, skipped: [])))
        #expect(world.target()?.previous == nil)
        world.deploy(job(2))
        let target = world.target()
        #expect(target?.revision == revision(2))
        #expect(target?.current == ProvedBuild(build: job(2), manifest: manifest(2)))
        #expect(target?.previous == ProvedBuild(build: job(1), manifest: manifest(1)))
        #expect(target?.actor == .person("ada"))
        #expect(target?.reason == "because")
        #expect(target?.expires == world.now.adding(seconds: 14 * 24 * 3600))
    }

    @Test("every gate has its code")
    func gates() {
        var world = built()
        world.build(request(commit: 3), in: ["a"])
        world.build(request("api", commit: 4))
        #expect(world.deploy(job(3)).code == .notReplicated)
        #expect(world.deploy(job(3), to: .region(region("a"))).events?.isEmpty == false)
        #expect(world.deploy(job(9)).code == .unknownBuild)
        #expect(world.deploy(job(4)).code == .unknownBuild, "it is another app's")
        #expect(world.deploy(nil).code == .noPrevious)
        #expect(world.deploy(job(1), to: .region(region("x"))).code == .unknownRegion)
        #expect(world.deploy(job(1), selector: PeerSelector(labels: ["A": "b"])).code == .invalid)
        let nine = Dictionary(uniqueKeysWithValues: (0..<9).map { ("k\($0)", "v") })
        #expect(world.deploy(job(1), selector: PeerSelector(labels: nine)).code == .tooLarge)
        #expect(world.deploy(job(1), expected: revision(7)).code == .revisionConflict)
        #expect(world.deploy(job(1), expected: .zero).events?.isEmpty == false)
        #expect(world.deploy(job(2), expected: .zero).code == .revisionConflict)
        #expect(world.deploy(job(2), expected: world.target()?.revision).events?.isEmpty == false)
    }

    @Test("a build that no region holds is gone")
    func gone() {
        var world = built()
        for name in ["a", "b"] { world.send(.packLost(job(1), region: region(name), detail: "")) }
        #expect(world.deploy(job(1)).code == .buildGone)
        #expect(world.deploy(job(1), whenReplicated: true).code == .buildGone)
        world.deploy(job(2))
        world.send(.fleet(.regionRemove(region("b"), reason: "")))
        #expect(world.deploy(job(2)).events?.isEmpty == false)
    }

    @Test("with no live region in scope a deploy is refused")
    func noRegion() {
        var world = built()
        world.send(.fleet(.regionSuspend(region("a"), reason: "")))
        #expect(world.deploy(job(1), to: .region(region("a"))).code == .noRegion)
        world.send(.fleet(.regionSilent(region("b"))))
        #expect(world.deploy(job(1)).code == .noRegion)
        #expect(world.deploy(job(1), whenReplicated: true).code == .noRegion)
    }

    @Test("suspended and silent regions are skipped by name; removed ones are not named")
    func skipped() {
        var world = GlobalWorld.fleet(regions: ["a", "b", "c", "d"])
        world.build(request(), in: ["a"])
        world.send(.fleet(.regionSuspend(region("c"), reason: "")))
        world.send(.fleet(.regionSilent(region("b"))))
        world.send(.fleet(.regionRemove(region("d"), reason: "")))
        #expect(
            world.deploy(job(1)).answer
                == .targets(.deployment(revision(1), .running, skipped: [region("b"), region("c")])))
    }

    @Test("a rollback is a new revision that names the old build")
    func rollback() {
        var world = built()
        world.deploy(job(1))
        world.deploy(job(2))
        #expect(world.deploy(nil).answer == .targets(.deployment(revision(3), .running, skipped: [])))
        #expect(world.target()?.current.build == job(1))
        #expect(world.target()?.previous?.build == job(2))
        guard case .targets(.targetChanged(_, .rollback, _)) = world.events[world.events.count - 2] else {
            Issue.record("the event says that it is a rollback")
            return
        }
    }

    @Test("rolling back a region that runs the global target goes to the global previous build, there only")
    func rollbackOfARegion() {
        var world = built()
        world.deploy(job(1))
        world.deploy(job(2))
        world.deploy(nil, to: .region(region("a")))
        #expect(world.target(in: .region(region("a")))?.current.build == job(1))
        #expect(world.target(in: .region(region("a")))?.previous?.build == job(2))
        #expect(world.target()?.current.build == job(2))
    }

    @Test("deploying what runs already keeps the build before it")
    func sameBuildAgain() {
        var world = built()
        world.deploy(job(1))
        world.deploy(job(2))
        world.deploy(job(2))
        #expect(world.target()?.revision == revision(3))
        #expect(world.target()?.previous?.build == job(1))
        world.deploy(job(2), to: .region(region("a")))
        #expect(world.target(in: .region(region("a")))?.previous?.build == job(1))
        world.deploy(nil)
        #expect(world.target()?.current.build == job(1))
    }

    @Test("a reason and a selector that are too long together are refused, with both lengths")
    func textLimit() {
        var world = built()
        func deploy(_ reason: Int, _ labels: Int) -> Refusal? {
            let selector = PeerSelector(
                labels: Dictionary(
                    uniqueKeysWithValues: (0..<labels).map { ("k\($0)", String(repeating: "v", count: 40)) }))
            let text = String(repeating: "r", count: reason)
            return world.send(
                .targets(.deploy(DeployRequest(app: app(), build: job(1), selector: selector, reason: text)))
            ).refusal
        }
        #expect(deploy(DeployRequest.maximumTextBytes, 0) == nil)
        #expect(deploy(DeployRequest.maximumTextBytes + 1, 0)?.code == .tooLarge)
        #expect(deploy(50, 8) == nil)
        let refusal = deploy(51, 8)
        #expect(refusal?.code == .tooLarge)
        #expect(refusal?.message.contains("51 bytes") == true)
        #expect(refusal?.message.contains("(400)") == true)
    }

    @Test("an old build that is gone cannot be rolled back to")
    func rollbackToGone() {
        var world = built()
        world.deploy(job(1))
        world.deploy(job(2))
        for name in ["a", "b"] { world.send(.packLost(job(1), region: region(name), detail: "")) }
        #expect(world.deploy(nil).code == .buildGone)
    }

    @Test("revisions only grow, over all apps and epochs; a smaller one is never taken")
    func revisionsGrow() {
        var world = built()
        world.build(request("api", commit: 3))
        world.deploy(job(1))
        world.deploy(job(3), of: "api")
        world.fact(.epochStarted(epoch: Epoch(rawValue: 2), reason: "restore"))
        world.deploy(job(2))
        #expect(world.target()?.revision == revision(3, epoch: 2))
        guard var old = world.target() else { return }
        old.revision = revision(9, epoch: 1)
        world.append([.targets(.targetChanged(old, .deploy, opening: nil))])
        #expect(world.target()?.revision == revision(3, epoch: 2))
        #expect(world.state.impossible == 1)
    }

    @Test("at the last number there is a refusal, no trap")
    func numbersEnd() {
        var world = built()
        world.deploy(job(1))
        guard var last = world.target() else { return }
        last.revision.number = .max
        world.append([.targets(.targetChanged(last, .reissue, opening: nil))])
        #expect(world.deploy(job(2)).code == .limitReached)
        world.wait(seconds: 8 * 24 * 3600)
        #expect(world.send(.targets(.reissue(app(), .global))).code == .limitReached)
    }
}

@Suite("Deployments: waiting for replication")
struct WaitingDeploymentTests {
    private func waiting() -> GlobalWorld {
        var world = GlobalWorld.fleet()
        world.build(request(commit: 1))
        world.build(request(commit: 2), in: ["a"])
        return world
    }

    @Test("--when-replicated is recorded, and starts when the last copy is there")
    func starts() {
        var world = waiting()
        #expect(
            world.deploy(job(2), whenReplicated: true).answer
                == .targets(.deployment(revision(1), .waiting, skipped: [])))
        #expect(world.target() == nil)
        #expect(world.effects.isEmpty)
        #expect(world.send(.targets(.startWaiting(revision(1)))).code == .notReplicated)
        world.store(job(2), in: "b")
        #expect(world.effects == [.targets(.startWaiting(revision(1)))])
        world.project()
        #expect(world.target()?.revision == revision(1))
        #expect(world.target()?.deployment == revision(1))
        #expect(world.state.targets.open[revision(1)]?.status == .running)
    }

    @Test("where it is replicated already it runs at once")
    func atOnce() {
        var world = waiting()
        #expect(
            world.deploy(job(1), whenReplicated: true).answer
                == .targets(.deployment(revision(1), .running, skipped: [])))
    }

    @Test("a revision given meanwhile is not given again")
    func laterRevision() {
        var world = waiting()
        world.build(request("api", commit: 3))
        world.deploy(job(2), whenReplicated: true)
        world.deploy(job(3), of: "api")
        world.store(job(2), in: "b")
        world.project()
        #expect(world.target()?.revision == revision(3))
        #expect(world.target()?.deployment == revision(1))
        #expect(world.state.targets.open[revision(1)]?.revision == revision(3))
    }

    @Test("not replicated by its deadline, it fails, and never starts afterwards")
    func deadline() {
        var world = waiting()
        world.deploy(job(2), whenReplicated: true)
        #expect(world.plan.askAgainAt == world.now.adding(seconds: 1800))
        world.wait(seconds: 1800)
        world.store(job(2), in: "b")
        #expect(world.send(.targets(.startWaiting(revision(1)))).code == .deploymentEnded)
        world.project()
        #expect(world.ends == [revision(1): .failed])
        #expect(world.send(.targets(.startWaiting(revision(1)))).code == .deploymentEnded)
        #expect(world.target() == nil)
    }

    @Test("with no live region it goes on waiting")
    func noRegion() {
        var world = waiting()
        world.deploy(job(2), whenReplicated: true)
        for name in ["a", "b"] { world.send(.fleet(.regionSilent(region(name)))) }
        #expect(world.effects.isEmpty)
        #expect(world.send(.targets(.startWaiting(revision(1)))).code == .noRegion)
    }

    @Test("waiting ends only what waits; starting ends the older that runs")
    func superseding() {
        var world = waiting()
        world.deploy(job(1))
        world.deploy(job(2), whenReplicated: true)
        world.deploy(job(2), whenReplicated: true)
        #expect(world.ends == [revision(2): .superseded])
        world.store(job(2), in: "b")
        world.project()
        #expect(world.ends == [revision(2): .superseded, revision(1): .superseded])
        #expect(world.target()?.current.build == job(2))
    }

    @Test("the end of one that waited for many regions fits in a frame")
    func detailIsShort() {
        var world = GlobalWorld.fleet(regions: ["a"])
        world.build(request(), in: ["a"])
        for number in 1..<FleetState.maximumRegions {
            let name = String(repeating: "r", count: 60) + "\(number)"
            world.send(.fleet(.regionJoin(region(name), endpoint: "")))
        }
        world.deploy(job(1), whenReplicated: true)
        world.wait(seconds: 1800)
        world.project()
        guard case .targets(.deploymentEnded(_, _, .failed, let detail))? = world.events.last else {
            Issue.record("it fails")
            return
        }
        #expect(detail.utf8.count <= 903)
    }
}
